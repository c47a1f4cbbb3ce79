#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: the data of a member, made of a snapshot that was proved."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_restore
short_description: Make the data of a member out of a snapshot of its ring
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - In check mode it refuses when the backup is damaged, of another cluster or of a newer release, when members are left
    out, and when the member of this host has data.
  - With O(state=proved) it makes O(snapshot) out of the backup, without asking again. A ring of this member alone
    starts with the backup behind a port that nobody knows, answers, and forgets the keys that were true at one moment
    alone, such as who leads; what it then holds is O(snapshot).
  - With O(state=unpacked) it makes O(target) out of O(snapshot). All members need the same one and the same O(token).
  - What runs on the host is not touched.
extends_documentation_fragment:
  - zerospof.temporal.etcd
attributes:
  check_mode:
    description: Says whether the backup may become the ring.
    support: full
  diff_mode:
    description: There is no text to compare.
    support: none
options:
  state:
    description: What to make.
    type: str
    choices: [proved, unpacked]
    default: proved
  snapshot:
    description: File with the snapshot that all members get.
    type: path
    required: true
  peer_port:
    description: Port on which the members talk to each other.
    type: int
    default: 2380
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  tag:
    description: Name of the backup.
    type: str
    required: true
  directory:
    description: Directory of the backups.
    type: path
    required: true
  data_directory:
    description: Data directory of the member on this host.
    type: path
    required: true
  target:
    description: Data directory to make; what an interrupted run left there goes.
    type: path
    required: true
  token:
    description: Name of the new ring, another one at each restore, so that members of the former ring stay out of it.
    type: str
    required: true
  source:
    description: Name of the host whose backup is used; empty when no host has it.
    type: str
    required: true
  manifest:
    description: Content of C(manifest.json) of that backup.
    type: dict
    required: true
  present:
    description: Names of the members that are restored in this run.
    type: list
    elements: str
    required: true
  over_data:
    description: Whether data of the member may be replaced.
    type: bool
    default: false
seealso:
  - module: zerospof.temporal.etcd_backup
"""

EXAMPLES = r"""
- name: Nothing keeps the ring from its backup
  zerospof.temporal.etcd_restore:
    name: db-a
    members:
      - {name: db-a, address: 192.0.2.31}
      - {name: db-b, address: 192.0.2.32}
      - {name: db-c, address: 192.0.2.33}
    cluster: temporal
    tag: zerospof-20261125T063000Z
    directory: /mnt/backups/etcd
    data_directory: /var/lib/etcd/temporal
    snapshot: /var/lib/etcd/temporal.restored.db
    target: /var/lib/etcd/temporal.restored
    token: temporal-20261126T100000Z
    source: db-a
    manifest: "{{ backup.content | b64decode | from_json }}"
    present: [db-a, db-b, db-c]
    ca_file: /etc/etcd/tls/ca.crt
    certificate_file: /etc/etcd/tls/etcd.crt
    key_file: /etc/etcd/tls/etcd.key
  check_mode: true
"""

RETURN = r"""
forgotten:
  description: Keys of the backup that were true at one moment alone and are not in O(snapshot).
  returned: success
  type: list
  elements: str
"""

import base64
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import (
    _backup,
    _backup_directory,
    _etcd,
    _etcd_backup,
    _etcdctl,
)

# An election of one member takes a second; reading a large database, longer.
START_TIMEOUT_SECONDS = 60
USER = "etcd"


def refuse(module: AnsibleModule, reason: str) -> None:
    """End with ``reason``."""
    module.fail_json(msg=f"etcd on {module.params['name']}: {reason}")


def installed_version(module: AnsibleModule) -> str | None:
    """Return the release of etcd on this host, ``None`` without one."""
    binary = module.get_bin_path("etcd")
    if binary is None:
        return None
    _, output, _ = module.run_command([binary, "--version"], check_rc=True)
    return output.splitlines()[0].rpartition(" ")[2]


def check(module: AnsibleModule, client: _etcdctl.Etcdctl, backups: _backup_directory.BackupDirectory) -> None:
    """End with all reasons against this restore, if there are any."""
    params = module.params
    version = installed_version(module)
    if version is None or not client.is_installed:
        refuse(module, "etcd is not installed; run site.yml first")
    if not params["source"]:
        backups.read_manifest()
        refuse(module, f"the backup {params['tag']} has no manifest")
    target, data = Path(params["target"]), Path(params["data_directory"])
    problems = list(
        _etcd_backup.restore_problems(
            params["manifest"],
            cluster=params["cluster"],
            members=[member["name"] for member in params["members"]],
            present=params["present"],
            version=version,
            data=_backup_directory.last_written((data, "member/snap/db"), (data, "member/wal/*.wal")),
            is_forced=params["over_data"],
        )
    )
    if data.is_mount():
        problems.append(f"{data} is a mount point, and cannot be moved aside; mount the disk at {data.parent}")
    if params["name"] == params["source"]:
        snapshot = backups.backup / _etcdctl.SNAPSHOT
        _, status, _ = client.offline("snapshot", "status", str(snapshot))
        sha256 = module.sha256(str(snapshot)) or "none"
        problems.append(_etcd_backup.damage(params["manifest"], sha256=sha256, status=status or {}))
    # The snapshot, the database that is made of it, and a log beside it.
    free = shutil.disk_usage(target.parent).free
    problems.append(_backup.too_full(str(target.parent), 3 * params["manifest"]["bytes"], free))
    if any(problems):
        refuse(module, "; ".join(filter(None, problems)))


def unpack(module: AnsibleModule, client: _etcdctl.Etcdctl, snapshot: Path, members: list[dict[str, str]]) -> None:
    """Make the data directory of this host in a new ring of ``members``."""
    params = module.params
    peers = {member["name"]: _etcd.url(member["address"], params["peer_port"]) for member in members}
    shutil.rmtree(params["target"], ignore_errors=True)
    code, _, reason = client.offline(
        "snapshot",
        "restore",
        str(snapshot),
        f"--data-dir={params['target']}",
        f"--name={params['name']}",
        f"--initial-cluster={','.join(f'{name}={url}' for name, url in peers.items())}",
        f"--initial-advertise-peer-urls={peers[params['name']]}",
        f"--initial-cluster-token={params['token']}",
    )
    if code != 0:
        refuse(module, f"the snapshot does not become a ring: {reason}")
    module.run_command(["chown", "--recursive", f"{USER}:{USER}", params["target"]], check_rc=True)
    Path(params["target"]).chmod(0o700)


def free_port() -> int:
    """Return a port of this host that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def prove(module: AnsibleModule, client: _etcdctl.Etcdctl) -> list[str]:
    """Run the new ring by itself until it has answered, and return the keys that it was made to forget."""
    params = module.params
    endpoint, peer = (_etcd.url("127.0.0.1", free_port()) for _ in range(2))
    command = ["etcd", f"--name={params['name']}", f"--data-dir={params['target']}"]
    command += [f"--listen-client-urls={endpoint}", f"--advertise-client-urls={endpoint}", "--client-cert-auth"]
    command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", "--peer-client-cert-auth"]
    for kind in ("", "peer-"):
        command += [f"--{kind}trusted-ca-file={params['ca_file']}", f"--{kind}cert-file={params['certificate_file']}"]
        command.append(f"--{kind}key-file={params['key_file']}")
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, user=USER, group=USER, extra_groups=[], stdout=log, stderr=log, env=_environment()
        )
        try:
            deadline = time.monotonic() + START_TIMEOUT_SECONDS
            while client.run("endpoint", "health", endpoints=[endpoint])[0] != 0:
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    said = log.read().decode(errors="replace").strip().splitlines() or ["nothing"]
                    refuse(module, f"no ring starts with the snapshot; etcd says: {said[-1]}")
                time.sleep(0.2)
            forgotten = forget(module, client, endpoint)
            save(module, client, endpoint)
            return forgotten
        finally:
            process.terminate()
            process.wait()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}


def forget(module: AnsibleModule, client: _etcdctl.Etcdctl, endpoint: str) -> list[str]:
    """Delete the keys that were true at one moment alone, and return them."""
    code, found, reason = client.run("get", "/", "--prefix", "--keys-only", endpoints=[endpoint])
    if code != 0 or found is None:
        refuse(module, f"the keys of the snapshot cannot be read: {reason}")
    keys = [base64.b64decode(entry["key"]).decode(errors="replace") for entry in found.get("kvs") or []]
    momentary = _etcd_backup.momentary_keys(keys)
    for key in momentary:
        code, _, reason = client.run("del", key, endpoints=[endpoint])
        if code != 0:
            refuse(module, f"the snapshot does not forget {key}: {reason}")
    return momentary


def save(module: AnsibleModule, client: _etcdctl.Etcdctl, endpoint: str) -> None:
    """Keep what the ring holds as the snapshot for all members."""
    snapshot = module.params["snapshot"]
    arguments = ("snapshot", "save", snapshot)
    code, _, reason = client.run(*arguments, endpoints=[endpoint], timeout=_etcdctl.SNAPSHOT_TIMEOUT)
    if code != 0:
        refuse(module, f"there is no snapshot for the members: {reason}")
    Path(snapshot).chmod(0o600)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_etcdctl.ARGUMENTS,
            "state": {"type": "str", "choices": ["proved", "unpacked"], "default": "proved"},
            "snapshot": {"type": "path", "required": True},
            "peer_port": {"type": "int", "default": 2380},
            "cluster": {"type": "str", "required": True},
            "tag": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "data_directory": {"type": "path", "required": True},
            "target": {"type": "path", "required": True},
            "token": {"type": "str", "required": True, "no_log": False},
            "source": {"type": "str", "required": True},
            "manifest": {"type": "dict", "required": True},
            "present": {"type": "list", "elements": "str", "required": True},
            "over_data": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    client = _etcdctl.Etcdctl(module)
    backups = _backup_directory.BackupDirectory(module, f"etcd on {module.params['name']}")
    forgotten: list[str] = []
    if module.check_mode:
        check(module, client, backups)
    elif module.params["state"] == "proved":
        alone = [member for member in module.params["members"] if member["name"] == module.params["name"]]
        unpack(module, client, backups.backup / _etcdctl.SNAPSHOT, alone)
        forgotten = prove(module, client)
        shutil.rmtree(module.params["target"])
    else:
        snapshot = Path(module.params["snapshot"])
        unpack(module, client, snapshot, module.params["members"])
        snapshot.unlink()
    module.exit_json(changed=True, forgotten=forgotten)


if __name__ == "__main__":
    main()
