"""The sample worker: pure rules, and activities that need no server."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from lab.sample import activities, model, workflows

Change, Device, Outcome = model.Change, model.Device, model.Outcome


def attempt(device: model.Device, number: int) -> str:
    """Apply VLAN 10 to a device as attempt ``number``."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, attempt=number)
    return asyncio.run(environment.run(activities.apply_configuration, device, 10))


def test_a_good_change_gives_every_device_its_own_commit() -> None:
    outcome = model.expected_outcome(Change("c", 10, [Device("a"), Device("b")]))
    assert outcome.status == model.CONFIGURED
    assert sorted(outcome.commits) == ["a", "b"]
    assert len(set(outcome.commits.values())) == 2


@pytest.mark.parametrize(
    ("devices", "restored", "reason"),
    [
        ([Device("a"), Device("b", refuses=True), Device("c")], ["b", "a"], "b refuses vlan 10"),
        ([Device("a"), Device("b", failures=model.MOST_ATTEMPTS)], ["b", "a"], "b does not answer"),
        ([Device("a", drifts=True), Device("b")], ["b", "a"], "a runs something else than it confirmed"),
    ],
)
def test_a_failing_device_undoes_what_was_touched(
    devices: list[model.Device], restored: list[str], reason: str
) -> None:
    assert model.expected_outcome(Change("c", 10, devices)) == Outcome(
        "c", model.ROLLED_BACK, restored=restored, reason=reason
    )


def test_a_wrong_change_is_refused_with_all_reasons() -> None:
    with pytest.raises(model.InvalidChangeError) as refused:
        model.check(Change("c", 4095, [Device("a"), Device("a")]))
    assert "vlan 4095" in str(refused.value)
    assert "device a is named twice" in str(refused.value)


def test_a_wrong_change_fails_for_good() -> None:
    with pytest.raises(ApplicationError) as failed:
        ActivityEnvironment().run(activities.validate_change, Change("c", 0, []))
    assert failed.value.non_retryable


def test_a_device_answers_after_the_attempts_that_it_leaves_unanswered() -> None:
    flaky = Device("a", seconds=0, failures=2)
    with pytest.raises(ApplicationError, match="a does not answer") as failed:
        attempt(flaky, 2)
    assert not failed.value.non_retryable
    assert attempt(flaky, 3) == model.commit_of(model.configuration(flaky, 10))


@pytest.mark.parametrize("number", [model.MOST_ATTEMPTS, model.MOST_ATTEMPTS + 1])
def test_a_device_that_never_answers_is_given_up(number: int) -> None:
    """Also when the attempt that was to be the last was lost with its worker."""
    with pytest.raises(ApplicationError, match="a does not answer") as failed:
        attempt(Device("a", seconds=0, failures=model.MOST_ATTEMPTS), number)
    assert failed.value.non_retryable


def test_attempts_that_are_lost_with_their_workers_say_nothing_about_the_device() -> None:
    sound = Device("a", seconds=0)
    assert attempt(sound, model.MOST_ATTEMPTS + 3) == model.commit_of(model.configuration(sound, 10))
    assert workflows.DEVICE_RETRIES.maximum_attempts == 0


def test_a_refusal_is_not_tried_again() -> None:
    with pytest.raises(ApplicationError) as failed:
        attempt(Device("a", seconds=0, refuses=True), 1)
    assert failed.value.non_retryable


def test_a_slow_device_is_waited_for_with_heartbeats() -> None:
    beats: list[object] = []
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: beats.append(details)
    asyncio.run(environment.run(activities.apply_configuration, Device("a", seconds=1.2), 10))
    assert len(beats) == 1


def test_drift_is_found() -> None:
    device = Device("a", drifts=True)
    commit = model.commit_of(model.configuration(device, 10))
    with pytest.raises(ApplicationError, match="runs something else"):
        asyncio.run(ActivityEnvironment().run(activities.verify_device, device, 10, commit))
