"""What makes a host unfit for a node of Cassandra; the module ``host_check`` reads, this file judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils._cassandra import RING_RECORD

JAVA = "17"
SYSTEM_WITH_JAVA = "debian 12"
# Every piece of a file that is mapped counts (a check at Cassandra's start); the role sets it where it may.
MAP_COUNT = 1048575
# A commit log takes up to a quarter of the disk, and what is left must hold tables while they are written anew.
FREE_MEBIBYTES = 4 * 1024
# Beside its heap a node has memtables, a cache of files and the JVM itself: 0.73 GiB in all with a heap of 384 MiB.
OVERHEAD = 1.5
OVERHEAD_MEBIBYTES = 256


@dataclass(frozen=True)
class Store:
    """What the module saw. Sizes are in MiB.

    ``java``: what ``java -version`` said, empty when it does not run. ``is_set_up``: whether the role has been here.
    ``was_in_ring``: whether there is a record of a ring that the node of this host was in.
    ``shares_root``: whether the data are on the file system of the system. ``available``: memory that nobody uses.
    """

    java: str
    is_container: bool
    is_set_up: bool
    is_running: bool
    has_data: bool
    was_in_ring: bool
    memory: int
    available: int
    map_count: int
    swaps: tuple[str, ...]
    free: int
    shares_root: bool


def parse_memory(text: str) -> dict[str, int]:
    """Return name -> MiB from the text of ``/proc/meminfo``."""
    rows = (line.split() for line in text.splitlines())
    return {row[0].rstrip(":"): int(row[1]) // 1024 for row in rows if len(row) == 3 and row[2] == "kB"}


def parse_swaps(text: str) -> tuple[str, ...]:
    """Return the devices and files in the text of ``/proc/swaps``."""
    return tuple(line.split()[0] for line in text.splitlines()[1:] if line.strip())


def problems(store: Store, system: str, wanted: Mapping[str, Any], heap: int) -> Iterator[str]:
    """Yield why no node can live on the host.

    ``wanted``: ``data_directory`` and ``java_home`` of the role. ``heap``: that of the node, in MiB.
    """
    home = wanted["java_home"]
    if home and f'version "{JAVA}.' not in store.java:
        said = f"says {store.java.splitlines()[0]}" if store.java else "does not run"
        yield f"Cassandra needs Java {JAVA}, and {home}/bin/java {said}; correct cassandra_java_home"
    elif not home and system != SYSTEM_WITH_JAVA:
        yield (
            f"Cassandra needs Java {JAVA}, which {system or 'its system'} has not; install one and set "
            f"cassandra_java_home, or take a host with {SYSTEM_WITH_JAVA}"
        )
    if heap > store.memory // 2:
        yield (
            f"a heap of {heap} MiB is more than half of its {store.memory} MiB of memory, and the files need the rest; "
            "give the host more or lower cassandra_heap_megabytes"
        )
    needed = int(heap * OVERHEAD) + OVERHEAD_MEBIBYTES
    if not store.is_running and store.available < needed:
        yield (
            f"{store.available} MiB of its memory are free, and a node with a heap of {heap} MiB takes {needed}; "
            "stop what else runs or lower cassandra_heap_megabytes"
        )
    if not store.has_data and store.free < FREE_MEBIBYTES:
        yield _full(store, wanted["data_directory"])
    # What a container has of it is its machine's. A node that serves is not taken out of a run for it: see notes().
    if store.swaps and not store.has_data and not store.is_container:
        yield _swapping(store)
    if store.was_in_ring and not store.has_data and store.shares_root and not store.is_container:
        yield (
            f"its node was in a ring, and {wanted['data_directory']} is empty and on the file system of the system; "
            f"mount the disk of its data, or a new one when that is lost. Where it never had one, delete {RING_RECORD}"
        )
    if store.map_count < MAP_COUNT and store.is_set_up and not store.is_container:
        yield (
            f"vm.max_map_count is {store.map_count}, although the role set {MAP_COUNT}; see what lowers it with: "
            "grep -r max_map_count /etc/sysctl.conf /etc/sysctl.d"
        )


def notes(store: Store, wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yield what works and should not stay so."""
    if store.shares_root:
        yield f"{wanted['data_directory']} is on the file system of the system; give it a disk of its own in production"
    if store.swaps and (store.has_data or store.is_container):
        yield _swapping(store)
    if store.has_data and store.free < FREE_MEBIBYTES:
        yield _full(store, wanted["data_directory"])
    if store.map_count < MAP_COUNT and store.is_container:
        yield f"vm.max_map_count is {store.map_count}, and a container cannot set it; set {MAP_COUNT} on its machine"


def _swapping(store: Store) -> str:
    return (
        f"swaps to {', '.join(store.swaps)}, and a node that is swapped out answers late instead of not at all, which "
        "nobody takes for a fault; run swapoff --all and take it out of /etc/fstab"
    )


def _full(store: Store, directory: str) -> str:
    return (
        f"{store.free} MiB are free for {directory}, at least {FREE_MEBIBYTES} are needed; add space, or mount the "
        "disk that is meant"
    )
