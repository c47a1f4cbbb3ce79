"""Loads the filters of the collection into the process that forks a worker for every task and host.

Each worker that uses one would compile all of them, a tenth of a second of the processor. The playbooks of the
collection see to that themselves (``cluster_hosts`` in ``roles/topology``); small plays of scenarios need not.
"""

from __future__ import annotations

from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import filter_loader


class CallbackModule(CallbackBase):
    """Says nothing."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "filters"

    def __init__(self) -> None:
        """Find one filter, which loads all."""
        super().__init__()
        filter_loader.get("zerospof.temporal.members")
