"""How many instances of a worker deployment its host is to run: a pure function of what was seen.

Every host decides for itself about its share of the work, which is that of the inventory: with nobody who leads and
nothing in common, the loss of a host or of an agent changes nothing on the others.

* **Need.** A waiting task will occupy a slot, a running one does. The tasks of this host are those that run here and
  its share of those that wait. It needs as many instances as hold them with a quarter of their slots free.
* **Pressure.** Tasks that wait although slots are free (a processor or a database is busy, other hosts are lost) show
  in the age of the oldest one. From ``age_limit_seconds`` on the instances are doubled, whatever the slots say.
* **Fast up**: at once, but no more than doubled, or three more. **Slow down**: only when nothing that was seen in the
  last ``calm_seconds`` needed more, with half of the slots free after it, and a fifth of the instances at a time.
* **Memory.** The rate of tasks for each instance at which more were needed is remembered for an hour: nothing is taken
  away that would bring it back, so a constant load seldom makes the number of instances swing.
* **Hold.** Without statistics, with old ones, and while nobody asks for work, everything stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

UP, DOWN, HOLD = "up", "down", "hold"


@dataclass(frozen=True)
class Queue:
    """Statistics of one kind of tasks of a task queue, as the server tells them; rates are tasks per second of 30 s."""

    backlog: int = 0
    age_seconds: float = 0.0
    add_rate: float = 0.0
    dispatch_rate: float = 0.0
    pollers: int = 0


@dataclass(frozen=True)
class Slots:
    """Slots for one kind of tasks of the instances of this host that told them, added up."""

    used: int
    total: int


@dataclass(frozen=True)
class Seen:
    """What is known at the moment ``now``, in seconds of a clock that only goes forward.

    ``queues`` and ``slots`` are by kind, ``workflow`` and ``activity``. ``read_at``: when the server gave the
    statistics, ``None`` when it has not. ``told``: how many of the ``instances`` that run here told their slots.
    """

    now: float
    instances: int
    read_at: float | None = None
    queues: Mapping[str, Queue] = field(default_factory=dict)
    slots: Mapping[str, Slots] = field(default_factory=dict)
    told: int = 0


@dataclass(frozen=True)
class Bounds:
    """Fewest and most instances of this host, and how many hosts of the inventory have the deployment."""

    fewest: int
    most: int
    hosts: int = 1

    def clamp(self, instances: int) -> int:
        """Return the nearest number that is allowed."""
        return max(self.fewest, min(self.most, instances))


@dataclass(frozen=True)
class Rules:
    """The numbers of the policy; seconds, shares and instances.

    ``least_step_up``: with three, a host with one instance does not wait for another look before it has four.
    """

    busy_share: float = 0.75
    calm_share: float = 0.5
    least_step_up: int = 3
    age_limit_seconds: float = 5.0
    stale_seconds: float = 15.0
    calm_seconds: float = 60.0
    down_pause_seconds: float = 15.0
    settle_seconds: float = 20.0
    limit_margin: float = 0.9
    limit_seconds: float = 3600.0


@dataclass(frozen=True)
class Limit:
    """Tasks per second and instance at which more instances were needed."""

    rate: float
    at: float


@dataclass(frozen=True)
class Memory:
    """What a decision has to know of those before it; a fresh one only makes the next step down later.

    ``needs``: moments and the instances that were needed then, without a gap since ``since``.
    """

    since: float | None = None
    needs: tuple[tuple[float, int], ...] = ()
    changed_at: float = -math.inf
    grew: bool = False
    limits: Mapping[str, Limit] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """How many instances are wanted, whether that is ``up``, ``down`` or ``hold``, and why."""

    instances: int
    action: str
    reason: str


def are_taken(slots: Mapping[str, Slots], rules: Rules = Rules()) -> bool:
    """Tell whether of some kind more ``slots`` are in use than instances are to have in use."""
    return any(kind.used > kind.total * rules.busy_share for kind in slots.values())


def decide(seen: Seen, bounds: Bounds, memory: Memory, rules: Rules = Rules()) -> tuple[Decision, Memory]:
    """Return the decision and what the next one has to know."""
    current = bounds.clamp(seen.instances)
    if reason := _blind(seen, rules):
        # What happens meanwhile is not seen, so the calm begins anew.
        return Decision(current, HOLD, reason), replace(memory, since=None, needs=())
    needed, kind, why = _needed(seen, bounds, rules.busy_share)
    pressed = _pressed(seen, rules)
    if pressed and 2 * current > needed:
        queue = seen.queues[pressed]
        needed, kind = 2 * current, pressed
        why = f"the oldest of {queue.backlog} {pressed} tasks has waited for {queue.age_seconds:.0f} s"
    memory = _with_needs(seen, bounds, memory, rules, 2 * current if pressed else 0)
    memory = _with_limit(seen, bounds, memory, rules, kind if needed > current else "")
    wanted = bounds.clamp(min(needed, current + max(rules.least_step_up, current)))
    if wanted > current:
        return Decision(wanted, UP, why), replace(memory, changed_at=seen.now, grew=True)
    if needed > current:
        return Decision(current, HOLD, f"{why}; {current} is the most"), memory
    wanted, why = _fewer(seen, bounds, memory, rules, current)
    if wanted < current:
        return Decision(wanted, DOWN, why), replace(memory, changed_at=seen.now, grew=False)
    return Decision(current, HOLD, why), memory


def _blind(seen: Seen, rules: Rules) -> str:
    """Return why nothing can be decided, an empty text when it can."""
    if seen.read_at is None:
        return "there are no statistics"
    if (age := seen.now - seen.read_at) > rules.stale_seconds:
        return f"the statistics are {age:.0f} s old"
    if not seen.told or not any(_per_instance(seen, kind) for kind in seen.queues):
        return "no instance tells how many of its slots are in use"
    for kind, queue in seen.queues.items():
        # The server forgets in minutes who asked; instances whose slots are taken do not ask.
        slots = seen.slots.get(kind)
        if not queue.pollers and slots and slots.used < slots.total * rules.busy_share:
            return f"nobody asks for {kind} tasks; more instances like these would not, either"
    return ""


def _per_instance(seen: Seen, kind: str) -> float:
    """Return the slots of one instance, 0 when they are not known."""
    slots = seen.slots.get(kind)
    return slots.total / seen.told if slots and seen.told else 0.0


def _needed(seen: Seen, bounds: Bounds, share: float) -> tuple[int, str, str]:
    """Return how many instances hold all tasks with ``share`` of their slots, for which kind of tasks, and why."""
    found = (bounds.fewest, "", "there is little to do")
    for kind, queue in seen.queues.items():
        if not (each := _per_instance(seen, kind)):
            continue
        used, waiting = seen.slots[kind].used, queue.backlog / bounds.hosts
        instances = math.ceil((used + waiting) / (each * share))
        if instances > found[0]:
            why = f"{used} {kind} tasks run, {waiting:.0f} wait, and an instance is to hold {each * share:.0f}"
            found = (instances, kind, why)
    return found


def _pressed(seen: Seen, rules: Rules) -> str:
    """Return the kind of tasks of which one has waited for too long, an empty text for none."""
    late = [
        (queue.age_seconds, kind)
        for kind, queue in seen.queues.items()
        if queue.backlog and queue.age_seconds >= rules.age_limit_seconds
    ]
    return max(late, default=(0.0, ""))[1]


def _with_needs(seen: Seen, bounds: Bounds, memory: Memory, rules: Rules, pressure: int) -> Memory:
    """Return the memory with what is needed now to be calm, at least ``pressure``."""
    needed, _, _ = _needed(seen, bounds, rules.calm_share)
    recent = ((at, need) for at, need in memory.needs if at >= seen.now - rules.calm_seconds)
    since = seen.now if memory.since is None else memory.since
    return replace(memory, since=since, needs=(*recent, (seen.now, max(needed, pressure))))


def _with_limit(seen: Seen, bounds: Bounds, memory: Memory, rules: Rules, kind: str) -> Memory:
    """Return the memory with the rate of tasks of ``kind`` that is too much now; no ``kind``: none is."""
    limits = {name: limit for name, limit in memory.limits.items() if seen.now - limit.at < rules.limit_seconds}
    # Instances that were added a moment ago have not shown yet what they can do.
    if kind and not (memory.grew and seen.now - memory.changed_at < rules.settle_seconds):
        queue = seen.queues[kind]
        rate = queue.add_rate / bounds.hosts / bounds.clamp(seen.instances)
        # What waits from before is no sign of too many that come: a backlog that shrinks says nothing of the rate.
        grows = queue.add_rate >= queue.dispatch_rate * rules.limit_margin
        if rate > 0 and grows and (kind not in limits or rate < limits[kind].rate):
            limits[kind] = Limit(rate, seen.now)
    return replace(memory, limits=limits)


def _fewer(seen: Seen, bounds: Bounds, memory: Memory, rules: Rules, current: int) -> tuple[int, str]:
    """Return how many instances are enough, ``current`` when all are to stay, and why."""
    if current == bounds.fewest:
        return current, f"there is little to do; {current} is the fewest"
    if seen.told < seen.instances:
        return current, f"{seen.instances - seen.told} of {seen.instances} instances do not tell their slots yet"
    enough = bounds.clamp(max(need for _, need in memory.needs))
    if enough >= current:
        return current, f"{enough} were needed in the last {rules.calm_seconds:.0f} s"
    if memory.since is None or seen.now - memory.since < rules.calm_seconds:
        return current, f"it has not been calm for {rules.calm_seconds:.0f} s yet"
    if seen.now - memory.changed_at < rules.down_pause_seconds:
        return current, f"the last change was less than {rules.down_pause_seconds:.0f} s ago"
    wanted = max(enough, current - max(1, current // 5))
    for kind, limit in memory.limits.items():
        queue = seen.queues.get(kind)
        rate = queue.add_rate / bounds.hosts if queue else 0.0
        lowest = math.floor(rate / (limit.rate * rules.limit_margin)) + 1
        wanted = max(wanted, lowest)
        if wanted >= current:
            return current, f"{kind} tasks were too many at {limit.rate:.2g} a second for each instance"
    return wanted, f"{enough} would have been enough for the last {rules.calm_seconds:.0f} s"
