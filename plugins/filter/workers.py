"""Filters for the declared workers; the work is done in ``module_utils``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.zerospof.temporal.plugins.module_utils import _rollout, _workers


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` as one that tells Ansible what is wrong with the values that it is given."""

    @functools.wraps(function)
    def _told(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        try:
            return function(*args, **kwargs)
        except ValueError as error:
            raise AnsibleFilterError(str(error)) from error

    return _told


class FilterModule:
    """Worker filters of the collection."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filter names and their functions."""
        return {
            "task_queue_partitions": _workers.partitions,
            "worker_abandoned_builds": _workers.abandoned,
            "worker_deployments": told(_workers.complete),
            "worker_hosts": _workers.hosts_by_deployment,
            "worker_metrics_ports": _workers.all_metrics_ports,
            "worker_other_builds": _workers.others,
            "worker_packages": told(_workers.packages),
            "worker_problems": _workers.problems,
            "worker_replacements": _workers.replacements,
            "worker_rollouts": told(_rollout.rollouts),
            "worker_rollout_steps": told(_rollout.steps),
            "worker_rollout_problems": _rollout.wish_problems,
            "worker_scaling": _workers.scaled,
            "worker_scaling_problems": _workers.scaling_problems,
            "worker_task_queues": _workers.task_queues,
            "worker_units": _workers.workers,
            "worker_versioning": _workers.versioning,
        }
