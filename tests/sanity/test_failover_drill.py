"""The playbook of a drill, with plan, gates and modules that only pretend: what is asked, hit, written and told.

Hosts are this machine; one that cannot be reached is a port of it on which nobody listens.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.zerospof.temporal.plugins.module_utils import _drill

from tests.drill_report import result_in

ROOT = Path(__file__).resolve().parents[2]
# Of a machine that is busy with something else.
SECONDS = 600
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
GONE = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
GROUPS = {
    "az_a": ["temporal-a"],
    "az_b": ["temporal-b"],
    "az_c": ["temporal-c"],
    "temporal_servers": ["temporal-a", "temporal-b", "temporal-c"],
}
SENTENCE = "hang temporal-b, temporal-c for 10 s"

PLAN = """
- name: The plan
  hosts: all
  gather_facts: false
  tasks:
    - name: The plan is made
      ansible.builtin.set_fact:
        drill_plan: "{{ stub_plan }}"

    - name: Who is hit and who watches is known
      ansible.builtin.add_host:
        name: "{{ item.name }}"
        groups: "{{ item.groups }}"
      loop: "{{ stub_plan | zerospof.temporal.drill_groups }}"
      run_once: true
"""
UNCHANGED = "- name: The same\n  hosts: all\n  gather_facts: false\n"
HEALTH = """
- name: The gates
  hosts: temporal-a
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: Everything is healthy
      ansible.builtin.command: test ! -e {{ stub_log }}.unwell
      changed_when: false
"""
FAULT = """#!/usr/bin/python
import os, time
from pathlib import Path
from ansible.module_utils.basic import AnsibleModule

NAMES = {options}
module = AnsibleModule(argument_spec={{name: {{"type": "raw"}} for name in NAMES}})
state = module.params["state"] or "present"
log = Path(os.environ["STUB_LOG"])
with log.open("a") as file:
    file.write(state + chr(10))
if state == "present" and os.environ["STUB_HEALTH"] == "unwell":
    log.with_name(log.name + ".unwell").touch()
module.exit_json(changed=True, at=time.time())
"""
# A machine that is busy takes longer than planned until the fault is over.
LOAD = """#!/usr/bin/python
import os, time
from pathlib import Path
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _calls, _drill

NAMES = {options}
module = AnsibleModule(argument_spec={{name: {{"type": "raw"}} for name in NAMES}})
if os.environ["STUB_LOAD"] == "dies":
    module.fail_json(msg="what clients see is not known: the stub died")
calls = []
log = Path(os.environ["STUB_LOG"])
until = time.time() + float(module.params["seconds"])
while time.time() < until or "absent" not in (log.read_text() if log.exists() else ""):
    for flavour in _calls.CLIENTS:
        now = time.time()
        calls.append(_calls.Call(flavour, "start", f"w-{{len(calls)}}", "", now, now, ""))
    time.sleep(0.2)
module.exit_json(
    changed=False, calls=_drill.as_rows(calls), found=dict.fromkeys(_drill.HARM, 0), problems=[], per_second=5.0
)
"""


def plan() -> dict[str, Any]:
    """Return the plan of a drill on two hosts, as if they could be spared, that lasts a second."""
    state = {
        "units": [{"name": "temporal-history.service", "state": "current", "reasons": []}],
        "interrupted": [],
        "certificates": [],
        "disks": [],
    }
    hosts = GROUPS["temporal_servers"]
    wishes = {"fault": "hang", "victims": "temporal-b,temporal-c", "seconds": 10, "namespaces": ["staging"]}
    made = _drill.drill_plan(
        GROUPS, {host: {} for host in hosts}, {host: state for host in hosts}, wishes, "ha_postgresql", "192.0.2.10"
    )
    return made | {"seconds": 1, "lasts": 1, "problems": []}


def options_of(module: str) -> list[str]:
    """Return the names of the options of a module."""
    text = (ROOT / "plugins/modules" / f"{module}.py").read_text(encoding="utf-8")
    documented = yaml.safe_load(text.partition('DOCUMENTATION = r"""')[2].partition('"""')[0])
    fragments = {"address", "namespace", "ca_file", "cert_file", "key_file", "server_name", "token"}
    return sorted({*documented["options"], *(fragments if module == "workflow_load" else ())})


@dataclass(frozen=True)
class Stage:
    """A copy of the collection in which only the playbook of the drill is real, and hosts to play it on."""

    place: Path

    @property
    def done(self) -> list[str]:
        """What was done to victims, in its order: ``present`` or ``absent``."""
        log = self.place / "log"
        return log.read_text().split() if log.exists() else []

    @property
    def left_behind(self) -> list[str]:
        """The files of what ran beside the playbook."""
        return [path.name for path in (self.place / "async").glob("*")]

    @property
    def reports(self) -> Path:
        """Where the drill writes its report."""
        return self.place / "reports"

    def play(
        self, *options: str, gone: str = "", load: str = "", health: str = "", **wishes: object
    ) -> tuple[int, str]:
        """Play it; return its code and what it said, with every space and end of line as one blank.

        ``gone``: a host that does not answer. ``load``: whether it ``dies``. ``health``: whether the cluster is
        ``unwell`` after the fault.
        """
        children = {group: {"hosts": {host: {} for host in hosts}} for group, hosts in GROUPS.items()}
        hosts = {host: GONE if host == gone else LOCAL for host in GROUPS["temporal_servers"]}
        inventory = self.place / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "children": children}}))
        variables = {
            "stub_plan": plan(),
            "stub_log": str(self.place / "log"),
            "drill_directory": str(self.reports),
            "drill_confirmation": SENTENCE,
            "drill_before_seconds": 1,
            "drill_after_seconds": 1,
            "temporal_vip": "192.0.2.10",
            "temporal_namespaces": [{"name": "staging"}],
            "__temporal_tools_python": sys.executable,
        } | wishes
        environment = {
            "ANSIBLE_COLLECTIONS_PATH": str(self.place / "collections"),
            "ANSIBLE_HOME": str(self.place / "home"),
            "ANSIBLE_ASYNC_DIR": str(self.place / "async"),
            "ANSIBLE_NOCOLOR": "1",
            "STUB_LOG": str(self.place / "log"),
            "STUB_LOAD": load,
            "STUB_HEALTH": health,
        }
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                f"--inventory={inventory}",
                "zerospof.temporal.failover_drill",
                f"--extra-vars={json.dumps(variables)}",
                *options,
            ],
            cwd=self.place,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        said = done.stdout + done.stderr
        print(said)
        return done.returncode, " ".join(said.split())


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """The stage, with nothing done yet."""
    collection = tmp_path / "collections/ansible_collections/zerospof/temporal"
    for part in ("meta", "playbooks", "plugins", "roles"):
        shutil.copytree(ROOT / part, collection / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "galaxy.yml", collection)
    for path, text in (("drill/plan", PLAN), ("drill/unchanged", UNCHANGED), ("shared/health", HEALTH)):
        (collection / "playbooks" / f"{path}.yml").write_text(text)
    for name, text in (("drill_fault", FAULT), ("workflow_load", LOAD)):
        (collection / "plugins/modules" / f"{name}.py").write_text(text.format(options=options_of(name)))
    return Stage(tmp_path)


@pytest.mark.parametrize("limit", ["all", "az_*"])
def test_a_limit_does_not_skip_the_confirmation(stage: Stage, limit: str) -> None:
    code, said = stage.play("--limit", limit, drill_confirmation="yes")
    assert code != 0
    assert f"Nothing was done: 'yes' is not '{SENTENCE}'" in said
    assert stage.done == []


def test_nobody_is_hit_while_nobody_watches(stage: Stage) -> None:
    code, said = stage.play(load="dies")
    assert code != 0
    assert "Nothing was done, as nobody watches: what clients see is not known: the stub died" in said
    assert stage.done == []
    assert stage.left_behind == []


def test_a_drill_that_is_passed_is_written_down_as_such(stage: Stage) -> None:
    code, said = stage.play("--limit", "all")
    assert code == 0
    assert "Nobody suffers any more." in said
    assert stage.done == ["present", "present", "absent", "absent"]
    assert stage.left_behind == []
    result = result_in(stage.reports)
    assert not any(result["found"].values())
    [page] = stage.reports.rglob("*.html")
    assert "Passed." in page.read_text()
    assert result["starts"] > 0
    assert result["held_seconds"] >= 1


def test_a_drill_after_which_the_cluster_is_not_whole_is_written_down_and_not_passed(stage: Stage) -> None:
    code, said = stage.play(health="unwell")
    assert code != 0
    assert "everything once unfinished: nobody knows whether the cluster is whole again" in said
    result = result_in(stage.reports)
    assert result["problems"] == ["unfinished: nobody knows whether the cluster is whole again"]
    assert result["starts"] > 0


def test_a_victim_that_is_out_of_reach_is_named_and_the_others_are_well_again(stage: Stage) -> None:
    code, said = stage.play(gone="temporal-c")
    assert code != 0
    assert "temporal-c: nobody has seen that it is well again: " in said
    assert "Nobody suffers any more" not in said
    assert stage.done == ["present", "absent"]
    result = result_in(stage.reports)
    assert result["found"]["unfinished"] == 2
    assert "temporal-c: the fault was not made: " in result["problems"][0]
    assert result["starts"] > 0
    assert "The drill was not passed: unfinished: temporal-c: " in said
