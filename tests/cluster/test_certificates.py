"""Certificates of a loaded cluster are renewed and no client notices; what ends too soon is seen before it ends."""

from __future__ import annotations

import re
import time
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


def rotate(cluster: LiveCluster, step: str, path: Path, *options: str) -> None:
    """Take one step with clients that have followed the one before it, and see that none of them notices."""
    asked = ("-e", f"rotate_authority={step}", "-e", "accept_outage=true", *options)
    with ledger(cluster.view, path) as books:
        run = run_marked(cluster.playbook("rotate_certificates", *asked), books)
    print(f"{step}: {run.seconds:.0f} s", *run.parts, sep="\n")
    assert run.code == 0, run.output[-8000:]
    judged(books)


def authorities(view: View) -> set[tuple[str, ...]]:
    """What the hosts trust, the same on every host when there is one."""
    count = "for file in /etc/*/tls/ca.crt; do sha256sum < $file; done"
    hosts = dict.fromkeys(host for tier in TIERS for host in view.members(tier))
    return {tuple(sorted(set(view.on(host, count).split()) - {"-"})) for host in hosts}


def refused(cluster: LiveCluster, reason: str, step: str, *options: str) -> None:
    before, files = on_disk(cluster.view), sorted((cluster.directory / "pki").glob("*.*"))
    run = cluster.run("rotate_certificates", "-e", f"rotate_authority={step}", *options)
    assert run.code != 0
    assert reason in run.output, run.output[-4000:]
    assert on_disk(cluster.view) == before
    assert sorted((cluster.directory / "pki").glob("*.*")) == files


def settled(cluster: LiveCluster, step: str) -> None:
    """Return when nobody may present a former certificate any more."""
    while True:
        check = cluster.run("rotate_certificates", "-e", f"rotate_authority={step}", "--check")
        left = re.search(r"for another (\d+) s", check.output)
        if left is None:
            assert check.code == 0, check.reasons
            return
        time.sleep(int(left[1]))


def test_another_authority_takes_over_under_load_step_by_step_and_no_client_notices(
    cluster: LiveCluster, tmp_path: Path
) -> None:
    view, pki = cluster.view, cluster.directory / "pki"
    former = (pki / "ca.crt").read_text(encoding="utf-8")
    tracked = {"etcd.service", "temporal-ui.service"} | {
        f"temporal-{service}.service" for service in ("frontend", "history", "matching", "worker")
    }
    refused(cluster, "begin with rotate_authority=trust", "sign")
    refused(cluster, "--limit leaves out", "trust", "--limit", "server-a")

    started = starts(view, *TIERS)
    rotate(cluster, "trust", tmp_path / "trust.sqlite")
    assert {unit for _, unit in restarted(started, starts(view, *TIERS))} == tracked
    assert len(authorities(view)) == 1
    assert (pki / "ca.crt").read_text(encoding="utf-8").startswith(former)

    refused(cluster, "go on with rotate_authority=sign", "finish")
    settled(cluster, "sign")
    file = "/etc/temporal/tls/ca.crt"
    both = view.on("server-c", f"cat {file}")
    view.on("server-c", f"cat > {file}", stdin=former)
    try:
        refused(cluster, "server-c: /etc/temporal/tls/temporal.crt does not go with the new authority", "sign")
    finally:
        view.on("server-c", f"cat > {file}", stdin=both)

    started, presented = starts(view, *TIERS), served(view)
    rotate(cluster, "sign", tmp_path / "sign.sqlite")
    assert {unit for _, unit in restarted(started, starts(view, *TIERS))} == {"temporal-ui.service"}
    assert {place for place, fingerprint in served(view).items() if presented[place] == fingerprint} == set()

    settled(cluster, "finish")
    rotate(cluster, "finish", tmp_path / "finish.sqlite")
    assert former not in (pki / "ca.crt").read_text(encoding="utf-8")
    check = "for file in /etc/*/tls/*.crt; do openssl verify -CAfile $(dirname $file)/ca.crt $file; done"
    for host in view.members("temporal_servers") + view.members("postgresql"):
        assert view.on(host, f"{check}; grep -c BEGIN /etc/*/tls/ca.crt | cut -d: -f2 | sort -u").split()[-1] == "1"
    assert presents_what_it_has(served(view), on_disk(view))
    site = cluster.run("site")
    assert site.code == 0, site.reasons
    assert set(site.changed.values()) == {0}
