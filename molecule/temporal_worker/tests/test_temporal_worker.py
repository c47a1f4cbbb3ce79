"""Workers run as declared, confined, and with what they were given."""

from __future__ import annotations

import json
import time

import pytest
from testinfra.host import Host

UNIT = "temporal-sdk-worker@networking-1.0.0-1.service"
OTHER_UNIT = "temporal-sdk-worker@devices-1.0.0-1.service"
CERTIFICATE_SECONDS = 30
ENVIRONMENT = "/opt/temporal-workers/networking/1.0.0"


@pytest.mark.parametrize("unit", [UNIT, OTHER_UNIT])
def test_every_instance_runs_and_is_enabled(host: Host, unit: str) -> None:
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled


def test_a_worker_runs_as_its_own_user_without_privileges(host: Host) -> None:
    process = host.check_output(f"systemctl show --property=MainPID --value '{UNIT}'")
    status = host.check_output(f"cat /proc/{process}/status")
    assert host.check_output(f"stat --format=%U /proc/{process}") == "temporal-worker"
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status


def test_the_time_to_stop_follows_from_the_grace(host: Host) -> None:
    assert host.check_output(f"systemctl show --property=TimeoutStopUSec --value '{UNIT}'") == "40s"
    assert host.check_output(f"systemctl show --property=TimeoutStopUSec --value '{OTHER_UNIT}'") == "1min"


def test_the_environment_belongs_to_root_and_is_whole(host: Host) -> None:
    manifest = json.loads(host.file(f"{ENVIRONMENT}/MANIFEST").content_string)
    assert manifest["package"] == "networking-worker==1.0.0"
    assert host.file(f"{ENVIRONMENT}/bin/python").user == "root"
    assert host.check_output(f"{ENVIRONMENT}/bin/pip --version")
    assert not host.file("/opt/temporal-workers/networking/.1.0.0.new").exists


def test_the_key_is_for_the_workers_alone_and_no_deployment_reads_the_settings_of_another(host: Host) -> None:
    for path, group, mode in (("tls/worker.key", "temporal-worker", 0o640), ("networking-1.0.0.env", "root", 0o600)):
        file = host.file(f"/etc/temporal-workers/{path}")
        assert (file.user, file.group, file.mode) == ("root", group, mode)


def test_awkward_values_reach_the_worker_as_they_are(host: Host) -> None:
    process = host.check_output(f"systemctl show --property=MainPID --value '{UNIT}'")
    values = host.check_output(f"tr '\\0' '\\n' </proc/{process}/environ").splitlines()
    assert "AWKWARD=a \"b\" $c `d` \\e 'f' # g" in values


def test_the_life_of_a_worker_is_in_its_journal(host: Host) -> None:
    journal = host.check_output(f"journalctl --output=cat --unit='{UNIT}'")
    assert "connected to" in journal
    assert "polling networking-queue in production" in journal


def test_a_new_certificate_is_used_without_a_restart(host: Host) -> None:
    process = host.check_output(f"systemctl show --property=MainPID --value '{UNIT}'")
    host.check_output("echo >>/etc/temporal-workers/tls/worker.crt")
    deadline = time.monotonic() + CERTIFICATE_SECONDS
    while "the certificate was replaced" not in host.check_output(f"journalctl --output=cat --unit='{UNIT}'"):
        assert time.monotonic() < deadline, "it does not notice"
        time.sleep(1)
    journal = host.check_output(f"journalctl --output=cat --unit='{UNIT}'").splitlines()
    assert "connected to" in " ".join(journal[-2:])
    assert host.check_output(f"systemctl show --property=MainPID --value '{UNIT}'") == process
