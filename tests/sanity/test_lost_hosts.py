"""A host that is lost in a batch ends the play, which Ansible by itself does not see to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

TASKS = Path(__file__).resolve().parents[2] / "playbooks/tasks/nobody_lost.yml"
# Two batches. Nobody listens there, so the second host of the first one cannot be reached.
HOSTS = """
first ansible_connection=local
lost ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1
third ansible_connection=local
fourth ansible_connection=local
"""


@pytest.mark.parametrize("watches", [True, False], ids=["with the task", "without it"])
def test_no_batch_begins_after_one_that_lost_a_host(tmp_path: Path, watches: bool) -> None:
    inventory, playbook = tmp_path / "hosts.ini", tmp_path / "play.yml"
    inventory.write_text(HOSTS, encoding="utf-8")
    play = {
        "hosts": "all",
        "gather_facts": False,
        "serial": 2,
        "max_fail_percentage": 0,
        "tasks": [
            {"ansible.builtin.raw": "true", "changed_when": False},
            *([{"ansible.builtin.include_tasks": str(TASKS)}] if watches else []),
        ],
    }
    playbook.write_text(yaml.safe_dump([play]), encoding="utf-8")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), str(playbook)],
        env=os.environ | {"ANSIBLE_NOCOLOR": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert ("lost cannot be reached any more" in " ".join(done.stdout.split())) is watches
    # The control: Ansible itself goes on.
    assert ("ok: [third]" in done.stdout) is not watches
