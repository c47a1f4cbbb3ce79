"""Every template of every role, rendered for every host of every example inventory, is what its reader can parse.

No host is asked: facts, and what tasks would find out on a host, are given here. The real programs judge the same files
in the scenarios of the roles.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.dom import minidom

import pytest
import yaml

from lab.inventory import SECRETS

ROOT = Path(__file__).resolve().parents[2]
PROFILES = sorted(path.parent.name for path in (ROOT / "inventories").glob("*/hosts.yml"))
TEMPLATES = {path.relative_to(ROOT).as_posix() for path in (ROOT / "roles").glob("*/templates/*.j2")}

FACTS = {
    "default_ipv4": {"interface": "eth0"},
    "distribution_major_version": "13",
    "memtotal_mb": 16_000,
    "processor_vcpus": 4,
}
# What tasks of the roles register.
REGISTERED = {
    "__temporal_worker_present": {"files": []},
    "__pgbouncer_package": {"version": "1.24.1"},
    "__patroni_package": {"version": "4.0.7"},
    "__temporal_server_pooler": {"version": "1.24.1"},
    "__cassandra_member": {"action": "found"},
    "__etcd_member": {"bootstrap_environment": {}},
}
BALANCER = {"haproxy_instance": "edge", "haproxy_proxies": "{{ edge_proxies }}"}
DATABASE_PROXY = {"haproxy_instance": "database", "haproxy_proxies": "{{ database_proxies }}"}
# Role, the group that has it, and what the play says to it.
PLAYS = [
    ("common", "all", {}),
    ("etcd", "etcd", {}),
    ("patroni", "postgresql", {}),
    # The ring stands in for the database that the inventories have.
    ("cassandra", "postgresql", {"cassandra_members": "{{ patroni_members }}"}),
    ("haproxy", "load_balancers", BALANCER),
    ("haproxy", "temporal_servers", DATABASE_PROXY),
    ("keepalived", "load_balancers", BALANCER),
    ("pgbouncer", "temporal_servers", {}),
    ("temporal_server", "temporal_servers", {}),
    ("temporal_ui", "temporal_ui", {}),
    ("temporal_worker", "temporal_workers", {}),
]
# Templates that a task renders once for each item of a list.
LOOPS = {
    "roles/patroni/templates/config.yml.j2": ("__patroni_file", "{{ __patroni_files }}"),
    "roles/temporal_worker/templates/worker.env.j2": (
        "__temporal_worker_deployment",
        "{{ __temporal_worker_deployments }}",
    ),
    "roles/temporal_server/templates/service.j2": ("service", "{{ __temporal_server_services }}"),
}


def playbook(place: Path) -> Path:
    """Write a playbook that renders all templates into its output, and return it."""
    (place / "templates").mkdir()
    for name in TEMPLATES:
        # Roles look their own templates up by name; two have the same one, which no other template needs.
        link = place / "templates" / Path(name).name
        if not link.exists():
            link.symlink_to(ROOT / name)
    plays: list[dict[str, Any]] = [
        {
            "hosts": "{{ cluster_hosts }}",
            "gather_facts": False,
            "roles": [{"role": "zerospof.temporal.topology"}],
            "tasks": [{"ansible.builtin.set_fact": {"cacheable": True, **FACTS}, "tags": "render"}],
        }
    ]
    for role, group, said in PLAYS:
        tasks = []
        for name in sorted(name for name in TEMPLATES if name.startswith(f"roles/{role}/")):
            variable, items = LOOPS.get(name, ("__once", "{{ [0] }}"))
            tasks.append(
                {
                    "name": name,
                    "ansible.builtin.debug": {"msg": f"{{{{ lookup('ansible.builtin.template', '{ROOT / name}') }}}}"},
                    # Of the task, to outrank the topology.
                    "vars": said,
                    "loop": items,
                    "loop_control": {"loop_var": variable},
                    "tags": "render",
                }
            )
        plays.append(
            {
                "hosts": group,
                "gather_facts": False,
                "vars": REGISTERED | said | {"temporal_secrets": {name: f"'\"{name}\\ #{{" for name in SECRETS}},
                "roles": [{"role": "zerospof.temporal.topology"}, {"role": f"zerospof.temporal.{role}"}],
                "tasks": tasks,
            }
        )
    path = place / "render.yml"
    path.write_text(yaml.safe_dump(plays, sort_keys=False))
    return path


@pytest.fixture(scope="module", params=PROFILES)
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """All files of an inventory by template and "host item"."""
    path = playbook(tmp_path_factory.mktemp("render"))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            str(path),
            f"--inventory={ROOT / 'inventories' / request.param}",
            "--connection=local",
            # The tasks of the roles have no tag: their variables count and nothing of them runs.
            "--tags=render",
        ],
        cwd=ROOT,
        env=os.environ
        | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        | {"ANSIBLE_PYTHON_INTERPRETER": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    plays = json.loads(done.stdout)["plays"]
    results = [result for play in plays for task in play["tasks"] for result in task["hosts"].values()]
    assert done.returncode == 0, [str(result)[:2000] for result in results if result.get("failed")][:1] or done.stderr
    files = {}
    for play in plays:
        for task in play["tasks"]:
            if task["task"]["name"] not in TEMPLATES:
                continue
            for host, result in task["hosts"].items():
                for number, item in enumerate(result["results"]):
                    files[task["task"]["name"], f"{host} {number} {play['play']['id']}"] = item["msg"]
    return files


def is_unit(text: str) -> None:
    """A systemd unit or drop-in: sections of assignments."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    assert set(parser.sections()) <= {"Unit", "Service", "Timer", "Install"}
    assert parser.sections()


def is_ini(text: str) -> None:
    """The settings of PgBouncer."""
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=(";",))
    parser.read_string(text)
    assert parser.get("pgbouncer", "pool_mode") == "transaction"


def is_mapping(text: str) -> None:
    """YAML with settings."""
    assert yaml.safe_load(text)


def is_list_of_units(text: str) -> None:
    """YAML with systemd units, as the module ``systemd_units`` takes them."""
    units = yaml.safe_load(text)
    assert units
    for unit in units:
        assert unit["name"].endswith(".service")
        is_unit(unit["content"])


def is_environment(text: str) -> None:
    """Lines of NAME=value."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", line)] == []


def is_shell(text: str) -> None:
    """A script that its interpreter can read."""
    interpreter = shutil.which(text.splitlines()[0].removeprefix("#!"))
    assert interpreter
    checked = subprocess.run([interpreter, "-n"], input=text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def is_balanced(text: str) -> None:
    """Blocks in braces, every one of them closed (nftables, keepalived)."""
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert "{" in text


def is_haproxy(text: str) -> None:
    """Sections at the margin, indented directives below, every server once."""
    sections = [line.split()[0] for line in text.splitlines() if line and not line[0].isspace() and line[0] != "#"]
    assert sections[:2] == ["global", "defaults"]
    assert set(sections[2:]) <= {"listen", "frontend", "backend"}
    servers = re.findall(r"^  server (\S+ \S+)", text, re.MULTILINE)
    assert servers
    assert len(set(servers)) == len(servers)


def is_access_list(text: str) -> None:
    """Lines of pg_hba.conf; over the network only with TLS."""
    lines = [line.split() for line in text.splitlines() if line]
    assert {line[0] for line in lines} == {"local", "hostssl"}
    assert all(len(line) >= 5 for line in lines if line[0] == "hostssl")


def is_user_list(text: str) -> None:
    """A quoted name and a quoted password, quotes in it doubled."""
    assert re.fullmatch(r'"[^"]+" "([^"]|"")+"\n?', text)


def is_properties(text: str) -> None:
    """Lines of name=value, as Java reads them."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[a-z]+=\S+", line)] == []


def is_argument_file(text: str) -> None:
    """Options of a JVM, one in a line; the class path comes last and in quotes, because it has a star."""
    *options, class_path = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [option for option in options if not re.fullmatch(r"-\S+", option)] == []
    assert re.fullmatch(r'-classpath "\S+"', class_path)


def is_document(text: str) -> None:
    """XML with one root."""
    assert minidom.parseString(text).documentElement is not None


PARSERS: Mapping[str, Callable[[str], None]] = {
    "roles/cassandra/templates/cassandra-repair.timer.j2": is_unit,
    "roles/cassandra/templates/cassandra-repair@.service.j2": is_unit,
    "roles/cassandra/templates/cassandra-rackdc.properties.j2": is_properties,
    "roles/cassandra/templates/cassandra.service.j2": is_unit,
    "roles/cassandra/templates/cassandra.yaml.j2": is_mapping,
    "roles/cassandra/templates/first_start.env.j2": is_environment,
    "roles/cassandra/templates/first_start.yaml.j2": is_mapping,
    "roles/cassandra/templates/jvm.options.j2": is_argument_file,
    "roles/cassandra/templates/logback.xml.j2": is_document,
    "roles/cassandra/templates/nodetool.j2": is_shell,
    "roles/cassandra/templates/repair.env.j2": is_environment,
    "roles/common/templates/firewall.nft.j2": is_balanced,
    "roles/common/templates/firewall.service.j2": is_unit,
    "roles/etcd/templates/etcd.env.j2": is_environment,
    "roles/etcd/templates/etcd.service.j2": is_unit,
    "roles/haproxy/templates/haproxy.cfg.j2": is_haproxy,
    "roles/haproxy/templates/haproxy.service.j2": is_unit,
    "roles/keepalived/templates/check-balancer.j2": is_shell,
    "roles/keepalived/templates/keepalived.conf.j2": is_balanced,
    "roles/keepalived/templates/keepalived.service.j2": is_unit,
    "roles/keepalived/templates/notify-state.j2": is_shell,
    "roles/patroni/templates/config.yml.j2": is_mapping,
    "roles/patroni/templates/patroni.conf.j2": is_unit,
    "roles/patroni/templates/pg_hba.conf.j2": is_access_list,
    "roles/patroni/templates/secrets.yml.j2": is_mapping,
    "roles/pgbouncer/templates/pgbouncer.conf.j2": is_unit,
    "roles/pgbouncer/templates/pgbouncer.ini.j2": is_ini,
    "roles/pgbouncer/templates/userlist.txt.j2": is_user_list,
    "roles/temporal_server/templates/dynamicconfig.yaml.j2": is_mapping,
    "roles/temporal_server/templates/secrets.env.j2": is_environment,
    "roles/temporal_server/templates/server.yaml.j2": is_mapping,
    "roles/temporal_server/templates/service.j2": is_unit,
    "roles/temporal_server/templates/units.yml.j2": is_list_of_units,
    "roles/temporal_ui/templates/temporal-ui.service.j2": is_unit,
    "roles/temporal_ui/templates/ui.yaml.j2": is_mapping,
    "roles/temporal_worker/templates/scaling.json.j2": is_mapping,
    "roles/temporal_worker/templates/units.yml.j2": is_list_of_units,
    "roles/temporal_worker/templates/wanted.yml.j2": is_mapping,
    "roles/temporal_worker/templates/worker.env.j2": is_environment,
}


def test_clients_reach_the_virtual_address_and_no_server_beside_it(rendered: dict[tuple[str, str], str]) -> None:
    """Balancers and servers listen on one port number; a host may be both."""
    vip, clients = "ip daddr 10.77.0.10 tcp dport 7233", "ip saddr { 10.77.0.0/24 }"
    firewalls = [text for (name, _), text in rendered.items() if name == "roles/common/templates/firewall.nft.j2"]
    about = [[line.strip() for line in text.splitlines() if "tcp dport 7233" in line] for text in firewalls]
    balancers = [lines for lines in about if vip in " ".join(lines)]
    assert balancers
    for lines in balancers:
        assert lines[:2] == [f"{vip} {clients} accept", f"{vip} drop"]
    assert not [line for lines in about for line in lines if clients in line and vip not in line]


def test_a_fleet_that_logs_in_at_once_neither_stops_a_node_nor_waits_for_one(
    rendered: dict[tuple[str, str], str],
) -> None:
    nodes = [yaml.safe_load(text) for (name, _), text in rendered.items() if name.endswith("/cassandra.yaml.j2")]
    options = [text for (name, _), text in rendered.items() if name.endswith("/jvm.options.j2")]
    assert nodes
    for settings in nodes:
        # Checks of passwords have threads of their own, and few.
        assert 1 <= settings["native_transport_max_auth_threads"] <= 4
        for cache in ("roles", "permissions", "credentials"):
            # Longer than an outage; short is what a node lets in who may not any more, even if nobody else asks.
            assert settings[f"{cache}_validity"] == "24h"
            assert settings[f"{cache}_update_interval"] == "10s"
            assert settings[f"{cache}_cache_active_update"] is True
    rounds = [
        re.findall(r"^-Dcassandra\.auth_bcrypt_gensalt_log2_rounds=(\d+)$", text, re.MULTILINE) for text in options
    ]
    # The least that bcrypt takes is 4; with 10, a thousand logins take longer than their clients wait.
    assert [found for found in rounds if not 4 <= int(found[-1]) <= 8] == []


def test_every_template_has_a_parser() -> None:
    assert set(PARSERS) == TEMPLATES


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_the_rendered_file_can_be_parsed(rendered: dict[tuple[str, str], str], template: str) -> None:
    files = {where: text for (name, where), text in rendered.items() if name == template}
    assert files
    for where, text in files.items():
        try:
            PARSERS[template](text)
        except (AssertionError, configparser.Error, yaml.YAMLError) as error:
            pytest.fail(f"{template} on {where}: {error}\n{text}")
