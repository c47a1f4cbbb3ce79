"""A build is idle when nobody needs it, and not when that is not known."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _worker_client
from ansible_collections.zerospof.temporal.plugins.module_utils._rollout import Build, Routing
from ansible_collections.zerospof.temporal.plugins.modules import worker_builds_info

OLD, NEW = "1.0.0", "1.1.0"


class Deployment:
    """A deployment with a drained build, and so many workflows that are pinned to it."""

    def __init__(self, pinned: int | Exception) -> None:
        self.builds = [Build(OLD, "drained"), Build(NEW, "current")]
        self._pinned = pinned

    async def routing(self) -> Routing:
        return Routing(current=NEW)

    async def pinned(self, build: str) -> int:
        assert build == OLD
        if isinstance(self._pinned, Exception):
            raise self._pinned
        return self._pinned


@pytest.mark.parametrize(
    ("pinned", "idle"),
    [
        pytest.param(0, [OLD], id="nobody needs it"),
        pytest.param(1, [], id="somebody pinned a workflow to it after it had drained"),
        pytest.param(_worker_client.UnreachableError("no answer"), [], id="not known"),
    ],
)
def test_a_drained_build_is_idle_when_no_running_workflow_is_pinned_to_it(
    pinned: int | Exception, idle: list[str]
) -> None:
    deployment: Any = Deployment(pinned)
    assert asyncio.run(worker_builds_info.look(deployment, [OLD, NEW], NEW)) == (Routing(current=NEW), idle)


def test_workflows_are_counted_by_the_version_that_they_are_pinned_to() -> None:
    seen = []

    async def count(request: Any, **_: object) -> SimpleNamespace:  # noqa: ANN401
        seen.append((request.namespace, request.query))
        return SimpleNamespace(count=3)

    deployment = _worker_client.Deployment({"namespace": "production", "deployment": "networking", "token": ""})
    service = SimpleNamespace(count_workflow_executions=count)
    deployment._client = SimpleNamespace(workflow_service=service)  # type: ignore[assignment]
    assert asyncio.run(deployment.pinned(OLD)) == 3
    assert seen == [
        (
            "production",
            "TemporalWorkerDeploymentVersion = 'networking:1.0.0' AND ExecutionStatus = 'Running'"
            " AND TemporalWorkflowVersioningBehavior = 'Pinned'",
        )
    ]
