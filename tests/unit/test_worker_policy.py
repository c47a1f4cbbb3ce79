"""What the policy of the number of instances promises, whatever it sees."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.workers  # noqa: F401  (lets the programs of worker hosts be imported)
from tests.bench import autoscaling

# isort: split
import temporal_worker_policy as policy
from temporal_worker_policy import Bounds, Decision, Memory, Queue, Rules, Seen, Slots

INTERVAL = 5.0
RULES = Rules()

rates = st.floats(0, 1000)
queues = st.builds(
    Queue,
    backlog=st.integers(0, 100_000),
    age_seconds=st.floats(0, 10_000),
    add_rate=rates,
    dispatch_rate=rates,
    pollers=st.integers(0, 50),
)


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    fewest = draw(st.integers(1, 10))
    return Bounds(fewest, fewest + draw(st.integers(0, 30)), draw(st.integers(1, 12)))


@st.composite
def sights(draw: st.DrawFn, instances: st.SearchStrategy[int] = st.integers(0, 60)) -> Seen:  # noqa: B008
    running = draw(instances)
    told = draw(st.integers(0, running))
    kinds = draw(st.sets(st.sampled_from(["workflow", "activity"])))
    slots = {}
    for kind in kinds if told else ():
        total = told * draw(st.integers(1, 200))
        slots[kind] = Slots(draw(st.integers(0, total)), total)
    return Seen(
        now=1000.0,
        instances=running,
        read_at=draw(st.none() | st.floats(900, 1000)),
        queues={kind: draw(queues) for kind in kinds},
        slots=slots,
        told=told,
    )


def run(sight: Seen, limits: Bounds, rounds: int) -> list[Decision]:
    """Decide ``rounds`` times while all but the number of instances stays as it is."""
    memory, instances, made = Memory(), sight.instances, []
    for number in range(rounds):
        now = sight.now + number * INTERVAL
        # Each instance tells as many slots, and the tasks that run spread over them.
        each = {kind: slots.total / sight.told for kind, slots in sight.slots.items()}
        slots = {
            kind: Slots(min(sight.slots[kind].used, int(size * instances)), int(size * instances))
            for kind, size in each.items()
        }
        seen = replace(sight, now=now, read_at=now, instances=instances, told=instances, slots=slots)
        decision, memory = policy.decide(seen, limits, memory)
        made.append(decision)
        instances = decision.instances
    return made


def quiet(**changes: object) -> Seen:
    """Return three instances with a little work and fresh statistics."""
    seen = Seen(
        now=1000.0,
        instances=3,
        read_at=1000.0,
        queues={"activity": Queue(add_rate=1.0, dispatch_rate=1.0, pollers=9)},
        slots={"activity": Slots(10, 300)},
        told=3,
    )
    return replace(seen, **changes)


@given(sights(), bounds(), st.lists(sights(), max_size=5))
def test_never_outside_of_the_bounds(last: Seen, limits: Bounds, before: list[Seen]) -> None:
    memory = Memory()
    for number, seen in enumerate([*before, last]):
        decision, memory = policy.decide(replace(seen, now=seen.now + number * INTERVAL), limits, memory)
        assert limits.fewest <= decision.instances <= limits.most
        assert decision.reason


@given(sights(), bounds(), st.integers(0, 100_000), st.lists(sights(), max_size=3))
def test_more_waiting_tasks_never_mean_fewer_instances(
    seen: Seen, limits: Bounds, more: int, before: list[Seen]
) -> None:
    memory = Memory()
    for number, sight in enumerate(before):
        _, memory = policy.decide(replace(sight, now=900.0 + number), limits, memory)
    fuller = {kind: replace(queue, backlog=queue.backlog + more) for kind, queue in seen.queues.items()}
    less, _ = policy.decide(seen, limits, memory)
    greater, _ = policy.decide(replace(seen, queues=fuller), limits, memory)
    assert greater.instances >= less.instances


@given(sights(), bounds(), st.sampled_from(["missing", "stale", "slots"]))
def test_without_statistics_nothing_moves(seen: Seen, limits: Bounds, lack: str) -> None:
    blind = {
        "missing": {"read_at": None},
        "stale": {"read_at": seen.now - RULES.stale_seconds - 1},
        "slots": {"told": 0, "slots": {}},
    }
    decision, memory = policy.decide(replace(seen, **blind[lack]), limits, Memory(since=0.0, needs=((999.0, 1),)))
    assert (decision.instances, decision.action) == (limits.clamp(seen.instances), policy.HOLD)
    assert memory.needs == ()


@given(sights(st.integers(1, 60)), bounds())
def test_a_constant_sight_does_not_make_it_swing(seen: Seen, limits: Bounds) -> None:
    if not seen.told:
        seen = replace(seen, told=1, slots={kind: Slots(1, 100) for kind in seen.queues})
    actions = [decision.action for decision in run(seen, limits, 200)]
    moves = [action for action in actions if action != policy.HOLD]
    # Up as far as it goes, then down as far as it goes, or one of them; never up after down.
    assert moves == sorted(moves, key=[policy.UP, policy.DOWN].index)


@given(sights(st.integers(1, 60)), bounds())
def test_one_step_is_bounded(seen: Seen, limits: Bounds) -> None:
    current = limits.clamp(seen.instances)
    for decision in run(replace(seen, instances=current), limits, 30):
        assert current - max(1, current // 5) <= decision.instances <= current + max(3, current)
        current = decision.instances


def test_a_backlog_of_500_brings_all_instances_within_15_seconds() -> None:
    seen = quiet(
        instances=1,
        queues={"activity": Queue(500, 1.0, 16.0, 3.0, 3)},
        slots={"activity": Slots(100, 100)},
        told=1,
    )
    made = run(seen, Bounds(1, 4, 3), 4)
    assert [decision.instances for decision in made] == [4, 4, 4, 4]
    assert made[0].reason == "100 activity tasks run, 167 wait, and an instance is to hold 75"


def test_after_the_load_it_goes_down_one_by_one_and_not_before_it_was_calm() -> None:
    made = run(quiet(), Bounds(1, 4), 40)
    at = [number * INTERVAL for number, decision in enumerate(made) if decision.action == policy.DOWN]
    assert at == [RULES.calm_seconds, RULES.calm_seconds + RULES.down_pause_seconds]
    assert made[-1].instances == 1


def test_tasks_that_wait_although_slots_are_free_bring_more_instances() -> None:
    late = quiet(queues={"activity": Queue(4, 6.0, 1.0, 1.0, 3)})
    decision, _ = policy.decide(late, Bounds(1, 8), Memory())
    assert (decision.instances, decision.action) == (6, policy.UP)
    assert decision.reason == "the oldest of 4 activity tasks has waited for 6 s"


def test_a_rate_that_was_too_much_is_not_brought_back_for_an_hour() -> None:
    limits = Bounds(1, 8)
    busy = Queue(4, 6.0, 3.0, 3.0, 3)
    _, memory = policy.decide(quiet(queues={"activity": busy}), limits, Memory())
    calm = quiet(instances=6, told=6, queues={"activity": replace(busy, backlog=0, age_seconds=0.0)})
    for at, action in ((1200.0, policy.HOLD), (1300.0, policy.DOWN)):
        # Down to 4: three instances had 1 task a second each, and that was too much.
        seen = replace(calm, now=at, read_at=at, instances=6 if at < 1300 else 5, told=6)
        decision, memory = policy.decide(seen, limits, replace(memory, since=0.0, changed_at=0.0, needs=((at, 1),)))
        assert decision.action == policy.DOWN
        assert decision.instances == seen.instances - 1, action
    stays = replace(calm, now=1400.0, read_at=1400.0, instances=4, told=4)
    memory = replace(memory, since=0.0, changed_at=0.0, needs=())
    decision, _ = policy.decide(stays, limits, memory)
    assert (decision.action, decision.reason) == (
        policy.HOLD,
        "activity tasks were too many at 1 a second for each instance",
    )
    later = replace(stays, now=1000.0 + RULES.limit_seconds, read_at=1000.0 + RULES.limit_seconds)
    decision, _ = policy.decide(later, limits, memory)
    assert decision.action == policy.DOWN


@pytest.mark.parametrize(("dispatch_rate", "learns"), [(3.0, True), (30.0, False)])
def test_a_backlog_that_shrinks_says_nothing_of_the_rate_that_is_too_much(dispatch_rate: float, learns: bool) -> None:
    drains = Queue(400, 60.0, 3.0, dispatch_rate, 3)
    _, memory = policy.decide(quiet(queues={"activity": drains}), Bounds(1, 3), Memory())
    assert bool(memory.limits) is learns


def test_after_a_backlog_that_took_minutes_a_small_load_has_few_instances() -> None:
    load = autoscaling.Load("a long backlog", 1500, lambda at: 0.3 if at < 600 else 4.0, at_once=((120, 3000),))
    curve = autoscaling.simulate(load, autoscaling.agents()).curve
    assert max(number for _, number, _ in curve) == autoscaling.HOSTS * autoscaling.MOST
    assert curve[-1][1] < autoscaling.HOSTS * autoscaling.MOST / 2


def test_instances_that_nobody_hears_of_are_not_multiplied() -> None:
    decision, _ = policy.decide(quiet(queues={"activity": Queue(900, 60.0, 9.0, 0.0, 0)}), Bounds(1, 8), Memory())
    assert decision.action == policy.HOLD
    assert "nobody asks for activity tasks" in decision.reason


def test_full_instances_that_the_server_has_forgotten_are_multiplied() -> None:
    seen = quiet(queues={"activity": Queue(900, 60.0, 9.0, 0.0, 0)}, slots={"activity": Slots(300, 300)})
    decision, _ = policy.decide(seen, Bounds(1, 8), Memory())
    assert (decision.action, decision.instances) == (policy.UP, 6)


@pytest.mark.parametrize(("told", "action"), [(3, policy.DOWN), (2, policy.HOLD)])
def test_nothing_is_taken_away_while_an_instance_does_not_tell_its_slots(told: int, action: str) -> None:
    seen = quiet(told=told, slots={"activity": Slots(1, 100 * told)})
    decision, _ = policy.decide(seen, Bounds(1, 4), Memory(since=0.0, needs=((990.0, 1),)))
    assert decision.action == action


def test_the_share_of_a_host_follows_from_the_inventory() -> None:
    seen = quiet(queues={"activity": Queue(900, 1.0, 9.0, 9.0, 9)}, instances=3)
    wanted = [policy.decide(seen, Bounds(1, 50, hosts), Memory())[0].instances for hosts in (1, 3, 9)]
    assert wanted == [6, 5, 3]


def turns(load: str, rule: str) -> int:
    return autoscaling.simulate(autoscaling.LOADS[load], autoscaling.RULES[rule]()).turns


def test_a_constant_load_in_a_closed_loop_does_not_make_it_swing() -> None:
    assert turns("constant", "agents") == 0
    # Each host finds out once what is too little; the turns of the three are counted together.
    assert turns("processor", "agents") <= 3 * autoscaling.HOSTS
    # The same check on a rule that knows the backlog alone.
    assert turns("constant", "backlog only (KEDA)") > 3 * autoscaling.HOSTS


def test_statistics_that_stop_freeze_what_runs_in_a_closed_loop() -> None:
    load = autoscaling.LOADS["blind"]
    outcome = autoscaling.simulate(load, autoscaling.agents())
    begins, ends = load.blind[0] + RULES.stale_seconds + INTERVAL, load.blind[1]
    assert len({number for at, number, _ in outcome.curve if begins <= at < ends}) == 1
    assert max(number for at, number, _ in outcome.curve if at >= ends) > outcome.curve[int(begins / INTERVAL)][1]
