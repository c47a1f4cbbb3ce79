"""Temporal goes from one minor to the next under load and no client notices; a release that fails is left again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _schema, _upgrade
from ansible_collections.zerospof.temporal.plugins.module_utils._calls import RETRYING

from lab import state
from lab.cluster import choose, deploy, prepare, with_release
from lab.view import View
from tests.bench.rolling_restart import run as run_marked
from tests.chaos.ledger import Ledger, ledger
from tests.cluster.conftest import ROOT, LiveCluster, Run, lab
from tests.cluster.losses import lose
from tests.cluster.test_rolling_restart import on_hosts, restarted, starts, wait_for_every_server

# Two whole upgrades and as many ways back. The smallest cluster has all that takes part in one.
pytestmark = pytest.mark.profiles(whole=["basic"])

NAME, SUBNET, IMAGE = "test-upgrade", "10.92.0.0/24", "debian-12"
OLD, NEW = "1.30.6", "1.31.2"
RELEASES = "/opt/temporal-server"
ARCHIVE = "temporal-server-{}-linux-amd64.tar.gz"
UNITS = [f"temporal-{service}.service" for service in ("frontend", "history", "matching", "worker")]
PROGRAMS = f"for unit in {' '.join(UNITS)}; do readlink /proc/$(systemctl show -P MainPID $unit)/exe; done"


@pytest.fixture(scope="module")
def fleet(running: str | None) -> Iterator[LiveCluster]:
    """A cluster of the older release; one of its own, because no other test could go on with it.

    One that is ``running`` has that release and artifacts of both, and is given back so.
    """
    if running is not None:
        cluster = LiveCluster("basic", running)
        choose(cluster, OLD)
        yield cluster
        return
    cluster = LiveCluster("basic", NAME, SUBNET, IMAGE)
    lab("down", "--name", NAME, "--missing-ok")
    prepare(cluster)
    for release in (NEW, OLD):
        with_release(cluster, release)
    deploy(cluster)
    yield cluster
    lab("down", "--name", NAME)


def programs(view: View) -> dict[str, set[str]]:
    """The release that the processes of each Temporal host run."""
    hosts = view.members("temporal_servers")
    return {host: {path.split("/")[3] for path in view.on(host, PROGRAMS).split()} for host in hosts}


def selected(view: View) -> set[str]:
    return {view.on(host, f"readlink {RELEASES}/current").strip() for host in view.members("temporal_servers")}


def schema_versions(view: View) -> list[str]:
    [primary] = view.members("postgresql")
    statement = "select curr_version from schema_version"
    return [view.query(primary, name, statement)[0][0] for name in ("temporal", "temporal_visibility")]


def whole(view: View) -> Mapping[str, object]:
    """All that a refused run must leave as it is."""
    return {"starts": starts(view, "temporal_servers"), "selected": selected(view), "schemas": schema_versions(view)}


def judged(books: Ledger, least: int = 50, *, crowded: bool = False) -> None:
    """No client noticed, of more than ``least`` calls, and nothing was lost.

    On a ``crowded`` machine, which does not always answer in time, clients may notice.
    """
    print(books.table)
    assert books.verdict.problems == []
    assert crowded or books.failed(RETRYING) == [], books.table
    assert len(books.of(RETRYING)) > least


def test_the_table_says_what_the_schema_tools_of_the_releases_say(fleet: LiveCluster) -> None:
    for release in (OLD, NEW):
        with tarfile.open(state.cache_root() / "artifacts" / ARCHIVE.format(release)) as archive:
            tools = {
                name: archive.extractfile(f"temporal-{name}-tool").read()  # type: ignore[union-attr]
                for name in ("sql", "cassandra")
            }
        needs = _upgrade.MINORS[_upgrade.parse(release)[:2]].needs
        for schema, version in needs.items():
            tool = tools["cassandra" if schema.startswith("cassandra") else "sql"]
            assert _schema.newest_embedded(schema, tool) == version, (release, schema)
    assert schema_versions(fleet.view) == [
        needs_of(OLD, schema) for schema in (_upgrade.POSTGRESQL, _upgrade.VISIBILITY)
    ]


def needs_of(release: str, schema: str) -> str:
    return _upgrade.MINORS[_upgrade.parse(release)[:2]].needs[schema]


def test_site_does_not_change_the_release_of_a_live_cluster(fleet: LiveCluster) -> None:
    before = whole(fleet.view)
    choose(fleet, NEW)
    refused = fleet.run("site")
    assert refused.code != 0
    assert f"temporal_version is {NEW}, and server-a, server-b, server-c have {OLD}" in refused.output
    assert "rolling_upgrade.yml" in refused.output
    assert whole(fleet.view) == before


def test_check_mode_shows_the_way_and_changes_nothing(fleet: LiveCluster) -> None:
    before = whole(fleet.view)
    check = fleet.run("rolling_upgrade", "--check")
    assert check.code == 0, check.reasons
    assert set(check.changed.values()) == {0}
    assert f"A host that does not come through goes back to {OLD}." in check.output
    assert "First the schema of temporal goes from 1.18 to 1.19." in check.output
    assert "goes from 1.13 to 1.14; writes executions_visibility anew 2 times" in check.output
    assert re.findall(r"^   \d/3  az_\w  (\S+) +1\.30\.6 becomes 1\.31\.2$", check.output, re.MULTILINE) == [
        "server-a",
        "server-b",
        "server-c",
    ]
    assert whole(fleet.view) == before


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        (["-e", "temporal_version=1.32.0"], [f"{OLD} to 1.32.0 skips 1.31", "1.32.0 is not a release that is known"]),
        (["-e", "temporal_version=1.30.0"], ["1.30.0 was retracted", f"{OLD} to 1.30.0 is a step back"]),
        (["-e", "lock_limit_seconds=0"], ["the schema of temporal_visibility from 1.13 to 1.14 writes"]),
        (["--limit", "server-a"], ["--limit leaves out server-b, server-c"]),
    ],
)
def test_what_must_not_be_is_refused_before_anything_is_touched(
    fleet: LiveCluster, options: list[str], reasons: list[str]
) -> None:
    before = whole(fleet.view)
    refused = fleet.run("rolling_upgrade", *options)
    assert refused.code != 0
    assert "with this way; nothing was changed" in refused.output
    assert [reason for reason in reasons if reason not in refused.output] == []
    assert whole(fleet.view) == before


def test_a_mixed_fleet_is_refused(fleet: LiveCluster) -> None:
    view = fleet.view
    view.on("server-b", f"mkdir {RELEASES}/1.30.5; ln -sfn 1.30.5 {RELEASES}/current")
    try:
        before = whole(view)
        refused = fleet.run("rolling_upgrade")
        assert whole(view) == before
        one_alone = fleet.run("site", "--limit", "server-a", "-e", f"temporal_version={OLD}")
        assert whole(view) == before
    finally:
        view.on("server-b", f"ln -sfn {OLD} {RELEASES}/current; rmdir {RELEASES}/1.30.5")
    assert refused.code != 0
    assert f"server-b has 1.30.5 and {OLD}" in refused.output
    # Also by who looks at another host alone.
    assert one_alone.code != 0
    assert f"temporal_version is {OLD}, and server-b has 1.30.5" in one_alone.output


def test_nothing_is_gone_back_to_before_the_first_upgrade(fleet: LiveCluster) -> None:
    for host in fleet.view.members("temporal_servers"):
        # Of an earlier run of these tests on the same lab.
        fleet.view.on(host, f"rm -f {RELEASES}/previous")
    refused = fleet.run("rollback")
    assert refused.code != 0
    assert f"no release before {OLD} is remembered" in refused.output


def test_a_canary_that_fails_goes_back_by_its_link_and_the_others_are_not_touched(fleet: LiveCluster) -> None:
    view = fleet.view
    choose(fleet, NEW)
    before = starts(view, "temporal_servers")
    damage(fleet, "server-a")
    try:
        failed = fleet.run("rolling_upgrade")
    finally:
        view.on("server-a", f"cd {RELEASES}/{NEW} && mv whole temporal-server")
    after = starts(view, "temporal_servers")
    assert failed.code != 0
    assert "server-a (temporal_servers, az_a, batch 1 of 3) did not come through" in failed.output
    assert f"server-a went back to {OLD} and is healthy with it." in failed.output
    assert on_hosts(restarted(before, after)) == {"server-a"}
    assert selected(view) == {OLD}
    assert programs(view) == {host: {OLD} for host in view.members("temporal_servers")}
    assert schema_versions(view) == ["1.19", "1.14"]
    wait_for_every_server(view)


def damage(cluster: LiveCluster, host: str) -> None:
    """Put the newer release on ``host`` as if it had been damaged later: its server ends at once."""
    archive = state.cache_root() / "artifacts" / ARCHIVE.format(NEW)
    sums = (archive.parent / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    manifest = next(line for line in sums if line.endswith(f"  {archive.name}"))
    directory = f"{RELEASES}/{NEW}"
    cluster.view.on(host, f"mkdir -p {directory} && echo '{manifest}' > {directory}/MANIFEST")
    unpack = ["-m", "ansible.builtin.unarchive", "-a", f"src={archive} dest={directory} owner=root group=root"]
    subprocess.run(["ansible", *cluster.inventories, host, *unpack], cwd=ROOT, check=True)
    broken = "printf '#!/bin/sh\\nexit 1\\n' > temporal-server && chmod 755 temporal-server"
    cluster.view.on(host, f"cd {directory} && mv temporal-server whole && {broken}")


def test_an_upgrade_under_load_is_seen_by_no_client(fleet: LiveCluster, tmp_path: Path) -> None:
    view = fleet.view
    choose(fleet, NEW)
    with ledger(view, tmp_path / "ledger.sqlite") as books:
        run = run_marked(fleet.playbook("rolling_upgrade"), books)
    print(*run.parts, sep="\n")
    (fleet.directory / "rolling_upgrade.svg").write_text(books.chart)
    assert run.code == 0, run.output[-8000:]
    judged(books)
    assert programs(view) == {host: {NEW} for host in view.members("temporal_servers")}
    again = fleet.run("rolling_upgrade", "--check")
    assert f"Every Temporal host runs {NEW}." in again.output
    assert "Nothing is to be restarted" in again.output
    site = fleet.run("site")
    assert site.code == 0, site.reasons
    assert "No service waits for a restart." in site.output


def test_a_rollback_under_load_is_seen_by_no_client(fleet: LiveCluster, tmp_path: Path) -> None:
    view = fleet.view
    choose(fleet, NEW)
    with ledger(view, tmp_path / "ledger.sqlite") as books:
        run = run_marked(fleet.playbook("rollback"), books)
    print(*run.parts, sep="\n")
    assert run.code == 0, run.output[-8000:]
    judged(books)
    assert programs(view) == {host: {OLD} for host in view.members("temporal_servers")}
    assert schema_versions(view) == ["1.19", "1.14"]
    assert f"Put temporal_version: {OLD} into the inventory" in run.output
    again = fleet.run("rollback")
    assert again.code != 0
    assert f"no release before {OLD} is remembered" in again.output


def test_a_control_node_that_dies_half_way_is_no_loss(fleet: LiveCluster, tmp_path: Path) -> None:
    """Killed in the second batch; a second run goes on without the host that was done."""
    view = fleet.view
    choose(fleet, NEW)
    with ledger(view, tmp_path / "ledger.sqlite") as books:
        kill_when(fleet.playbook("rolling_upgrade"), "TASK .*The services restart", after="batch 2 of 3")
        first = starts(view, "temporal_servers")
        assert programs(view)["server-a"] == {NEW}
        assert programs(view)["server-c"] == {OLD}
        refused = fleet.run("site")
        assert refused.code != 0
        run = run_marked(fleet.playbook("rolling_upgrade"), books)
    assert run.code == 0, run.output[-8000:]
    judged(books)
    assert programs(view) == {host: {NEW} for host in view.members("temporal_servers")}
    assert "server-a" not in on_hosts(restarted(first, starts(view, "temporal_servers")))
    choose(fleet, OLD)
    back = fleet.run("rollback")
    assert back.code == 0, back.output[-8000:]
    assert selected(view) == {OLD}


def at_line(command: list[str], pattern: str, after: str, act: Callable[[subprocess.Popen[str]], None]) -> Run:
    """Run ``command``; at the first line of ``pattern`` after ``after``, let ``act`` do something with its process."""
    environment = os.environ | {"ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}
    said: list[str] = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        seen, acted = False, False
        for line in process.stdout:
            said.append(line)
            seen = seen or after in line
            if seen and not acted and re.search(pattern, line):
                acted = True
                act(process)
                # Connections that outlive it would keep what it says open.
                if process.poll() is not None:
                    break
        code = process.wait()
    assert acted, f"it ended with {code} before anything could be done: {''.join(said[-20:])}"
    return Run(code, "".join(said))


def kill_when(command: list[str], pattern: str, after: str, ready: Callable[[], None] = lambda: None) -> str:
    """Run ``command``; kill it, with all that it started, at the first line of ``pattern`` after ``after``.

    ``ready`` waits there until it is time to. Returns what it had said until then.
    """

    def act(process: subprocess.Popen[str]) -> None:
        ready()
        lose(process)

    run = at_line(command, pattern, after, act)
    assert run.code == -signal.SIGKILL, f"it ended with {run.code} before it could be killed"
    return run.output
