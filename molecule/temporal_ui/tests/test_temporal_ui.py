"""People reach the web UI over HTTPS, and the UI reaches the frontend."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

CURL = "curl --silent --show-error --fail --max-time 5 --cacert /etc/temporal-ui/tls/ca.crt"


@pytest.fixture
def url(host: Host) -> str:
    """Return the address of the UI on this host."""
    return f"https://{host.interface('eth0').addresses[0]}:8081"


def test_the_service_is_enabled_and_running(host: Host) -> None:
    service = host.service("temporal-ui.service")
    assert service.is_running
    assert service.is_enabled


def test_the_ui_serves_its_pages(host: Host, url: str) -> None:
    assert "kit.start(app" in host.check_output(f"{CURL} {url}/")


def test_the_ui_reaches_the_frontend(host: Host, url: str) -> None:
    assert json.loads(host.check_output(f"{CURL} {url}/api/v1/system-info"))["serverVersion"]


def test_the_ui_speaks_no_plain_http(host: Host, url: str) -> None:
    assert "Temporal" not in host.run(f"curl --silent --max-time 5 {url.replace('https', 'http')}/").stdout


def test_the_process_is_not_root_and_locked_in(host: Host) -> None:
    process = host.process.get(comm="temporal-ui-ser")
    assert process.user == "temporal-ui"
    score = host.check_output("systemd-analyze security --no-pager temporal-ui.service | tail -1")
    assert "OK" in score


def test_nobody_else_reads_the_configuration(host: Host) -> None:
    file = host.file("/etc/temporal-ui/ui.yaml")
    assert (file.user, file.group, file.mode) == ("root", "temporal-ui", 0o640)
