"""A drill on a live cluster: what is not survived or not confirmed is refused, and each fault is over afterwards."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils._drill import GRACE_SECONDS, PRIMARY, TABLE, VIP_HOLDER
from ansible_collections.zerospof.temporal.plugins.modules.drill_fault import TIMER

from lab.view import PROXY, View
from tests.chaos.victims import two_balancers
from tests.chaos.whole import balancers_are_whole, database_is_whole, until
from tests.cluster.conftest import LiveCluster, Run
from tests.cluster.test_gates import out_of_traffic
from tests.cluster.test_rolling_upgrade import at_line, kill_when
from tests.drill_report import result_in

pytestmark = pytest.mark.profiles(whole=["basic", "ha_postgresql"])

SECONDS = 20
UNITS = "systemctl show --property=ActiveEnterTimestamp 'temporal-*.service'"
LEFT = f"nft list tables | grep {TABLE}; systemctl list-timers --all --no-legend '{TIMER}*'"
CONFIGURATION, KEPT = "/etc/temporal/server.yaml", "/root/before-the-drill"
# Until another balancer has taken the virtual address and told it.
TAKEOVER_SECONDS = 5


def asked(fault: str, victim: str, *options: str, sentence: str | None = None, **wishes: object) -> list[str]:
    """The options of a drill that somebody confirms, with ``sentence`` or with the right one."""
    said = f"{fault} {victim} for {SECONDS} s" if sentence is None else sentence
    given = {"fault": fault, "victims": victim, "seconds": SECONDS, "confirmation": said} | wishes
    words = [word for name, wish in given.items() for word in ("-e", json.dumps({f"drill_{name}": wish}))]
    return [*words, *options]


def drill(
    cluster: LiveCluster, fault: str, victim: str, *options: str, sentence: str | None = None, **wishes: object
) -> Run:
    return cluster.run("failover_drill", *asked(fault, victim, *options, sentence=sentence, **wishes))


def flat(run: Run) -> str:
    """What a run printed, without the ends of lines that Ansible puts into long messages."""
    return " ".join(run.output.split())


def passed(run: Run, directory: Path) -> dict[str, Any]:
    """The result of a drill that wrote into ``directory`` and has to be passed."""
    print(run.output[run.output.rfind("TASK [What the drill showed") :])
    assert run.code == 0, run.reasons
    return result_in(directory)


@pytest.fixture
def victim(cluster: LiveCluster) -> Iterator[str]:
    """A Temporal host; afterwards it has no part in what the drill did, and its balancer knows it."""
    view = cluster.view
    host = next(host for host in view.members("temporal_servers") if host != view.vip_holder())
    until("every server is up", view.every_server_is_up)
    yield host
    until("every server is up again", view.every_server_is_up)


def test_check_mode_shows_the_drill_and_changes_nothing(cluster: LiveCluster, victim: str) -> None:
    before = cluster.view.on(victim, UNITS)
    check = drill(cluster, "kill", victim, "--check", sentence="")
    assert check.code == 0, check.reasons
    assert set(check.changed.values()) == {0}
    assert f"kill {victim} for {SECONDS} s: SIGKILL for the services" in check.output
    assert cluster.view.on(victim, UNITS) == before


@pytest.mark.parametrize("limit", ["", "all"])
def test_what_nobody_has_confirmed_is_not_done(cluster: LiveCluster, victim: str, limit: str) -> None:
    before = cluster.view.on(victim, UNITS)
    refused = drill(cluster, "kill", victim, *(["--limit", limit] if limit else []), sentence="yes")
    assert refused.code != 0
    assert "Nothing was done: 'yes' is not 'kill" in refused.output
    assert cluster.view.on(victim, UNITS) == before


def test_what_is_not_well_is_not_drilled(cluster: LiveCluster, victim: str) -> None:
    other = next(host for host in cluster.view.members("temporal_servers") if host != victim)
    before = cluster.view.on(victim, UNITS)
    cluster.view.on(other, "systemctl stop temporal-matching.service")
    try:
        refused = drill(cluster, "kill", victim)
    finally:
        cluster.view.on(other, "systemctl start temporal-matching.service")
    assert refused.code != 0
    assert f"{other}: temporal-matching.service does not run" in refused.output
    assert cluster.view.on(victim, UNITS) == before


def test_nobody_is_hit_while_a_gate_refuses(cluster: LiveCluster, victim: str) -> None:
    """Every service runs, as the plan asks, and one of them is left out of the traffic."""
    view = cluster.view
    servers = view.members("temporal_servers")
    before = view.on(victim, UNITS)
    with out_of_traffic(view, [host for host in servers if host != victim][:1]):
        refused = drill(cluster, "kill", victim, "-e", "haproxy_health_timeout_seconds=5")
    assert refused.code != 0
    assert f"{PROXY}: {len(servers) - 1} of {len(servers)} servers are up, {len(servers)} must be" in flat(refused)
    assert view.on(victim, UNITS) == before


def test_what_has_changed_since_somebody_confirmed_is_not_done(cluster: LiveCluster, victim: str) -> None:
    view = cluster.view
    before = view.on(victim, UNITS)
    change = f"cp --archive {CONFIGURATION} {KEPT} && echo '# changed' >> {CONFIGURATION}"
    command = cluster.playbook("failover_drill", *asked("kill", victim))
    try:
        # While the gates are asked, which let pass what waits for a restart.
        refused = at_line(command, "^PLAY ", "TASK [What was confirmed is known", lambda _: view.on(victim, change))
    finally:
        view.on(victim, f"test ! -e {KEPT} || mv {KEPT} {CONFIGURATION}")
    assert refused.code != 0
    assert "Nothing was done: the cluster is another one than when the plan was made" in flat(refused)
    assert "waits for a restart, which this would be" in flat(refused)
    assert view.on(victim, UNITS) == before


def test_a_host_that_is_cut_off_comes_back_without_the_control_node(cluster: LiveCluster, victim: str) -> None:
    view = cluster.view
    command = cluster.playbook("failover_drill", *asked("cut", victim, before_seconds=5))
    kill_when(command, rf"changed: \[{victim}\]", after="TASK [The fault is there]")
    assert TABLE in view.on(victim, f"{LEFT} || true")
    until("its timer has ended the cut", lambda: is_free(view, victim), SECONDS + GRACE_SECONDS + 30)


def is_free(view: View, host: str) -> bool:
    """Whether nothing of a fault is left on a host."""
    return view.on(host, f"{LEFT} || true").strip() == ""


# The first one on a host whose last fault nobody but its timer has ended.
@pytest.mark.parametrize("fault", ["cut", "kill", "hang"])
def test_a_fault_is_made_and_over_and_its_report_is_there(
    cluster: LiveCluster, victim: str, tmp_path: Path, fault: str
) -> None:
    result = passed(drill(cluster, fault, victim, directory=str(tmp_path)), tmp_path)
    assert result["victims"] == [victim]
    assert result["starts"] > 0
    assert not result["problems"]
    # How long clients waited is judged by the playbook and published; what was acknowledged is kept on any machine.
    assert not any(result["found"].values()), result["found"]
    assert is_free(cluster.view, victim)


@pytest.mark.profiles(whole=["ha_postgresql", "ha_cassandra"])
def test_the_primary_is_killed_whoever_it_is(cluster: LiveCluster, tmp_path: Path) -> None:
    view = cluster.view
    until("the database is whole", lambda: database_is_whole(view))
    primary = view.database_primary()
    sentence = f"kill {primary} for {SECONDS} s"
    run = drill(cluster, "kill", PRIMARY, sentence=sentence, directory=str(tmp_path), before_seconds=5)
    assert passed(run, tmp_path)["victims"] == [primary]
    until("the database is whole again", lambda: database_is_whole(view))


@pytest.mark.parametrize(("place", "part"), [(0, VIP_HOLDER), (1, "")], ids=["the-holder", "another-balancer"])
def test_a_balancer_that_is_cut_off_has_the_virtual_address_for_nobody(
    cluster: LiveCluster, tmp_path: Path, place: int, part: str
) -> None:
    view = cluster.view
    until("every server is up", view.every_server_is_up)
    balancer = two_balancers(view)[place]
    hardware = view.on(balancer, "cat /sys/class/net/eth0/address").strip()
    sentence = f"cut {balancer} for {SECONDS} s"
    with neighbour(view) as seen:
        run = drill(cluster, "cut", part or balancer, sentence=sentence, directory=str(tmp_path), before_seconds=5)
    result = passed(run, tmp_path)
    assert result["victims"] == [balancer]
    began = datetime.fromisoformat(result["started"]).timestamp()
    meanwhile = {
        address for moment, address in seen if began + TAKEOVER_SECONDS < moment < began + result["held_seconds"]
    }
    assert meanwhile
    assert hardware not in meanwhile
    until("all balancers run, and one has the address", lambda: balancers_are_whole(view) and bool(view.vip_holder()))


@contextlib.contextmanager
def neighbour(view: View) -> Iterator[list[tuple[float, str]]]:
    """Whom this machine takes for the host with the virtual address: moments and hardware addresses, as time goes."""
    name, _, port = view.address().rpartition(":")
    seen: list[tuple[float, str]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            # Who is not asked for anything may be anybody.
            with contextlib.suppress(OSError), socket.create_connection((name, int(port)), timeout=0.5):
                pass
            told = subprocess.run(["ip", "-json", "neigh", "show", name], capture_output=True, check=True).stdout
            seen.extend((time.time(), row["lladdr"]) for row in json.loads(told or "[]") if "lladdr" in row)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
