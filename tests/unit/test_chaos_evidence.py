"""A fault that did not happen is no fault that was survived."""

from __future__ import annotations

import pytest

from lab.state import Host, Lab
from lab.view import ViewError
from tests.chaos import evidence, run
from tests.chaos.cases import Case, find
from tests.chaos.evidence import FaultError, traces, watch

HOSTS = tuple(
    Host(f"{tier}-{zone}", f"192.0.2.{number}{place}", f"az_{zone}", "debian-13")
    for number, tier in enumerate(("db", "temporal"), start=1)
    for place, zone in enumerate("abc", start=1)
)
LAB = Lab("x", "192.0.2.0/24", "/checkout/inventories/ha_postgresql", HOSTS)


class Fake:
    """Hosts of which a test says what runs on them and whom they hear."""

    lab = LAB

    def __init__(self) -> None:
        """Let each host run one process that is well, and hear everybody."""
        self.number = {host.name: "17" for host in HOSTS}
        self.state = {(host.name, "17"): "Ssl" for host in HOSTS}
        self.silent: set[tuple[str, str]] = set()
        # Whose names or certificates are gone, and how far others are.
        self.without: set[str] = set()
        self.milliseconds: dict[str, float] = {}
        # How much of a disk of 1000 blocks is left where it was filled.
        self.left: dict[str, int] = {}

    def on(self, host: str, command: str) -> str:
        """Answer what the module asks."""
        if command.startswith("ping -q"):
            return f"rtt min/avg/max/mdev = {self.milliseconds.get(host, 0.1)}/60.2/70.1/0.1 ms\n"
        if command.startswith(("timeout", "openssl")):
            return "" if host in self.without else "so it is\n"
        if command.startswith("df"):
            return f"{self.left.get(host, 500)} 1000\n"
        if command.startswith("ls"):
            return "/var/lib/postgresql/.lab-ballast\n" if host in self.left else ""
        if command.startswith("ping"):
            address = command.partition(" >")[0].split()[-1]
            return "silent\n" if (host, address) in self.silent else "heard\n"
        if command.startswith("ps"):
            return self.state.get((host, command.split()[4]), "")
        if not self.number[host] and command.startswith("pgrep"):
            raise ViewError(f"{host}: ended with 1")
        return f"{self.number[host] or 0}\n"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits in these tests."""
    monkeypatch.setattr(evidence.time, "sleep", lambda _: None)


def case(name: str) -> Case:
    """Return a case of ha_postgresql."""
    return find("ha_postgresql", name)


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The states of all containers."""
    states = {LAB.container(host): "running" for host in HOSTS}
    monkeypatch.setattr(evidence.hosts, "states", lambda _: dict(states))
    return states


@pytest.mark.parametrize("name", ["primary-killed", "history-killed"])
def test_a_process_that_lives_on_was_not_killed(name: str) -> None:
    view = Fake()
    watched = watch(view, case(name), ["db-a"])
    with pytest.raises(FaultError, match="kill-process was not on db-a after it was made"):
        watched.check("after it was made")
    view.number["db-a"], view.state = "", {}
    watched.check("after it was made")
    view.number["db-a"], view.state = "18", {("db-a", "18"): "Ssl"}
    watched.check("when it was to be healed")


@pytest.mark.parametrize("state", ["Zs", "X"])
def test_a_process_that_nobody_has_buried_yet_is_dead(state: str) -> None:
    view = Fake()
    watched = watch(view, case("primary-killed"), ["db-a"])
    view.state["db-a", "17"] = state
    watched.check("after it was made")


def test_a_process_hangs_until_it_is_replaced_by_the_cluster_or_goes_on_too_early() -> None:
    view = Fake()
    watched = watch(view, case("history-hung"), ["temporal-a"])
    with pytest.raises(FaultError, match="pause-process was not on temporal-a"):
        watched.check("")
    view.state["temporal-a", "17"] = "Tsl"
    watched.check("")
    view.number["temporal-a"] = "18"
    watched.check("")
    view.state["temporal-a", "17"] = "Ssl"
    with pytest.raises(FaultError, match="pause-process was not on temporal-a"):
        watched.check("")


def test_a_fault_that_outlives_its_healing_is_named(power: dict[str, str]) -> None:
    view = Fake()
    hung = watch(view, case("history-hung"), ["temporal-a"])
    view.state["temporal-a", "17"] = "Tsl"
    assert hung.remains() == ["pause-process on temporal-a"]
    # The cluster has another one by now.
    view.state.pop(("temporal-a", "17"))
    assert hung.remains() == []
    full, dead = (watch(view, case(name), ["db-a"]) for name in ("primary-disk-full", "primary-host"))
    view.left["db-a"], power[LAB.container(LAB.host("db-a"))] = 9, "exited"
    assert (full.remains(), dead.remains()) == (["fill-disk on db-a"], ["kill-host on db-a"])
    view.left["db-a"], power[LAB.container(LAB.host("db-a"))] = 500, "running"
    assert (full.remains(), dead.remains()) == ([], [])
    # What was killed stays dead, and others are in its place.
    assert watch(view, case("primary-killed"), ["db-a"]).remains() == []


def test_the_first_of_several_units_tells_for_all() -> None:
    view = Fake()
    view.number["db-a"] = "17\n\n18"
    assert evidence.process_of(view, "db-a", "temporal-sdk-worker@*.service") == "17"
    # Of units that do not run there is nothing, or a zero.
    for answer in ("", "0"):
        view.number["db-a"] = answer
        assert evidence.process_of(view, "db-a", "temporal-sdk-worker@*.service") == ""


def test_what_does_not_run_cannot_be_killed() -> None:
    view = Fake()
    view.number["db-a"] = ""
    for name, process in (("primary-killed", "postgres"), ("etcd-leader-killed", "etcd.service")):
        with pytest.raises(FaultError, match=f"{process} does not run on db-a"):
            watch(view, case(name), ["db-a"])


def test_a_disk_is_full_when_a_hundredth_of_it_is_left_and_the_lab_filled_it() -> None:
    view = Fake()
    watched = watch(view, case("primary-disk-full"), ["db-a"])
    with pytest.raises(FaultError, match="fill-disk was not on db-a"):
        watched.check("")
    view.left["db-a"] = 9
    watched.check("")
    view.left["db-a"] = 10
    with pytest.raises(FaultError, match="fill-disk was not on db-a"):
        watched.check("")


def test_a_zone_is_dead_when_each_of_its_hosts_is(power: dict[str, str]) -> None:
    watched = watch(Fake(), case("zone-of-primary-dead"), ["az_b"])
    power[LAB.container(LAB.host("db-b"))] = "exited"
    with pytest.raises(FaultError, match="kill-az was not on temporal-b"):
        watched.check("")
    power[LAB.container(LAB.host("temporal-b"))] = "exited"
    watched.check("")


def test_a_host_that_is_dead_already_is_no_victim(power: dict[str, str]) -> None:
    power[LAB.container(LAB.host("db-a"))] = "exited"
    with pytest.raises(FaultError, match="db-a had the fault before it was made"):
        watch(Fake(), case("primary-host"), ["db-a"])


def test_a_zone_is_cut_off_when_none_of_its_hosts_hears_the_rest() -> None:
    view = Fake()
    watched = watch(view, case("zone-of-primary-cut"), ["az_a"])
    assert watched.outside == LAB.host("db-b")
    view.silent = {("db-a", LAB.host("db-b").address)}
    with pytest.raises(FaultError, match="cut-az was not on temporal-a"):
        watched.check("")
    view.silent |= {("temporal-a", LAB.host("db-b").address)}
    watched.check("")


def test_a_cut_in_one_direction_is_seen_between_the_two_zones() -> None:
    view = Fake()
    watched = watch(view, case("zone-of-primary-one-way"), ["az_a", "az_b"])
    with pytest.raises(FaultError, match="cut-one-way was not on db-a, temporal-a"):
        watched.check("")
    view.silent = {(host.name, LAB.host("db-b").address) for host in LAB.zone("az_a")}
    watched.check("")


def test_a_zone_is_slow_when_answers_take_longer_for_each_of_its_hosts() -> None:
    view = Fake()
    watched = watch(view, case("zone-slow"), ["az_a"])
    view.milliseconds = {"db-a": 50.3}
    with pytest.raises(FaultError, match="latency was not on temporal-a"):
        watched.check("")
    view.milliseconds["temporal-a"] = 41.0
    watched.check("")


@pytest.mark.parametrize(
    ("name", "victims"), [("names-gone", ["az_a"]), ("certificate-expired", ["db-a", "temporal-a"])]
)
def test_names_and_certificates_are_gone_when_each_host_says_so(name: str, victims: list[str]) -> None:
    view = Fake()
    watched = watch(view, case(name), victims)
    view.without = {"db-a"}
    with pytest.raises(FaultError, match="was not on temporal-a"):
        watched.check("")
    view.without = {"db-a", "temporal-a"}
    watched.check("")


def test_every_case_can_be_told_to_have_happened(power: dict[str, str]) -> None:
    for one in map(case, [name.name for name in run.of_profile("ha_postgresql")]):
        victims = {"kill-az": ["az_a"], "cut-az": ["az_a"], "cut-one-way": ["az_a", "az_b"]}
        with pytest.raises(FaultError, match=f"{one.command} was not on"):
            watch(Fake(), one, victims.get(one.command, ["db-a"])).check("")


def test_what_is_left_behind_is_named(power: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence.faults, "active", lambda _: [])
    monkeypatch.setattr(evidence.network, "tables", lambda _: [])
    assert traces(Fake()) == []
    monkeypatch.setattr(evidence.network, "tables", lambda _: ["zerospof.x.cut-az_a"])
    power.pop(LAB.container(LAB.host("db-a")))
    assert traces(Fake()) == ["filter table zerospof.x.cut-az_a", "db-a is absent"]
