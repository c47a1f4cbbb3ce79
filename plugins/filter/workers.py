"""Filters for the declared workers; the work is done in ``module_utils``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.zerospof.temporal.plugins.module_utils import _rollout, _workers


def packages(deployments: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Tell Ansible what is wrong with the packages."""
    try:
        return _workers.packages(deployments)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Worker filters of the collection."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter names and their functions."""
        return {
            "task_queue_partitions": _workers.partitions,
            "worker_abandoned_builds": _workers.abandoned,
            "worker_deployments": _workers.complete,
            "worker_hosts": _workers.hosts_by_deployment,
            "worker_metrics_ports": _workers.all_metrics_ports,
            "worker_other_builds": _workers.others,
            "worker_packages": packages,
            "worker_problems": _workers.problems,
            "worker_replacements": _workers.replacements,
            "worker_rollouts": _rollout.rollouts,
            "worker_rollout_steps": _rollout.steps,
            "worker_rollout_problems": _rollout.wish_problems,
            "worker_scaling": _workers.scaled,
            "worker_task_queues": _workers.task_queues,
            "worker_units": _workers.workers,
            "worker_versioning": _workers.versioning,
        }
