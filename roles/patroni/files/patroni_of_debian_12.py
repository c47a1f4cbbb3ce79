#!/usr/bin/python3
"""Patroni 3.0.2, the one of Debian 12, without the fault that loses acknowledged writes.

A leader that was frozen for longer than its lease, as a virtual machine that is moved, wakes up with what it knew. It
gets a new lease then and writes its name over that of the member which was elected meanwhile, whose writes are rewound
away. Here the key of the leader is written only where it is free or one's own, as Patroni does from 3.0.3 on
(https://github.com/patroni/patroni/pull/2689). With a newer Patroni, as after an upgrade of the package, this program
is that Patroni.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from patroni.__main__ import main
from patroni.dcs import Leader, catch_return_false_exception
from patroni.dcs.etcd3 import Etcd3, Etcd3Error, base64_encode
from patroni.version import __version__

log = logging.getLogger("patroni.dcs.etcd3")

LEAST_SECONDS = 1
REPAIRED = (3, 0, 3)


@catch_return_false_exception
def update_leader(ring: Etcd3) -> bool:
    """Keep the lease of this leader alive, and its key on that lease; tell whether it still leads.

    Raises:
        Etcd3Error: there is no time left to ask.
    """
    retry = ring._retry.copy()

    def patiently(function: Callable[..., Any], *arguments: object, **options: object) -> object:
        return retry(function, *arguments, **{**options, "retry": retry})

    ring._run_and_handle_exceptions(ring._do_refresh_lease, True, retry=patiently)
    cluster = ring.cluster
    leader = cluster and cluster.leader
    if isinstance(leader, Leader) and leader.session == ring._lease:
        return True

    key, name = base64_encode(ring.leader_path), base64_encode(ring._name)
    write = {"request_put": {"key": key, "value": name, "lease": ring._lease}}
    for own_or_free in ({"target": "VALUE", "value": name}, {"target": "CREATE", "create_revision": 0}):
        retry.deadline = retry.stoptime - time.time()
        if retry.deadline < LEAST_SECONDS:
            raise Etcd3Error("update_leader timeout")
        if ring._run_and_handle_exceptions(ring._client.txn, {"key": key, **own_or_free}, write, retry=patiently):
            return True
    log.warning("another member leads: this one has been away for longer than its lease")
    return False


def mend(version: str) -> None:
    """Replace the function where Patroni is of a ``version`` that has the fault."""
    if tuple(int(part) for part in version.split(".")[:3] if part.isdigit()) < REPAIRED:
        Etcd3._update_leader = update_leader


if __name__ == "__main__":
    mend(__version__)
    sys.exit(main())
