"""The primary moves on request, and hosts leave a loaded cluster and come back, and no client notices."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import SINGLE

from lab.view import View
from tests.bench.rolling_restart import run as run_marked
from tests.chaos.ledger import Ledger, ledger
from tests.chaos.whole import replicas, until
from tests.cluster.conftest import Edited, LiveCluster, edited
from tests.cluster.test_rolling_restart import restarted, starts
from tests.cluster.test_rolling_upgrade import judged, kill_when

# Minutes of a busy machine, which the hour of make test has no room for.
pytestmark = pytest.mark.profiles(whole=["ha_postgresql"])

TIERS = ("postgresql", "temporal_servers", "load_balancers", "temporal_workers")
LEAVING = ["worker-c", "lb-c", "temporal-c"]
# PostgreSQL comes to a host that has another service, so that it takes no host more than the lab has.
REPLICA = "worker-c"
REMOVE = ("-e", f"hosts_to_remove=[{','.join(LEAVING)}]")
# Where the control node dies: the services of a Temporal host have stopped for good, its key is gone, and the way to
# its database is still there.
HALF_WAY = "TASK .*pgbouncer : remove . PgBouncer is stopped for good"
ENABLED = "systemctl list-unit-files --state=enabled --no-legend --plain | cut -d' ' -f1 | sort"
STATE = "runuser -u postgres -- psql -h /run/pgbouncer -p 6432 -U pgbouncer -d pgbouncer -qtAX -c 'SHOW STATE'"


def enabled(view: View) -> dict[str, str]:
    """The units of every host that start by themselves."""
    return {host.name: view.on(host.name, ENABLED) for host in view.lab.hosts}


def check(cluster: LiveCluster, books: Ledger, what: str) -> None:
    """No client noticed, and nothing was lost."""
    (cluster.directory / f"{what}.svg").write_text(books.chart)
    judged(books, least=20)
    print(f"{what}: {len(books.failed(SINGLE))} of {len(books.of(SINGLE))} single attempts failed")


def standby(view: View) -> str:
    """A member of PostgreSQL that does not lead."""
    primary = view.database_primary()
    return next(host for host in view.members("postgresql") if host != primary)


def test_check_mode_names_who_is_to_lead_and_changes_nothing(cluster: LiveCluster) -> None:
    view = cluster.view
    primary, target = view.database_primary(), standby(view)
    shown = cluster.run("switchover", "-e", f"patroni_switchover_target={target}", "--check")
    assert shown.code == 0, shown.reasons
    assert (
        f"{target} takes the leadership of PostgreSQL from {primary}, while the queries of temporal-a" in shown.output
    )
    assert set(shown.changed.values()) <= {0, 1}
    assert view.database_primary() == primary


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("-e", "patroni_switchover_target=db-x"), "db-x cannot lead: it is no member of the cluster; fit are: db-"),
        (("--limit", "postgresql"), "--limit leaves out temporal-a, temporal-b, temporal-c"),
        (("--forks=1",), "and Ansible goes to 1 at once; run this again with --forks=4"),
    ],
)
def test_a_switchover_that_cannot_be_is_refused(cluster: LiveCluster, options: tuple[str, ...], reason: str) -> None:
    primary = cluster.view.database_primary()
    refused = cluster.run("switchover", *options)
    assert refused.code != 0
    assert reason in " ".join(refused.output.split())
    assert cluster.view.database_primary() == primary


def test_a_replica_that_does_not_run_refuses_a_switchover(cluster: LiveCluster) -> None:
    view = cluster.view
    primary, stopped = view.database_primary(), standby(view)
    view.on(stopped, "systemctl stop patroni.service")
    try:
        refused = cluster.run("switchover", "-e", "patroni_health_timeout_seconds=5")
    finally:
        view.on(stopped, "systemctl start patroni.service")
        until("every member follows", lambda: cluster.run("switchover", "--check").code == 0)
    assert refused.code != 0
    assert stopped in refused.reasons
    assert view.database_primary() == primary


def test_the_primary_moves_under_load_and_no_client_notices(cluster: LiveCluster, tmp_path: Path) -> None:
    view = cluster.view
    target = standby(view)
    before = starts(view, *TIERS)
    with ledger(view, tmp_path / "ledger.sqlite") as books:
        run = run_marked(cluster.playbook("switchover", "-e", f"patroni_switchover_target={target}"), books)
    assert run.code == 0, run.output[-8000:]
    check(cluster, books, "switchover")
    assert view.database_primary() == target
    assert f"{target} leads PostgreSQL" in run.output
    assert ["active|yes" in view.on(host, STATE) for host in view.members("temporal_servers")] == [True] * 3
    assert restarted(before, starts(view, *TIERS)) == set()
    again = cluster.run("switchover", "-e", f"patroni_switchover_target={target}")
    assert again.code == 0, again.reasons
    assert f"{target} leads already: nothing is to be done" in again.output


@pytest.mark.parametrize(
    ("hosts", "reason"),
    [
        ("db-c", "etcd: has 2 members (db-a, db-b); an even number survives no more than 1 do"),
        (
            "temporal-a,temporal-b,temporal-c",
            "temporal_servers: the group has no host, but profile ha_postgresql needs",
        ),
        ("lb-a,lb-b", "lb-c: profile ha_postgresql promises no single point of failure"),
        ("worker-x", "worker-x: is no host of this cluster"),
    ],
)
def test_a_removal_that_breaks_the_cluster_is_refused(cluster: LiveCluster, hosts: str, reason: str) -> None:
    before = enabled(cluster.view)
    refused = cluster.run("scale_in", "-e", f"hosts_to_remove=[{hosts}]", "-e", "accept_weaker=true")
    assert refused.code != 0
    assert "with this removal; nothing was changed" in refused.output
    assert reason in refused.output
    assert enabled(cluster.view) == before


def without(groups: Any, hosts: list[str]) -> Any:  # noqa: ANN401
    """A file of an inventory without some of its hosts."""
    if not isinstance(groups, dict):
        return groups
    return {name: without(value, hosts) for name, value in groups.items() if name not in hosts}


@pytest.fixture(scope="module")
def grown(cluster: LiveCluster, tmp_path_factory: pytest.TempPathFactory) -> Edited:
    """One replica of PostgreSQL more. A zone has two members then, so another one has to confirm writes as well."""
    copy = edited(cluster, tmp_path_factory.mktemp("grown"))
    confirmed = {"bootstrap": {"dcs": {"synchronous_node_count": 2}}}
    groups = {"postgresql": {"hosts": {REPLICA: None}, "vars": {"patroni_config_overrides": confirmed}}}
    (copy.place / "example" / "replica.yml").write_text(yaml.safe_dump({"all": {"children": groups}}), encoding="utf-8")
    return copy


@pytest.fixture(scope="module")
def smaller(grown: Edited, tmp_path_factory: pytest.TempPathFactory) -> Edited:
    """The hosts that left are deleted."""
    place = tmp_path_factory.mktemp("smaller") / "inventory"
    shutil.copytree(grown.place, place)
    for file in place.glob("*/*.yml"):
        file.write_text(yaml.safe_dump(without(yaml.safe_load(file.read_text()), LEAVING)), encoding="utf-8")
    return Edited(grown.profile, grown.name, place=place)


def test_a_replica_comes_under_load(cluster: LiveCluster, grown: Edited, tmp_path: Path) -> None:
    view = cluster.view
    before = starts(view, *TIERS)
    with ledger(view, tmp_path / "ledger.sqlite") as books:
        site = grown.run("site")
    assert site.code == 0, site.reasons
    check(cluster, books, "replica")
    until("it follows the primary", lambda: REPLICA in replicas(view))
    after = starts(view, *TIERS)
    assert {service: after[service] for service in before} == before


def test_check_mode_shows_who_leaves_and_changes_nothing(grown: Edited) -> None:
    before = enabled(grown.view)
    shown = grown.run("scale_in", *REMOVE, "--check")
    assert shown.code == 0, shown.reasons
    # Of who leaves PostgreSQL, the role is asked in advance, and tells what it would do.
    assert {host for host, changed in shown.changed.items() if changed} <= {REPLICA}
    assert "To leave the cluster: 3 hosts in 5 steps" in shown.output
    assert re.findall(r"^   az_c  (\S+)$", shown.output, re.MULTILINE) == [
        "worker-c",
        "lb-c",
        "temporal-c",
        "temporal-c",
        "worker-c",
    ]
    assert enabled(grown.view) == before


def test_hosts_leave_under_load_and_the_inventory_follows(grown: Edited, smaller: Edited, tmp_path: Path) -> None:
    view = grown.view
    before = starts(view, *TIERS)
    with ledger(view, tmp_path / "ledger.sqlite") as books:
        kill_when(grown.playbook("scale_in", *REMOVE), HALF_WAY, after="temporal-c leaves temporal_servers")
        run = run_marked(grown.playbook("scale_in", *REMOVE), books)
        site = smaller.run("site")
    print(f"scale_in, what was left of it: {run.seconds:.0f} s")
    assert run.code == 0, run.output[-8000:]
    assert "az_c  temporal-c, half-way" in run.output
    assert "worker-c, lb-c, temporal-c left the cluster" in run.output
    assert site.code == 0, site.reasons
    check(grown, books, "scale_in")
    assert set(view.server_states()) == {"temporal-a", "temporal-b"}
    assert view.every_server_is_up()
    staying = {service: moment for service, moment in before.items() if service[0] not in LEAVING}
    after = starts(view, *TIERS)
    assert {service: after[service] for service in staying} == staying
    units = enabled(view)
    assert "temporal-frontend.service" not in units["temporal-c"]
    assert "haproxy-edge.service" not in units["lb-c"]
    assert "patroni.service" not in units[REPLICA]
    assert REPLICA not in replicas(view)
    again = grown.run("scale_in", *REMOVE)
    assert again.code == 0, again.reasons
    assert "worker-c, lb-c, temporal-c have left the cluster already" in again.output


def test_a_second_run_with_the_smaller_inventory_changes_nothing(smaller: Edited) -> None:
    second = smaller.run("site")
    assert second.code == 0, second.reasons
    assert {host: changed for host, changed in second.changed.items() if changed} == {}


def test_the_hosts_come_back_under_load(cluster: LiveCluster, tmp_path: Path) -> None:
    view = cluster.view
    with ledger(view, tmp_path / "ledger.sqlite") as books:
        site = cluster.run("site")
    assert site.code == 0, site.reasons
    check(cluster, books, "scale_out")
    assert set(view.server_states()) == set(view.members("temporal_servers"))
    assert view.every_server_is_up()
    until("the ring has every server", lambda: view.history_members() == set(view.members("temporal_servers")))
    verified = cluster.run("verify")
    assert verified.code == 0, verified.reasons
