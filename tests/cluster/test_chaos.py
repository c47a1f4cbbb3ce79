"""Cases of the chaos suite that every change has to pass: what counts here is what was kept, not how long it took."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.view import View
from tests.chaos.cases import find
from tests.chaos.result import shortcomings
from tests.chaos.run import run_case

pytestmark = pytest.mark.profiles("ha_postgresql", whole=["ha_cassandra"])


# A leader that comes back and does not know it.
FROZEN = pytest.param("primary-frozen", marks=pytest.mark.profiles(whole=["ha_postgresql"]))


@pytest.mark.parametrize("name", ["primary-host", FROZEN])
def test_nothing_acknowledged_is_lost_and_no_patient_client_sees_an_error(view: View, profile: str, name: str) -> None:
    """The ledger and the command line of Temporal, which this project did not write, agree about it."""
    case = replace(find(profile, name), targets={profile: None})
    result, _ = run_case(case, profile, view, made_of="")
    assert shortcomings(case, result) == []
