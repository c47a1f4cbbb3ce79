"""Packages and Cassandra go to newer versions under load and no client notices; what must not be is refused.

Newer packages are those that are installed, made anew with another version by newer_packages.py, so no mirror is asked.
The next release of Cassandra is the archive of the present one under another name, except on a lab that is ``running``
an older one than the collection has: that ring goes to the one of the collection.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab import state
from lab.view import View
from tests.bench.rolling_restart import run as run_marked
from tests.chaos.ledger import ledger
from tests.cluster.conftest import ROOT, LiveCluster, Run
from tests.cluster.losses import until
from tests.cluster.test_ring_loss import ring_is_whole
from tests.cluster.test_rolling_restart import on_hosts, restarted, starts, wait_for_every_server
from tests.cluster.test_rolling_upgrade import judged, kill_when

PACKAGES = pytest.mark.profiles(whole=["ha_postgresql"])
RING = pytest.mark.profiles(whole=["ha_cassandra"])

TIERS = ("etcd", "postgresql", "temporal_servers", "load_balancers")
# Of each source, in whatever version the release of Debian has it.
POSTGRESQL = "ls /var/lib/dpkg/info | grep -oE '^postgresql-(client-)?[0-9]+' | sort -u"
NAMES = f"etcd-server etcd-client haproxy keepalived patroni pgbouncer $({POSTGRESQL})"
VERSIONS = f"dpkg-query --show --showformat '${{Package}} ${{Version}}\\n' {NAMES} 2>/dev/null || true"
BUILDER = (ROOT / "tests" / "cluster" / "newer_packages.py").read_text(encoding="utf-8")
REPOSITORY = "/srv/newer"
SUFFIX = "+zerospof1"
# Left by a run of apt after which needrestart would have chosen services by itself.
CHOSEN = "/srv/needrestart"
# Apt knows nothing but these packages then, whatever the mirrors have meanwhile.
ALONE = f"""
set -e
if [ ! -e /srv/apt ]; then
    mkdir /srv/apt
    mv /etc/apt/sources.list.d /var/lib/apt/lists /srv/apt/
    [ ! -e /etc/apt/sources.list ] || mv /etc/apt/sources.list /srv/apt/
fi
mkdir -p /etc/apt/sources.list.d /var/lib/apt/lists/partial
echo 'deb [trusted=yes] file:{REPOSITORY} ./' > /etc/apt/sources.list.d/newer.list
echo 'DPkg::Post-Invoke {{"test x$NEEDRESTART_SUSPEND = x1 || touch {CHOSEN}";}};' > /etc/apt/apt.conf.d/newer
apt-get update --quiet=2
"""
AS_BEFORE = f"""
set -e
rm -rf /etc/apt/sources.list.d /etc/apt/apt.conf.d/newer /var/lib/apt/lists {REPOSITORY} {CHOSEN}
mv /srv/apt/lists /var/lib/apt/
mv /srv/apt/* /etc/apt/
rmdir /srv/apt
touch /var/lib/apt/lists
"""
HELD = "apt-mark showhold"
# What `apt upgrade` of a person or of a timer would install.
IN_PASSING = "apt-get --simulate upgrade | sed -n 's/^Inst \\([^ ]*\\).*/\\1/p'"
BROKEN = "/etc/systemd/system/keepalived.service.d/broken.conf"


def package_hosts(view: View) -> list[str]:
    return list(dict.fromkeys(host for tier in TIERS for host in view.members(tier)))


def versions(view: View) -> dict[tuple[str, str], str]:
    """The version of each package of a service, by host and name."""
    rows = [(host, *line.split()) for host in package_hosts(view) for line in view.on(host, VERSIONS).splitlines()]
    return {(host, row[0]): row[1] for host, *row in rows if len(row) == 2}


def held(view: View) -> dict[str, set[str]]:
    """The packages that each host holds."""
    return {host: set(view.on(host, HELD).split()) for host in package_hosts(view)}


def offer(view: View, host: str, version: str, names: str) -> None:
    """Make apt of ``host`` offer those of the packages ``names`` that it has in ``version``."""
    query = f"dpkg-query --show --showformat '${{db:Status-Status}} ${{Package}}\\n' {names} 2>/dev/null"
    # Others are known by name, from what an installed one recommends.
    present = f"$({query} | sed -n 's/^installed //p')"
    view.on(host, f"python3 - {REPOSITORY} {version} {present}", stdin=BUILDER)
    view.on(host, ALONE)


@pytest.fixture(scope="module")
def wanted(cluster: LiveCluster) -> dict[tuple[str, str], str]:
    """The version that each package is to have in the end."""
    return {key: version + SUFFIX for key, version in versions(cluster.view).items()}


@pytest.fixture(scope="module")
def newer(cluster: LiveCluster, wanted: dict[tuple[str, str], str]) -> Iterator[LiveCluster]:
    """A cluster on whose hosts apt offers a newer version of every package of a service."""
    view = cluster.view
    assert wanted
    for host in package_hosts(view):
        offer(view, host, SUFFIX, NAMES)
    yield cluster
    for host in package_hosts(view):
        view.on(host, AS_BEFORE)


@PACKAGES
def test_check_mode_shows_old_and_new_versions_and_changes_nothing(newer: LiveCluster) -> None:
    view = newer.view
    before = starts(view, *TIERS), versions(view)
    check = newer.run("rolling_packages", "--check")
    assert check.code == 0, check.reasons
    assert set(check.changed.values()) == {0}
    old = before[1][view.members("etcd")[0], "etcd-server"]
    shown = rf"^   1/3  az_a  (\S+) +etcd.service: etcd-server {re.escape(old)} becomes {re.escape(old + SUFFIX)}$"
    assert re.findall(shown, check.output, re.MULTILINE) == view.members("etcd")[:1]
    # Workers and the web UI come from no package.
    assert "workers" not in check.output.partition("To be restarted")[2].partition("PLAY")[0]
    assert (starts(view, *TIERS), versions(view)) == before


@PACKAGES
def test_site_installs_no_newer_package_and_keeps_others_from_it(newer: LiveCluster) -> None:
    view = newer.view
    before = starts(view, *TIERS), versions(view)
    holder = view.members("etcd")[0]
    view.on(holder, "apt-mark unhold etcd-server")
    site = newer.run("site")
    assert site.code == 0, site.reasons
    assert {host: count for host, count in site.changed.items() if count} == {holder: 1}
    assert "No service waits for a restart." in site.output
    assert (starts(view, *TIERS), versions(view)) == before
    assert held(view)[holder] >= {"etcd-server", "patroni"}
    for host, names in held(view).items():
        assert names
        assert names.isdisjoint(view.on(host, IN_PASSING).split()), host


@PACKAGES
def test_site_installs_no_other_major_beside_the_one_that_has_the_data(newer: LiveCluster) -> None:
    view = newer.view
    before = starts(view, *TIERS), versions(view)
    refused = newer.run("site", "-e", "patroni_postgresql_version=14", "--limit", "postgresql")
    assert refused.code != 0
    assert "and is to have 14, which cannot read its data" in refused.output
    assert (starts(view, *TIERS), versions(view)) == before


@PACKAGES
@pytest.mark.parametrize(
    ("version", "options", "reason"),
    [
        # Keepalived of Debian has an epoch, without which this would be an older version.
        ("1:99.0.0-1", (), "is a step to another major"),
        ("0.0.1-1", (), "is a step back, which apt was told to take"),
        (SUFFIX, ("-e", "tiers=[temporal_workers]"), "temporal_workers has no service that comes from a package"),
    ],
)
def test_what_must_not_be_is_refused_before_anything_is_touched(
    newer: LiveCluster, version: str, options: tuple[str, ...], reason: str
) -> None:
    view = newer.view
    host = view.members("load_balancers")[0]
    preference = "/etc/apt/preferences.d/newer"
    before = starts(view, *TIERS), versions(view)
    offer(view, host, version, "keepalived")
    view.on(host, f"printf 'Package: keepalived\\nPin: version {version}\\nPin-Priority: 1001\\n' > {preference}")
    try:
        refused = newer.run("rolling_packages", *options)
    finally:
        view.on(host, f"rm {preference}")
        offer(view, host, SUFFIX, NAMES)
    assert refused.code != 0
    assert "with this way; nothing was changed" in refused.output
    assert reason in refused.output
    assert (starts(view, *TIERS), versions(view)) == before


@PACKAGES
def test_a_canary_that_does_not_come_back_stops_everything_and_the_rest_is_done_later(
    newer: LiveCluster, wanted: dict[tuple[str, str], str]
) -> None:
    view = newer.view
    only = ("-e", "tiers=[load_balancers]")
    canary = next(host for host in view.members("load_balancers") if host != view.vip_holder())
    before, old = starts(view, *TIERS), versions(view)
    view.on(canary, f"mkdir -p {BROKEN.rpartition('/')[0]}; printf '[Service]\\nExecStartPre=/bin/false\\n' > {BROKEN}")
    try:
        failed = newer.run("rolling_packages", *only)
    finally:
        view.on(canary, f"rm {BROKEN}; systemctl daemon-reload")
    middle = versions(view)
    assert failed.code != 0
    assert f"{canary} (load_balancers" in failed.output
    assert "did not come through" in failed.output
    assert {host for (host, name), version in middle.items() if version == wanted[host, name]} == {canary}
    assert on_hosts(restarted(before, starts(view, *TIERS))) <= {canary}
    # There, the machine died before the scripts of the package had run.
    other = next(host for host in view.members("load_balancers") if host not in (canary, view.vip_holder()))
    view.on(other, f"dpkg --unpack {REPOSITORY}/haproxy.deb")
    view.on(other, "dpkg-query --status haproxy > /var/lib/dpkg/updates/0000")
    assert "haproxy" in view.on(other, "dpkg --audit")
    again = newer.run("rolling_packages", *only)
    assert again.code == 0, again.output[-8000:]
    new = versions(view)
    assert [view.on(host, "dpkg --audit") for host in view.members("load_balancers")] == [""] * 3
    assert {key for key in new if new[key] != old[key]} == {
        (host, name) for host in view.members("load_balancers") for name in ("haproxy", "keepalived")
    }


@PACKAGES
def test_packages_become_newer_under_load_and_no_client_sees_it_though_the_control_node_dies(
    newer: LiveCluster, wanted: dict[tuple[str, str], str], tmp_path: Path
) -> None:
    """Killed between packages and restart of the second member of etcd; a second run goes on without the first."""
    view = newer.view
    before, kept = starts(view, *TIERS), held(view)
    command = newer.playbook("rolling_packages")
    with ledger(view, tmp_path / "ledger.sqlite") as books:
        kill_when(command, "TASK .*These versions are installed", after="etcd, batch 2 of 3")
        first = view.members("etcd")[0]
        middle = starts(view, "etcd")[first, "etcd.service"]
        run = run_marked(command, books)
    print(*run.parts, sep="\n")
    (newer.directory / "rolling_packages.svg").write_text(books.chart)
    assert run.code == 0, run.output[-8000:]
    judged(books)
    assert before[first, "etcd.service"] < middle == starts(view, "etcd")[first, "etcd.service"]
    assert held(view) == kept
    assert [host for host in package_hosts(view) if view.on(host, f"ls {CHOSEN} 2>/dev/null || true")] == []
    # No service of a Temporal host comes from the client of PostgreSQL: it is left to whoever looks after the machine.
    assert {key for key, version in versions(view).items() if version != wanted[key]} == {
        (host, name)
        for host, name in wanted
        if name.startswith("postgresql-client-") and host not in view.members("postgresql")
    }
    # The balancers were done before, and the web UI comes from no package.
    after = restarted(before, starts(view, *TIERS))
    assert after == {key for key in before if key[0] not in view.members("load_balancers")} - {
        key for key in before if key[1] == "temporal-ui.service"
    }
    wait_for_every_server(view)
    again = newer.run("rolling_packages", "--check")
    assert "The services have the newest packages that apt offers." in again.output
    assert "Nothing is to be restarted" in again.output


DEFAULTS = yaml.safe_load((ROOT / "roles" / "temporal" / "defaults" / "main.yml").read_text(encoding="utf-8"))
ARCHIVE = "cassandra-{}-linux-amd64.tar.gz"
RELEASES = "/opt/cassandra"
TABLES = "temporal"
# The release that the ring has, the one that it gets, and the options that make a run know where that is.
Way = tuple[str, str, tuple[str, ...]]


def release(version: str) -> tuple[str, str]:
    """The option by which a run has another release of Cassandra."""
    return "-e", json.dumps({"temporal_versions": DEFAULTS["temporal_versions"] | {"cassandra": version}})


def selected(view: View) -> dict[str, str]:
    return {host: view.on(host, f"readlink {RELEASES}/current").strip() for host in view.members("cassandra")}


def running_releases(view: View) -> dict[str, set[str]]:
    """The releases whose libraries the process of each node has open."""
    files = "readlink /proc/$(systemctl show -P MainPID cassandra.service)/fd/* | grep /opt/cassandra/ || true"
    hosts = view.members("cassandra")
    return {host: {path.split("/")[3] for path in view.on(host, files).split()} for host in hosts}


@pytest.fixture(scope="module")
def way(cluster: LiveCluster, running: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    [old] = set(selected(cluster.view).values())
    new = DEFAULTS["temporal_versions"]["cassandra"]
    if old != new:
        yield old, new, ()
        return
    major, minor, patch = old.split(".")
    new = f"{major}.{minor}.{int(patch) + 1}"
    directory = tmp_path_factory.mktemp("software") / "artifacts"
    shutil.copytree(state.cache_root() / "artifacts", directory)
    archive = (directory / ARCHIVE.format(old)).rename(directory / ARCHIVE.format(new))
    line = f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n"
    with (directory / "SHA256SUMS").open("a", encoding="utf-8") as sums:
        sums.write(line)
    yield old, new, ("-e", f"temporal_artifact_directory={directory}")
    shutil.rmtree(directory)
    if running is not None:
        # The files of both are the same, so this one ring can go back.
        for host in cluster.view.members("cassandra"):
            cluster.view.on(host, f"ln -sfn {old} {RELEASES}/current; rm -rf {RELEASES}/{new}")
        cluster.run("rolling_restart", "-e", "tiers=[cassandra]")


def upgrade(cluster: LiveCluster, way: Way, *options: str) -> Run:
    return cluster.run("rolling_cassandra", *release(way[1]), *way[2], *options)


def whole(view: View) -> tuple[object, ...]:
    """All that a refused run must leave as it is."""
    return starts(view, "cassandra"), selected(view)


@RING
def test_site_does_not_change_the_release_of_a_live_ring(cluster: LiveCluster, way: Way) -> None:
    before = whole(cluster.view)
    refused = cluster.run("site", *release(way[1]), *way[2])
    assert refused.code != 0
    assert f"temporal_versions.cassandra is {way[1]}, and " in refused.output
    assert "Change it with rolling_cassandra.yml" in refused.output
    assert whole(cluster.view) == before


@RING
def test_check_mode_shows_the_way_of_every_node_and_changes_nothing(cluster: LiveCluster, way: Way) -> None:
    before = whole(cluster.view)
    check = upgrade(cluster, way, "--check")
    assert check.code == 0, check.reasons
    assert set(check.changed.values()) == {0}
    nodes = cluster.view.members("cassandra")
    # A node whose settings have changed has one more reason.
    shown = rf"^   (\d)/{len(nodes)}  az_\w  (\S+) +(?:.*; )?{re.escape(way[0])} becomes {re.escape(way[1])}$"
    found = re.findall(shown, check.output, re.MULTILINE)
    assert [batch for batch, _ in found] == [str(number) for number in range(1, len(nodes) + 1)]
    assert {host for _, host in found} == set(nodes)
    assert whole(cluster.view) == before


@RING
@pytest.mark.parametrize(
    ("target", "options", "reason"),
    [
        ("5.1.0", (), "is a step to another minor"),
        ("5.0.0", (), "is a step back"),
        ("", ("--limit", "cassandra-a1"), "--limit leaves out"),
    ],
)
def test_what_must_not_be_of_a_ring_is_refused_before_anything_is_touched(
    cluster: LiveCluster, way: Way, target: str, options: tuple[str, ...], reason: str
) -> None:
    before = whole(cluster.view)
    refused = cluster.run("rolling_cassandra", *release(target or way[1]), *way[2], *options)
    assert refused.code != 0
    assert "with this way; nothing was changed" in refused.output
    assert reason in refused.output
    assert whole(cluster.view) == before


@RING
def test_a_mixed_ring_is_refused(cluster: LiveCluster, way: Way) -> None:
    view = cluster.view
    node = view.members("cassandra")[1]
    view.on(node, f"mkdir {RELEASES}/5.0.1; ln -sfn 5.0.1 {RELEASES}/current")
    try:
        before = whole(view)
        refused = upgrade(cluster, way)
        assert whole(view) == before
    finally:
        view.on(node, f"ln -sfn {way[0]} {RELEASES}/current; rmdir {RELEASES}/5.0.1")
    assert refused.code != 0
    assert f"{node} has 5.0.1 and {way[0]}" in refused.output


@RING
def test_a_ring_with_a_node_down_is_refused(cluster: LiveCluster, way: Way) -> None:
    view = cluster.view
    node = view.members("cassandra")[1]
    view.on(node, "systemctl stop cassandra.service")
    try:
        before = whole(view)
        refused = upgrade(cluster, way)
        assert whole(view) == before
    finally:
        view.on(node, "systemctl start cassandra.service")
        until("the ring is whole", lambda: ring_is_whole(view))
    assert refused.code != 0
    assert f"{node}: cassandra.service does not run" in refused.output


@RING
def test_a_ring_goes_to_a_patch_release_under_load_though_the_control_node_dies_half_way(
    cluster: LiveCluster, way: Way, tmp_path: Path
) -> None:
    """Killed in the second batch; a second run goes on without the node that was done."""
    view = cluster.view
    nodes = view.members("cassandra")
    command = cluster.playbook("rolling_cassandra", *release(way[1]), *way[2])
    with ledger(view, tmp_path / "ledger.sqlite") as books:
        kill_when(command, "TASK .*The services restart", after=f"batch 2 of {len(nodes)}")
        done = [node for node, found in running_releases(view).items() if found == {way[1]}]
        middle = starts(view, "cassandra")
        run = run_marked(command, books)
    print(*run.parts, sep="\n")
    (cluster.directory / "rolling_cassandra.svg").write_text(books.chart)
    assert run.code == 0, run.output[-8000:]
    judged(books)
    assert running_releases(view) == {node: {way[1]} for node in nodes}
    assert done
    assert on_hosts(restarted(middle, starts(view, "cassandra"))).isdisjoint(done)
    assert ring_is_whole(view)
    for node in nodes:
        assert view.on(node, f"find /var/lib/cassandra/data/{TABLES} -path '*/snapshots/zerospof-*' -print -quit")
    again = upgrade(cluster, way, "--check")
    assert f"Every Cassandra host runs {way[1]}." in again.output
    assert "Nothing is to be restarted" in again.output
