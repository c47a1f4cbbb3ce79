"""Certificates of a loaded cluster are renewed and no client notices; what ends too soon is seen before it ends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.view import View
from tests.bench.rolling_restart import run as run_marked
from tests.chaos.ledger import ledger
from tests.cluster.conftest import LiveCluster
from tests.cluster.test_rolling_restart import restarted, starts
from tests.cluster.test_rolling_upgrade import judged, kill_when

# Minutes under load. The smallest cluster has a service of each kind but Cassandra.
pytestmark = pytest.mark.profiles(whole=["basic"])

TIERS = ("etcd", "postgresql", "temporal_servers", "temporal_ui", "load_balancers", "temporal_workers")
# Where a tier presents which certificate; PostgreSQL begins in the clear.
SERVED = {
    "etcd": ("etcd/tls/etcd", {"etcd_client": "", "etcd_peer": ""}),
    "postgresql": ("patroni/tls/patroni", {"patroni": "", "postgresql": "-starttls postgres"}),
    "temporal_servers": ("temporal/tls/temporal", {"frontend": "", "history": "", "matching": "", "worker": ""}),
    "temporal_ui": ("temporal-ui/tls/temporal-ui", {"ui": ""}),
}
FINGERPRINT = "openssl x509 -noout -fingerprint -sha256"
ON_DISK = f"for file in /etc/*/tls/*.crt; do echo $file $({FINGERPRINT} -in $file); done"


def served(view: View) -> dict[tuple[str, str], str]:
    """Fingerprints of the certificates that the services present, by host and port."""
    found = {}
    for tier, (stem, ports) in SERVED.items():
        for host in view.members(tier):
            for port, begin in ports.items():
                place = f"{view.lab.host(host).address}:{view.variable('temporal_ports')[port]}"
                client = f"openssl s_client -connect {place} -cert /etc/{stem}.crt -key /etc/{stem}.key {begin}"
                answer = view.on(host, f"timeout 10 {client} </dev/null 2>/dev/null | {FINGERPRINT}")
                found[host, f"/etc/{stem}.crt {port}"] = answer.partition("=")[2].strip()
    return found


def on_disk(view: View) -> dict[tuple[str, str], str]:
    """Fingerprints of the certificates of all hosts, by host and file; without those of authorities."""
    hosts = dict.fromkeys(host for tier in TIERS for host in view.members(tier))
    rows = [(host, *line.split()) for host in hosts for line in view.on(host, ON_DISK).splitlines()]
    return {
        (host, file): fingerprint.partition("=")[2]
        for host, file, _, fingerprint in rows
        if not file.endswith("ca.crt")
    }


def presents_what_it_has(presented: Mapping[tuple[str, str], str], files: Mapping[tuple[str, str], str]) -> bool:
    return all(files[host, where.split()[0]] == fingerprint for (host, where), fingerprint in presented.items())


def test_verify_shows_how_long_certificates_last_and_fails_when_one_ends_soon(cluster: LiveCluster) -> None:
    good = cluster.run("verify")
    assert good.code == 0, good.reasons
    rows = re.findall(r"^  (\S+) +(/etc/\S+\.crt) +(\d+)$", good.output, re.MULTILINE)
    assert {(host, file) for host, file, _ in rows} == set(on_disk(cluster.view))
    alarm = cluster.run("verify", "-e", "certificate_alarm_days=400")
    assert alarm.code != 0
    assert re.search(r"db-a: /etc/patroni/tls/patroni\.crt ends in 39\d days; run rotate_certificates", alarm.output)


def test_nothing_restarts_while_a_certificate_ends_soon(cluster: LiveCluster) -> None:
    before = starts(cluster.view, *TIERS)
    asked = ("-e", "tiers=[temporal_ui]", "-e", "force=true")
    refused = cluster.run("rolling_restart", *asked, "-e", "certificate_alarm_days=400")
    assert refused.code != 0
    assert "Nothing was restarted" in refused.output
    assert re.search(r"server-a: /etc/temporal/tls/temporal\.crt ends in 39\d days", refused.output)
    assert starts(cluster.view, *TIERS) == before
    assert "To be restarted: 3 hosts in 3 batches" in cluster.run("rolling_restart", *asked, "--check").output


def test_check_mode_shows_what_is_to_be_renewed_and_changes_nothing(cluster: LiveCluster) -> None:
    before = on_disk(cluster.view)
    check = cluster.run("rotate_certificates", "--check", "-e", f"issued_before={datetime.now(UTC).isoformat()}")
    assert check.code == 0, check.reasons
    assert set(check.changed.values()) == {0}
    assert f"To be renewed, with new keys: {len(before) + 1} certificates on 5 hosts" in check.output
    assert on_disk(cluster.view) == before
    young = cluster.run("rotate_certificates", "--check")
    assert "Nothing is to be renewed." in young.output


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-e", "issued_before=2999-01-01"], "is no moment of the past"),
        (["-e", "tiers=[etdc]"], "tiers: etdc: not one of"),
        (["-e", "tier=etcd"], "tier: is no wish of a rotation"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_changes(
    cluster: LiveCluster, options: list[str], reason: str
) -> None:
    before = on_disk(cluster.view)
    refused = cluster.run("rotate_certificates", *options)
    assert refused.code != 0
    assert reason in refused.output
    assert on_disk(cluster.view) == before


def test_a_rotation_under_load_that_was_interrupted_is_completed_and_seen_by_no_client(
    cluster: LiveCluster, tmp_path: Path
) -> None:
    view = cluster.view
    files, presented, started = on_disk(view), served(view), starts(view, *TIERS)
    assert presents_what_it_has(presented, files)
    asked = ("-e", f"issued_before={datetime.now(UTC).isoformat()}")
    with ledger(view, tmp_path / "ledger.sqlite") as books:
        kill_when(
            cluster.playbook("rotate_certificates", *asked),
            "TASK .*It is what is served",
            after="Certificates: temporal_servers",
        )
        middle = on_disk(view)
        run = run_marked(cluster.playbook("rotate_certificates", *asked), books)
    print(f"{run.seconds:.0f} s", *run.parts, sep="\n")
    assert run.code == 0, run.output[-8000:]
    judged(books)
    after = on_disk(view)
    done = {place for place in files if middle[place] != files[place]}
    assert ("db-a", "/etc/patroni/tls/patroni.crt") in done
    assert ("server-c", "/etc/temporal/tls/temporal.crt") not in done
    # What the first run renewed is not renewed again, and everything is new.
    assert {place for place in done if after[place] != middle[place]} == set()
    assert {place for place in files if after[place] == files[place]} == set()
    assert presents_what_it_has(served(view), after)
    # Browsers alone would see the former certificate until a restart.
    assert restarted(started, starts(view, *TIERS)) == {
        (host, "temporal-ui.service") for host in view.members("temporal_ui")
    }
    again = cluster.run("rotate_certificates", *asked)
    assert again.code == 0, again.reasons
    assert set(again.changed.values()) == {0}
    assert "Nothing is to be renewed." in again.output
    site = cluster.run("site")
    assert site.code == 0, site.reasons
    assert set(site.changed.values()) == {0}
    assert "No service waits for a restart." in site.output
