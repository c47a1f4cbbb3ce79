"""Preflight tells every problem in one error, names where it is, shows no secret, and lets nothing run after it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from testinfra.host import Host

SCENARIO = Path(__file__).resolve().parents[1]
PROJECT = SCENARIO.parents[1]
OVERLAY = PROJECT / ".cache" / "lab" / "molecule-preflight" / "inventory"
NEXT = "Something that changes hosts"
SKEW_SECONDS = 600

Variables = Mapping[str, Any]
Preflight = Callable[..., str]


def lab_host(name: str) -> Host:
    """Return the host ``name`` of the scenario."""
    return testinfra.get_host(f"ansible://{name}?ansible_inventory={OVERLAY.parent / 'inventory.yml'}")


@pytest.fixture(scope="module")
def preflight(tmp_path_factory: pytest.TempPathFactory) -> Preflight:
    """Run preflight as site.yml does, with other plays after it, and return what it said in one line."""
    folder = tmp_path_factory.mktemp("preflight")
    plays = [
        {"import_playbook": str(PROJECT / "playbooks/preflight.yml")},
        {"name": NEXT, "hosts": "all", "gather_facts": False},
    ]
    (folder / "site.yml").write_text(yaml.safe_dump(plays))
    secrets = yaml.safe_load((OVERLAY / "group_vars/all/secrets.yml").read_text())["temporal_secrets"].values()

    def run(extra: Variables | None = None, hosts: Variables | None = None, *, refused: bool = True) -> str:
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": dict(hosts or {})}}))
        (folder / "extra.yml").write_text(yaml.safe_dump(dict(extra or {})))
        result = subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                str(folder / "site.yml"),
                *(f"--inventory={path}" for path in (SCENARIO / "inventory", OVERLAY, folder / "hosts.yml")),
                f"--extra-vars=@{folder / 'extra.yml'}",
            ],
            cwd=PROJECT,
            # Molecule forces colours, which would stand between the words.
            env=os.environ
            | {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said = " ".join((result.stdout + result.stderr).split())
        assert not any(secret in said for secret in secrets)
        assert (result.returncode != 0) == refused, said
        assert (f"PLAY [{NEXT}]" not in said) == refused
        assert not refused or "nothing was changed: - " in said
        return said

    return run


# The inventory: no host is asked


@pytest.fixture(scope="module")
def about_inventory(preflight: Preflight) -> str:
    """What preflight says about many bad inputs at once."""
    return preflight(
        {
            "temporal_vipp": "10.89.1.9",
            "temporal_vip": "10.89.1.12",
            "temporal_history_shards": "many",
            "temporal_secrets": {"patroni_rest": "changeme-changeme"},
            "temporal_namespaces": [{"name": "staging"}, {"name": "staging"}],
        },
        {
            "preflight-c": {
                "temporal_address": "10.89.1.12",
                "hapoxy_max_connections": 100,
                "my_hosts_note": "{{ nothing }}",
            }
        },
    )


@pytest.mark.parametrize(
    "problem",
    [
        "temporal_vipp: is no variable of this collection (did you mean temporal_vip?)",
        "hapoxy_max_connections on preflight-c: is no variable of this collection (did you mean haproxy_max_conn",
        "temporal_vip: 10.89.1.12 is the address of preflight-b, preflight-c",
        "preflight-b, preflight-c: have the same address 10.89.1.12",
        "temporal_history_shards: argument 'temporal_history_shards' is of type str",
        "temporal_secrets.patroni_rest: looks like a placeholder",
        "temporal_secrets.temporal_database: is missing",
        "temporal_namespaces: staging stands there 2 times; keep one",
    ],
)
def test_bad_input_is_told(about_inventory: str, problem: str) -> None:
    assert problem in about_inventory


def test_bad_input_ends_the_run_before_any_host_is_asked(about_inventory: str) -> None:
    assert "PLAY [The hosts are fit]" not in about_inventory


def test_a_placeholder_is_not_shown(about_inventory: str) -> None:
    assert "changeme" not in about_inventory


# The hosts


def test_a_sound_cluster_that_already_runs_is_accepted(preflight: Preflight) -> None:
    """The virtual address on a balancer and a port held by a unit of the collection are as they should be."""
    host = lab_host("preflight-b")
    record = "/etc/systemd/system/ours.service.d/zz-zerospof-record.conf"
    host.check_output(f"mkdir -p {Path(record).parent} && touch {record}")
    host.check_output("systemd-run --unit=ours --collect /usr/bin/python3 -m http.server 7233")
    host.check_output("ip address add 10.89.1.10/32 dev eth0")
    try:
        said = preflight(refused=False)
    finally:
        host.check_output("ip address delete 10.89.1.10/32 dev eth0")
        host.check_output("systemctl stop ours.service")
        host.check_output(f"rm -r {Path(record).parent}")
    assert "preflight-a, preflight-b, preflight-c: /var/lib/cassandra is on the file system of the system" in said


def test_an_unreachable_host_is_one_problem_and_the_others_are_still_judged(preflight: Preflight) -> None:
    said = preflight(
        hosts={
            "preflight-a": {"ansible_host": "10.89.1.250", "temporal_address": "10.89.1.11"},
            "preflight-b": {"ansible_python_interpreter": "/usr/bin/python9"},
            "preflight-c": {"temporal_vip_interface": "bond0"},
        }
    )
    assert "3 problems with the hosts" in said
    assert "preflight-a: cannot be reached: " in said
    assert "see that it is up and that ansible_host, ansible_user and the key are right" in said
    assert "preflight-b: cannot be checked: " in said
    assert "preflight-c: has no interface bond0 (it has eth0); set temporal_vip_interface" in said


@pytest.fixture(scope="module")
def about_hosts(preflight: Preflight, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What preflight says when much is wrong with hosts and artifacts at once."""
    first, second, third = (lab_host(f"preflight-{letter}") for letter in "abc")
    artifacts = tmp_path_factory.mktemp("artifacts")
    (artifacts / "SHA256SUMS").touch()
    first.check_output("cp --dereference /etc/os-release /run/os-release")
    try:
        first.check_output("sed -i 's/^VERSION_ID=.*/VERSION_ID=11/' /etc/os-release")
        second.check_output("mkdir -p /opt/skew")
        second.check_output(
            r"printf 'import time\nreal = time.time\ntime.time = lambda: real() - "
            rf"{SKEW_SECONDS}\n' > /opt/skew/sitecustomize.py"
        )
        second.check_output(
            r"""printf '#!/bin/sh\nPYTHONPATH=/opt/skew exec /usr/bin/python3 "$@"\n' > /opt/skew/python3"""
        )
        second.check_output("chmod 755 /opt/skew/python3")
        third.check_output("systemd-run --unit=foreign --collect /usr/bin/python3 -m http.server 7233")
        third.check_output("timeout 20 sh -c 'until grep -q :1C41 /proc/net/tcp; do sleep 0.2; done'")
        # What the PgBouncer of Debian 12 would be: it follows no prepared statements.
        third.check_output(
            r"""printf '#!/bin/sh\necho "pgbouncer:\n  Installed: (none)\n  Candidate: 1.18.0-1"\n' """
            "> /usr/local/bin/apt-cache && chmod 755 /usr/local/bin/apt-cache"
        )
        third.check_output("sed -i 's/17.0.12/21.0.4/' /opt/java/bin/java")
        third.check_output("mkdir -p /var/lib/cassandra && mount -t tmpfs -o size=64m tmpfs /var/lib/cassandra")
        # The gateway of the lab is a machine that answers and is no load balancer.
        yield preflight(
            {
                "temporal_vip": "10.89.1.1",
                "temporal_artifact_directory": str(artifacts),
                "temporal_version": "1.31.0",
            },
            {
                # More than any machine has.
                "preflight-a": {"cassandra_heap_megabytes": 99_999_999},
                "preflight-b": {
                    "temporal_address": "10.89.1.99",
                    "ansible_python_interpreter": "/opt/skew/python3",
                    "ansible_become": True,
                    "ansible_become_method": "su",
                    "ansible_become_user": "daemon",
                    "ansible_become_flags": "--shell /bin/sh",
                },
            },
        )
    finally:
        first.check_output("cat /run/os-release > /etc/os-release")
        second.check_output("rm -rf /opt/skew")
        third.check_output("systemctl stop foreign.service || true; rm -f /usr/local/bin/apt-cache")
        third.check_output("sed -i 's/21.0.4/17.0.12/' /opt/java/bin/java; umount /var/lib/cassandra || true")


@pytest.mark.parametrize(
    "problem",
    [
        r"preflight-a: runs debian 11; supported are debian 12, debian 13",
        r"postgresql: its hosts run different systems \(debian 11 on preflight-a; debian 13 on preflight-b",
        r"preflight-b: does not have its address 10\.89\.1\.99 \(it has 10\.89\.1\.12/24\); set temporal_address",
        r"preflight-b: is not entered as root; set ansible_become: true or ansible_user: root",
        r"preflight-c: port 7233 \(temporal_ports\.frontend\) is taken by python3 \(pid \d+, unit foreign\.service\)",
        r"preflight-c: Temporal 1\.31\.0 cannot work behind PgBouncer 1\.18\.0: .* Install a newer PgBouncer",
        r"preflight-a: a heap of 99999999 MiB is more than half of its \d+ MiB of memory",
        r"preflight-a: \d+ MiB of its memory are free, and a node with a heap of 99999999 MiB takes",
        r'preflight-c: Cassandra needs Java 17, and /opt/java/bin/java says openjdk version "21\.0\.4"',
        r"preflight-c: 64 MiB are free for /var/lib/cassandra, at least 4096 are needed",
        r"temporal_vip: 10\.89\.1\.1 is taken by a machine that is no load balancer of this cluster \(seen from",
        r"temporal-server-[\d.]+-linux-amd64\.tar\.gz is missing; run playbooks/artifacts\.yml or put it there",
        r"wheels/ has no wheel of temporalio==",
    ],
)
def test_a_host_that_is_not_fit_is_told(about_hosts: str, problem: str) -> None:
    assert re.search(problem, about_hosts)


def test_a_wrong_clock_is_measured(about_hosts: str) -> None:
    found = re.findall(
        r"(\S+): its clock is at least ([\d.]+) s behind the control node's, 1 s are allowed", about_hosts
    )
    assert {host for host, _ in found} == {"preflight-b"}
    assert SKEW_SECONDS - 120 < float(found[0][1]) <= SKEW_SECONDS
