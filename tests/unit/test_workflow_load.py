"""The load of a drill leaves nothing open."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils._calls import CLIENTS
from ansible_collections.zerospof.temporal.plugins.modules import workflow_load
from temporalio.converter import DataConverter


def test_a_workflow_that_nobody_serves_any_more_ends_by_itself() -> None:
    asked: list[Any] = []

    async def answer(request: object, **_options: object) -> None:
        asked.append(request)

    client = SimpleNamespace(
        namespace="production",
        data_converter=DataConverter.default,
        workflow_service=SimpleNamespace(start_workflow_execution=answer),
    )
    for flavour in CLIENTS:
        call = asyncio.run(workflow_load.start(client, flavour, "w", "queue"))
        assert call.acked, call.error
    assert [request.workflow_execution_timeout.seconds for request in asked] == [3600] * len(CLIENTS)
