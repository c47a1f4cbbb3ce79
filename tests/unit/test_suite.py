"""The suite says at its end why a step failed, whoever printed it."""

from __future__ import annotations

from tests.run import DIGEST_LINES, LINES_OF_A_TASK, REASONS, Outcome, Step, digest, reasons

OF_MOLECULE = (
    "\x1b[36mINFO    \x1b[0m \x1b[32metcd\x1b[0m ➜ \x1b[33mconverge\x1b[0m: Executing\n"
    "  \x1b[2m│\x1b[0m ok: [etcd-a]\n"
    "  \x1b[2m│\x1b[0m \x1b[31mfatal: [etcd-b]: FAILED! => \x1b[0m\n"
    "  \x1b[2m│\x1b[0m \x1b[31m    rc: -11\x1b[0m\n"
    "  \x1b[2m│\x1b[0m \n"
    "\x1b[31m\x1b[1mCRITICAL\x1b[0m Ansible return code was 2\n"
)


def test_reasons_of_a_scenario_are_found_behind_colours_and_frame() -> None:
    assert reasons(OF_MOLECULE) == ("fatal: [etcd-b]: FAILED! =>", "    rc: -11", "CRITICAL Ansible return code was 2")


def test_reasons_of_the_lab_are_found_behind_its_frame() -> None:
    assert reasons("   | ok: [db-a]\n   | fatal: [db-b]: UNREACHABLE!\n") == ("fatal: [db-b]: UNREACHABLE!",)


def test_reasons_of_pytest_are_found() -> None:
    log = "test_x.py:3: in test_x\n    assert 1 == 2\nE   assert 1 == 2\nFAILED test_x.py::test_x\n"
    assert reasons(log) == ("E   assert 1 == 2", "FAILED test_x.py::test_x")


def test_a_task_is_told_with_what_follows_and_no_more() -> None:
    log = "failed: [a] (item=b) =>\n" + "".join(f"    line {number}\n" for number in range(20))
    assert len(reasons(log)) == LINES_OF_A_TASK


def test_the_last_reasons_are_told() -> None:
    log = "".join(f"E   {number}\n" for number in range(REASONS + 5))
    assert reasons(log)[0] == "E   5"
    assert len(reasons(log)) == REASONS


def test_a_program_with_reasons_of_its_own_form_is_told_by_its_end() -> None:
    log = "x.py\n" * LINES_OF_A_TASK + "\nFound 1 error.\n\n"
    assert reasons(log) == (*("x.py",) * (LINES_OF_A_TASK - 1), "Found 1 error.")


def outcome(name: str, code: int, *why: str) -> Outcome:
    return Outcome(Step(name, ("true",), "check"), code, 1.0, "", why)


def test_the_end_names_every_step_that_failed_and_why() -> None:
    etcd = outcome("molecule etcd", 1, "[ERROR]: Task failed: first", *map(str, range(REASONS)), "ERROR    etcd")
    cluster = outcome("cluster basic", 1, "E   assert 1 == 2", "FAILED tests/x.py::test_x - assert 1 == 2")
    lines = digest([outcome("ruff", 0), etcd, cluster])
    assert lines[0] == "molecule etcd: [ERROR]: Task failed: first"
    assert lines[-2] == "cluster basic: FAILED tests/x.py::test_x - assert 1 == 2"
    assert lines[-1] == "1 passed, 2 failed: molecule etcd, cluster basic"
    assert len(lines) <= DIGEST_LINES + 1


def test_the_end_names_a_step_that_gave_no_reason() -> None:
    assert digest([outcome("lab", 2)]) == ["lab: no reason was printed", "0 passed, 1 failed: lab"]


def test_the_end_of_a_run_that_passed_is_its_count() -> None:
    assert digest([outcome("ruff", 0)]) == ["1 passed, 0 failed"]
