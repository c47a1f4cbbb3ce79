"""Whose workflow does not get through is told why, and what to do where a token is missing."""

from __future__ import annotations

import pytest
from ansible_collections.zerospof.temporal.plugins.modules import workflow_probe


def probe(namespace: str, error: str = "") -> dict[str, str]:
    """Return the outcome of a probe."""
    return {"address": "192.0.2.11:7233", "namespace": namespace, "error": error}


def test_workflows_that_complete_are_no_reason_to_refuse() -> None:
    assert workflow_probe.refusal([probe("production"), probe("staging")], "") == ""


def test_each_workflow_that_does_not_complete_is_told() -> None:
    said = workflow_probe.refusal([probe("production"), probe("staging", "no result in time")], "")
    assert said == "1 of 2 workflows did not complete: staging through 192.0.2.11:7233: no result in time"


@pytest.mark.parametrize(("token", "state"), [("", "is empty"), ("a.b.c", "is refused")])
def test_who_is_not_authorized_is_told_which_variable_to_set(token: str, state: str) -> None:
    said = workflow_probe.refusal([probe("production", "Request unauthorized.")], token)
    assert said.endswith(f"temporal_verification_token {state}: set it to a token that may write in every namespace")
    assert "a.b.c" not in said
