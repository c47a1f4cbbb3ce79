"""The leader of Patroni 3.0.2 that was frozen: it writes its key where that is free or its own, and nowhere else.

Patroni stands on the hosts alone, so what the program uses of it is stood for here; that it works is seen by the chaos
cases patroni-hung and primary-frozen on Debian 12.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest

from tests.programs import load

Leader = SimpleNamespace


class Key:
    """The key of the leader as etcd has it."""

    def __init__(self, holder: str | None) -> None:
        self.holder = holder
        self.lease = "of before"

    def txn(self, compare: dict, write: dict, retry: object) -> bool:
        assert retry
        fits = {"VALUE": compare.get("value") == self.holder, "CREATE": self.holder is None}[compare["target"]]
        if fits:
            self.holder, self.lease = write["request_put"]["value"], write["request_put"]["lease"]
        return fits


class Patience:
    """What repeats a request."""

    deadline = 5.0
    stoptime = time.monotonic()

    def copy(self) -> Patience:
        self.stoptime = time.time() + 5
        return self

    def __call__(self, function: Callable, *arguments: object, retry: object, **options: object) -> object:
        return function(*arguments, retry=retry, **options)


class Ring:
    """The connection of a member to its ring; its lease was over if ``expired``."""

    leader_path, _name, _retry = "/service/temporal/leader", "db-a", Patience()

    def __init__(self, key: Key, expired: bool) -> None:
        self._client = key
        self._lease = "of before"
        self.expired = expired
        # What it knew when it was frozen.
        self.cluster = SimpleNamespace(leader=Leader(session="of before"))

    def _do_refresh_lease(self, force: bool, retry: object) -> bool:
        assert force and retry
        if self.expired:
            self._lease = "a new one"
        return self.expired

    def _run_and_handle_exceptions(self, function: Callable, *arguments: object, retry: Callable) -> object:
        return retry(function, *arguments)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with as much of Patroni as it uses."""
    parts = {
        "patroni": {},
        "patroni.__main__": {"main": lambda: 0},
        "patroni.dcs": {"Leader": Leader, "catch_return_false_exception": lambda function: function},
        "patroni.version": {"__version__": "3.0.2"},
        "patroni.dcs.etcd3": {"Etcd3": Ring, "Etcd3Error": TimeoutError, "base64_encode": str},
    }
    for name, members in parts.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return load("roles/patroni/files/patroni_of_debian_12.py")


@pytest.mark.parametrize(
    ("holder", "expired", "leads", "after"),
    [
        ("db-a", False, True, ("db-a", "of before")),
        ("db-a", True, True, ("db-a", "a new one")),
        (None, True, True, ("db-a", "a new one")),
        ("db-b", True, False, ("db-b", "of before")),
    ],
    ids=["its lease lasts", "its key is still there", "nobody leads", "another one was elected"],
)
def test_the_key_is_written_where_it_is_free_or_ones_own(
    program: ModuleType, holder: str | None, expired: bool, leads: bool, after: tuple[str, str]
) -> None:
    key = Key(holder)
    assert program.update_leader(Ring(key, expired)) is leads
    assert (key.holder, key.lease) == after


def test_without_time_left_nothing_is_written(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "LEAST_SECONDS", 60)
    key = Key("db-a")
    with pytest.raises(TimeoutError):
        program.update_leader(Ring(key, True))
    assert key.lease == "of before"


@pytest.mark.parametrize(("version", "mended"), [("3.0.2", True), ("2.1.4", True), ("3.0.3", False), ("4.0.4", False)])
def test_a_patroni_without_the_fault_stays_as_it_is(program: ModuleType, version: str, mended: bool) -> None:
    before = Ring.__dict__.get("_update_leader")
    try:
        program.mend(version)
        assert (Ring.__dict__.get("_update_leader") is program.update_leader) is mended
    finally:
        if before is None and hasattr(Ring, "_update_leader"):
            del Ring._update_leader
