"""What roles of DebOps cost when nothing is to be done, on hosts like those that nothing_to_do.py measures.

python -m tests.bench.nothing_to_do_debops

Makes the hosts of inventories/basic in a lab of their own and removes them; a cluster that runs is not touched. All
hosts get what DebOps has for what this collection does to every machine (packages and facts, kernel settings, firewall,
certificates of an authority on the control node), the database host its PostgreSQL, and the others its keepalived and
nginx: it has no HAProxy. debops/hosts.yml says what is set. The first row is the run that makes all this, with the
packages it installs; the next ones are to change nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from lab import state
from tests.bench.nothing_to_do import COLUMNS, measure, row
from tests.cluster.conftest import ROOT, LiveCluster, Run, lab

INVENTORY = Path(__file__).with_name("debops")
REQUIREMENTS = INVENTORY / "requirements.txt"
PLAYBOOKS = ("core", "sysctl", "ferm", "pki", "postgresql_server", "keepalived", "nginx")
IMAGE = "debian-12"
# What DebOps is written for, where ansible.cfg says otherwise; forks, pipelining and the rest are the same for both.
SETTINGS = {
    "ANSIBLE_ALLOW_BROKEN_CONDITIONALS": "true",
    "ANSIBLE_GATHERING": "implicit",
    "ANSIBLE_INJECT_FACT_VARS": "true",
    "ANSIBLE_NOCOLOR": "1",
}
# Its certificates are for names with a domain, and what it installs need not bring what is only recommended.
# apt takes the short lists of a lab's image for up to date, so they go before it fetches whole ones.
PREPARE = r"""
sed --in-place --regexp-extended 's/^(10[.0-9]+) ([^. ]+)$/\1 \2.lab.test \2/' /etc/hosts
echo 'APT::Install-Recommends "false";' >/etc/apt/apt.conf.d/91bench
rm --recursive --force /var/lib/apt/lists/*
apt-get update --quiet=2
"""
# The lists of a lab's image are short, which makes a question about packages cheap (lab/README.md). DebOps has fetched
# whole ones; it is to have it as cheap.
SHORTEN_LISTS = "rm --force /var/lib/apt/lists/*_Packages && apt-cache gencaches --quiet=2"


def installed() -> Path:
    """Return the directory with DebOps and what it imports, made when it is not there."""
    place = state.cache_root() / f"debops-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]}"
    done = place / ".done"
    if not done.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(place)]
        subprocess.run([*pip, "--requirement", str(REQUIREMENTS)], check=True)
        done.touch()
    return place


def site(cluster: LiveCluster, debops: Path) -> Run:
    """Run the playbooks of DebOps, one after the other in one go, and return what became of them."""
    # Where its authority and passwords are: with the lab, and gone with it.
    secrets = [f"--extra-vars=secret__root={cluster.directory}", "--extra-vars=secret__levels="]
    names = [f"debops.debops.service.{name}" for name in PLAYBOOKS]
    collections = debops / "debops" / "_data" / "ansible" / "collections"
    done = subprocess.run(
        ["ansible-playbook", *cluster.inventories, "-i", str(INVENTORY), *secrets, *names],
        cwd=ROOT,
        env=os.environ | SETTINGS | {"ANSIBLE_COLLECTIONS_PATH": str(collections), "PYTHONPATH": str(debops)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout + done.stderr)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="debops", help="name of the lab; one that failed stays for a look")
    parser.add_argument("--subnet", default="10.99.0.0/24", help="its /24")
    parser.add_argument("--runs", type=int, default=3, help="how often after the first one")
    options = parser.parse_args()
    debops = installed()
    cluster = LiveCluster("basic", options.name, options.subnet, IMAGE)
    inventory = str(cluster.inventory)
    lab("up", "--name", cluster.name, "--inventory", inventory, "--subnet", options.subnet, "--image", IMAGE)
    for host in cluster.hosts:
        cluster.view.on(host, PREPARE)
    print(row(*COLUMNS))
    measure(lambda: site(cluster, debops))
    for host in cluster.hosts:
        cluster.view.on(host, SHORTEN_LISTS)
    for _ in range(options.runs):
        measure(lambda: site(cluster, debops))
    lab("down", "--name", cluster.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
