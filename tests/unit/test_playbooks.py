"""Playbooks are put together of others as they promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"


def imported(playbook: Path) -> Iterator[Path]:
    """The playbooks that ``playbook`` imports, and those that they import, each as often as it is played."""
    for play in yaml.safe_load(playbook.read_text(encoding="utf-8")):
        if "ansible.builtin.import_playbook" in play:
            path = (playbook.parent / play["ansible.builtin.import_playbook"]).resolve()
            yield path
            yield from imported(path)


@pytest.mark.parametrize("playbook", sorted(PLAYBOOKS.glob("*.yml")), ids=lambda path: path.stem)
def test_every_playbook_refuses_an_inventory_without_hosts_in_one_place(playbook: Path) -> None:
    assert list(imported(playbook)).count(PLAYBOOKS / "shared/inventory.yml") == 1
