"""Who is hit is read from a live cluster: here from one that a test describes."""

from __future__ import annotations

import pytest

from lab.state import Host, Lab
from tests.chaos.victims import CHOICES

HOSTS = tuple(
    Host(f"{tier}-{zone}", f"192.0.2.{number}{place}", f"az_{zone}", "debian-13")
    for number, tier in enumerate(("db", "lb", "worker"), start=1)
    for place, zone in enumerate("abc", start=1)
)
TIERS = {"load_balancers": "lb", "temporal_workers": "worker"}


class Fake:
    """A cluster whose primary and whose holder of the virtual address are known."""

    lab = Lab("x", "192.0.2.0/24", "/x", HOSTS)

    def __init__(self, primary: str, holder: str) -> None:
        """Let ``primary`` take writes and ``holder`` have the virtual address."""
        self.primary, self.holder = primary, holder

    def database_primary(self) -> str:
        return self.primary

    def vip_holder(self) -> str:
        return self.holder

    def members(self, tier: str) -> list[str]:
        return [host.name for host in HOSTS if host.name.startswith(TIERS[tier])]


@pytest.mark.parametrize(
    ("choice", "primary", "holder", "chosen"),
    [
        ("zone_of_neither", "db-a", "lb-b", ["az_c"]),
        ("zone_of_neither", "db-c", "lb-b", ["az_a"]),
        ("zone_of_neither", "db-a", "lb-a", ["az_b"]),
        ("primary_and_holder", "db-b", "lb-a", ["db-b", "lb-a"]),
        ("two_balancers", "db-b", "lb-b", ["lb-b", "lb-a"]),
        ("zone_of_primary_and_next", "db-c", "lb-b", ["az_c", "az_a"]),
        ("worker", "db-c", "lb-b", ["worker-a"]),
        ("workers_but_one", "db-c", "lb-b", ["worker-a", "worker-b"]),
    ],
)
def test_victims_are_those_of_the_moment(choice: str, primary: str, holder: str, chosen: list[str]) -> None:
    assert CHOICES[choice](Fake(primary, holder)) == chosen
