"""A whole cluster in the lab: software, hosts, site.yml, and the workflow that shows what it does.

python -m lab.cluster --profile ha_postgresql --name lab
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab import state
from lab.view import View

ROOT = state.REPOSITORY
LOG_TAIL_LINES = 40
# What shows how far a playbook is: its plays, and the steps of the action that makes the artifacts.
PROGRESS = re.compile(r"^(?:PLAY \[(?P<play>.+)\] \*|(?P<said>artifacts \d+/\d+: .*))")
# The workflows of which the demonstration shows where they are.
WORKFLOWS = {"production": "1000-4000", "staging": "1-1000"}
PLACEMENT = re.compile(r"^Namespace .*?(?=^(?:TASK|PLAY RECAP) )", re.MULTILINE | re.DOTALL)


class StepError(Exception):
    """A command of the bring-up failed; the end of its output has been shown."""


@dataclass(frozen=True)
class Cluster:
    """A profile, by the name of its example inventory, in the lab ``name``.

    ``subnet`` is a /24 and ``image`` the operating system of all hosts; ``None`` is what the inventory says. ``disks``:
    databases have disks of their own.
    """

    profile: str
    name: str = "lab"
    subnet: str | None = None
    image: str | None = None
    disks: bool = False

    @classmethod
    def running(cls, name: str) -> Self:
        """Return the cluster of a lab that is up: the lab knows of what inventory it was made."""
        return cls(Path(state.load(name).inventory).name, name)

    @property
    def inventory(self) -> Path:
        """The example inventory."""
        return ROOT / "inventories" / self.profile

    @property
    def directory(self) -> Path:
        """Where the lab keeps its state."""
        return state.state_root() / self.name

    @property
    def site_log(self) -> Path:
        """The output of site.yml."""
        return self.directory / "logs" / "site.log"

    @property
    def inventories(self) -> list[str]:
        """The options that make Ansible use the example inventory on the hosts of the lab."""
        return ["-i", str(self.inventory), "-i", str(self.directory / "inventory")]

    def playbook(self, name: str, *options: str) -> list[str]:
        """Return the command that runs the playbook ``name`` on the lab."""
        return ["ansible-playbook", *self.inventories, str(ROOT / "playbooks" / f"{name}.yml"), *options]


def stream(
    title: str, command: Sequence[str], log: Path, place: Path = ROOT, variables: Mapping[str, str] = os.environ
) -> float:
    """Run ``command`` in ``place`` with its output in ``log``; print how far it is; return the seconds it took."""
    print(f"== {title}", flush=True)
    started = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**variables, "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}
    is_playbook = command[0] == "ansible-playbook"
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            file.flush()
            shown = PROGRESS.match(line) if is_playbook else line.rstrip()
            if shown:
                text = shown if isinstance(shown, str) else shown["play"] or shown["said"]
                print(f"   {time.monotonic() - started:5.0f} s  {text}", flush=True)
    seconds = time.monotonic() - started
    if process.returncode != 0:
        if is_playbook:  # of which only the progress has been shown
            tail = log.read_text(encoding="utf-8").splitlines()[-LOG_TAIL_LINES:]
            print("\n".join(f"   | {line}" for line in tail), flush=True)
        raise StepError(f"{title}: failed after {seconds:.0f} s; the whole output is in {os.path.relpath(log, ROOT)}")
    return seconds


def prepare(cluster: Cluster) -> dict[str, float]:
    """Make hosts and software, or what is missing of them; return the seconds of each step."""
    logs = cluster.directory / "logs"
    up = [sys.executable, "-m", "lab", "up", "--name", cluster.name, "--inventory", str(cluster.inventory)]
    for option, value in (("--subnet", cluster.subnet), ("--image", cluster.image)):
        up += [option, value] if value else []
    up += ["--disks"] if cluster.disks else []
    wheels = state.cache_root() / "artifacts" / "wheels"
    return {
        "hosts": stream("Hosts: one container for each host of the inventory", up, logs / "up.log"),
        "samples": stream("The sample worker", [str(ROOT / "samples" / "build.sh"), str(wheels)], logs / "samples.log"),
        "artifacts": stream("Software", cluster.playbook("artifacts"), logs / "artifacts.log"),
    }


def choose(cluster: Cluster, release: str) -> None:
    """Do what an operator does before an upgrade: write the release of Temporal into the inventory."""
    file = cluster.directory / "inventory" / "group_vars" / "all" / "version.yml"
    file.write_text(f"temporal_version: {release}\n", encoding="utf-8")


def with_release(cluster: Cluster, release: str) -> dict[str, float]:
    """Choose a release of Temporal and have its software; return the seconds of each step."""
    choose(cluster, release)
    title = f"Temporal {release}"
    return {"release": stream(title, cluster.playbook("artifacts"), cluster.directory / "logs" / "release.log")}


def deploy(cluster: Cluster) -> dict[str, float]:
    """Make a cluster of the hosts; return the seconds of each step."""
    return {"site": stream("Cluster: playbooks/site.yml", cluster.playbook("site"), cluster.site_log)}


def show_placement(cluster: Cluster) -> dict[str, float]:
    """Show where workflows are in the ring of Cassandra, if there is one; return the seconds of each namespace."""
    if not View(state.load(cluster.name)).members("cassandra"):
        return {}
    seconds = {}
    for namespace, ids in WORKFLOWS.items():
        file = cluster.directory / f"placement-{namespace}"
        options = {"namespace": namespace, "workflow_id_range": ids, "placement_chart": f"{file}.svg"}
        words = [word for name, value in options.items() for word in ("-e", f"{name}={value}")]
        log = cluster.directory / "logs" / f"placement-{namespace}.log"
        title = f"Where workflows {ids} of {namespace} are: playbooks/placement.yml"
        seconds[f"placement {namespace}"] = stream(title, cluster.playbook("placement", *words), log)
        print(*PLACEMENT.findall(log.read_text(encoding="utf-8")), flush=True)
        print(f"As a picture: {os.path.relpath(file, ROOT)}.svg", flush=True)
    return seconds


def next_steps(cluster: Cluster) -> str:
    """Return what people can do with the cluster now that it runs."""
    lab = state.load(cluster.name)
    view = View(lab)
    ports = view.variable("temporal_ports")
    namespaces = ", ".join(row["name"] for row in view.variable("temporal_namespaces"))
    pki = os.path.relpath(cluster.directory / "pki", ROOT)
    inventories = " ".join(os.path.relpath(word, ROOT) if word != "-i" else word for word in cluster.inventories)
    victim = view.members("temporal_servers")[0]
    of_lab = f" --name {cluster.name}"
    return f"""
Temporal     {view.vip}:{ports["frontend"]}    namespaces {namespaces}
web UI       https://{view.vip}:{ports["ui_vip"]}    its certificate is signed by {pki}/ca.crt
certificate  {pki}/clients/operator.crt, .key

Try next (tools are in .cache/venv/bin):
  what it survives    ansible-playbook {inventories} playbooks/spof_report.yml
  where workflows are ansible-playbook {inventories} playbooks/placement.yml -e namespace=production -e workflow_ids=7
  is it healthy       ansible-playbook {inventories} playbooks/verify.yml
  a shell             python -m lab ssh {victim}{of_lab}
  kill a server       python -m lab kill-host {victim}{of_lab}
  a workflow again    python -m lab.flow{of_lab}
  remove everything   make lab-down
"""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--profile",
        default="ha_postgresql",
        choices=sorted(folder.name for folder in (ROOT / "inventories").iterdir()),
        help="an inventory of inventories/",
    )
    parser.add_argument("--name", default="lab", help="name of the lab")
    parser.add_argument("--subnet", help="a /24 instead of the one of the inventory")
    parser.add_argument("--image", help="operating system of all hosts instead of that of the inventory: debian-12")
    parser.add_argument(
        "--disks", action="store_true", help="data of databases on disks of their own, which can be full"
    )
    parser.add_argument("--release", help="of Temporal, instead of that of the collection: 1.30.6")
    options = parser.parse_args()
    cluster = Cluster(options.profile, options.name, options.subnet, options.image, options.disks)
    try:
        seconds = prepare(cluster)
        if options.release:
            seconds |= with_release(cluster, options.release)
        seconds |= deploy(cluster)
        seconds["flow"] = stream(
            "A workflow through the cluster",
            [sys.executable, "-m", "lab.flow", "--name", cluster.name],
            cluster.directory / "logs" / "flow.log",
        )
        seconds |= show_placement(cluster)
    except StepError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    print("\nSeconds: " + ", ".join(f"{step} {value:.0f}" for step, value in seconds.items()))
    print(next_steps(cluster))
    return 0


if __name__ == "__main__":
    sys.exit(main())
