"""What keeps a node of Cassandra from living on a host is told before anything is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.zerospof.temporal.plugins.module_utils import _store

ROLE = Path(__file__).resolve().parents[2] / "roles" / "cassandra"
WANTED = {"data_directory": "/var/lib/cassandra", "java_home": ""}
OWN_JAVA = WANTED | {"java_home": "/opt/java"}
HEAP = 4096
FIT = _store.Store(
    java="",
    is_container=False,
    is_set_up=False,
    is_running=False,
    has_data=False,
    was_in_ring=False,
    memory=16_000,
    available=15_000,
    map_count=65530,
    swaps=(),
    free=100_000,
    shares_root=False,
)


def told(wanted: dict[str, str] = WANTED, system: str = "debian 12", heap: int = HEAP, **change: Any) -> list[str]:  # noqa: ANN401
    return list(_store.problems(replace(FIT, **change), system, wanted, heap))


def test_a_fit_host_has_no_problem() -> None:
    assert told() == []
    assert list(_store.notes(FIT, WANTED)) == []
    assert told(OWN_JAVA, "debian 13", java='openjdk version "17.0.12" 2024-07-16') == []


@pytest.mark.parametrize(
    ("wanted", "system", "java", "problem"),
    [
        (WANTED, "debian 13", "", "needs Java 17, which debian 13 has not; install one and set cassandra_java_home"),
        (OWN_JAVA, "debian 12", "", "/opt/java/bin/java does not run; correct cassandra_java_home"),
        (OWN_JAVA, "debian 13", 'openjdk version "21.0.4"\nmore', 'says openjdk version "21.0.4"; correct'),
    ],
)
def test_another_java_is_refused(wanted: dict[str, str], system: str, java: str, problem: str) -> None:
    [found] = told(wanted, system, java=java)
    assert problem in found


def test_a_heap_that_leaves_no_memory_for_files_is_refused() -> None:
    [found] = told(memory=8_000, available=7_900)
    assert found.startswith("a heap of 4096 MiB is more than half of its 8000 MiB of memory")


def test_a_node_that_would_push_others_out_is_refused_and_one_that_runs_is_not() -> None:
    [found] = told(available=6_000)
    assert found.startswith("6000 MiB of its memory are free, and a node with a heap of 4096 MiB takes 6400;")
    assert told(available=500, is_running=True) == []


def test_a_full_disk_keeps_a_new_node_away_and_is_a_note_about_an_old_one() -> None:
    [found] = told(free=500)
    assert found.startswith("500 MiB are free for /var/lib/cassandra, at least 4096 are needed")
    assert told(free=500, has_data=True) == []
    assert list(_store.notes(replace(FIT, free=500, has_data=True), WANTED)) == [found]


def test_a_limit_that_somebody_lowers_again_is_refused() -> None:
    [found] = told(is_set_up=True)
    assert found.startswith("vm.max_map_count is 65530, although the role set 1048575")
    assert told(is_set_up=True, map_count=1048575) == []


def test_the_limit_of_a_container_is_that_of_its_machine() -> None:
    container = replace(FIT, is_container=True, is_set_up=True)
    assert list(_store.problems(container, "debian 12", WANTED, HEAP)) == []
    [found] = _store.notes(container, WANTED)
    assert found == "vm.max_map_count is 65530, and a container cannot set it; set 1048575 on its machine"


def test_the_limit_is_the_one_that_the_role_sets() -> None:
    variables = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))
    assert variables["__cassandra_sysctl"]["vm.max_map_count"] == _store.MAP_COUNT


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"shares_root": True}, "/var/lib/cassandra is on the file system of the system; give it a disk of its own"),
        (
            {"swaps": ("/dev/sda2",), "has_data": True},
            "swaps to /dev/sda2, and a node that is swapped out answers late",
        ),
        ({"swaps": ("/dev/sda2",), "is_container": True, "map_count": 1048575}, "swaps to /dev/sda2"),
    ],
)
def test_what_works_and_should_not_stay_so_is_a_note(change: dict[str, Any], note: str) -> None:
    [found] = _store.notes(replace(FIT, **change), WANTED)
    assert found.startswith(note)
    assert told(**change) == []


def test_no_node_begins_on_a_host_that_swaps() -> None:
    [found] = told(swaps=("/dev/sda2", "/swap"))
    assert found.startswith("swaps to /dev/sda2, /swap, and a node that is swapped out answers late")
    assert "swapoff --all" in found
    assert list(_store.notes(replace(FIT, swaps=("/dev/sda2",)), WANTED)) == []


def test_a_node_whose_disk_is_not_mounted_does_not_copy_its_data_to_that_of_the_system() -> None:
    [found] = told(was_in_ring=True, shares_root=True)
    assert found.startswith(
        "its node was in a ring, and /var/lib/cassandra is empty and on the file system of the system"
    )
    assert told(was_in_ring=True) == []
    assert told(was_in_ring=True, shares_root=True, has_data=True) == []
    assert told(was_in_ring=True, shares_root=True, is_container=True) == []


def test_proc_files_are_read() -> None:
    memory = "MemTotal:       16384000 kB\nMemAvailable:    8192000 kB\nHugePages_Total:       0\n"
    assert _store.parse_memory(memory) == {"MemTotal": 16000, "MemAvailable": 8000}
    swaps = "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 8388604 0 -2\n"
    assert _store.parse_swaps(swaps) == ("/dev/sda2",)
    assert _store.parse_swaps("") == ()
