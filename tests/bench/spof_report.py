"""How long the report on single points of failure takes: its playbook for each inventory, and its arithmetic alone.

python -m tests.bench.spof_report

Inventories are the examples and a made one of 1000 hosts. Nothing is asserted: the figures are for docs/spof_report.md.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

import tests.conftest  # noqa: F401  makes the checkout importable as the collection that it is

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils import _spof, _spof_text

from lab import inventory

ROOT = Path(__file__).resolve().parents[2]
ZONES = ("az_a", "az_b", "az_c")
TIERS = ("load_balancers", "temporal_servers", "temporal_ui", "temporal_workers", "cassandra", "postgresql", "etcd")
DATABASE = ("postgresql", "etcd")
DATABASE_MEMBERS = 3
RUNS = 3
SIZES = (10, 30, 100, 300, 1000)
VIP = "10.255.255.250"


def groups_of(hosts: int) -> dict[str, list[str]]:
    """Groups with ``hosts`` hosts over all zones: a database of three, all other tiers share the rest evenly."""
    groups: dict[str, list[str]] = {name: [] for name in (*ZONES, *TIERS)}
    others = [tier for tier in TIERS if tier not in DATABASE]
    for number in range(hosts):
        host = f"host-{number:04}"
        groups[ZONES[number % len(ZONES)]].append(host)
        # Three hosts in a row, one of each zone, have the same tier.
        mine = DATABASE if number < DATABASE_MEMBERS else [others[number // len(ZONES) % len(others)]]
        for tier in mine:
            groups[tier].append(host)
    return groups


def write_inventory(directory: Path, hosts: int) -> Path:
    """Write an inventory of ``hosts`` hosts and return its file."""
    groups = groups_of(hosts)
    addresses = {
        host: {"ansible_host": f"10.1.{number // 250}.{number % 250 + 1}"}
        for number, host in enumerate(sorted({host for members in groups.values() for host in members}))
    }
    inputs = {"temporal_profile": "ha_cassandra", "temporal_vip": VIP}
    children = {name: {"hosts": dict.fromkeys(members)} for name, members in groups.items()}
    path = directory / "hosts.yml"
    path.write_text(yaml.safe_dump({"all": {"vars": inputs, "hosts": addresses, "children": children}}))
    return path


def seconds(work: Callable[[], object]) -> list[float]:
    """Wall-clock seconds of each of several runs."""
    found = []
    for _ in range(RUNS):
        started = time.monotonic()
        work()
        found.append(time.monotonic() - started)
    return found


def playbook(path: Path) -> None:
    """Run the playbook as people do; what it prints is of no interest."""
    program = Path(sys.executable).with_name("ansible-playbook")
    subprocess.run(
        [program, ROOT / "playbooks" / "spof_report.yml", "-i", path],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache" / "collections")},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def arithmetic(groups: dict[str, list[str]]) -> str:
    """The text of the report."""
    options: dict[str, Any] = {"hostvars": {}, "vip": VIP, "cluster": "bench", "profile": "ha_cassandra"}
    return _spof_text.report_text(_spof.spof_report(groups, **options))


def row(name: str, hosts: int, taken: list[float]) -> str:
    """One line of the tables."""
    return f"{name:<34}  {hosts:>5}  {statistics.median(taken):>8.3f} s  {max(taken):>8.3f} s"


def main() -> None:
    """Measure and print."""
    print(f"{f'of {RUNS} runs':<34}  {'hosts':>5}  {'median':>10}  {'longest':>10}")
    with tempfile.TemporaryDirectory() as directory:
        examples = {file.parent.name: file.parent for file in sorted((ROOT / "inventories").glob("*/hosts.yml"))}
        for name, path in (examples | {"made": write_inventory(Path(directory), SIZES[-1])}).items():
            hosts = len(inventory.group_members(inventory.listing(path), "all"))
            print(row(f"playbook, inventory {name}", hosts, seconds(lambda at=path: playbook(at))), flush=True)
    for size in SIZES:
        groups = groups_of(size)
        print(row("arithmetic and text", size, seconds(lambda given=groups: arithmetic(given))), flush=True)


if __name__ == "__main__":
    main()
