"""The policy of the worker hosts beside fixed pools and a rule that knows the backlog alone, on loads of all kinds.

python -m tests.bench.autoscaling [-o docs/autoscaling.svg] [--only bursts]

Nothing runs but a simulation: three hosts, tasks of 8 s on average, instances with ten slots that need 3 s to start and
that end their tasks when they are stopped. Prints a table; draws the curves with -o. Nothing is asserted; the figures
are for docs/autoscaling.md.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import tests.conftest
import tests.workers  # noqa: F401  (lets the programs of worker hosts be imported)

# isort: split
import temporal_worker_policy as policy
from ansible_collections.zerospof.temporal.plugins.module_utils._svg import document

STEP_SECONDS = 0.5
INTERVAL_SECONDS = 5.0
RATE_SECONDS = 30.0
START_SECONDS = 3.0
TASK_SECONDS = 8.0
HOSTS = 3
FEWEST, MOST = 1, 8
SLOTS = 10
LATE_SECONDS = 10.0

# KEDA's scaler for Temporal with its default of five tasks for each instance, behind the horizontal autoscaler of
# Kubernetes with its defaults: asked every 15 s, up by four or to the double, down to what was the most in 300 s.
KEDA_TASKS = 5
KEDA_INTERVAL_SECONDS = 15.0
KEDA_CALM_SECONDS = 300.0


@dataclass(frozen=True)
class Load:
    """A scenario: tasks per second over time, and what else happens.

    ``at_once``: tasks that come at a moment. ``blind``: from when to when there are no statistics. ``lost``: from when
    to when the last host is away. ``processors``: tasks that an instance really does at once; more slow all down.
    ``recorded``: file with tasks that came in a real run, each with its second and for how long it ran.
    """

    title: str
    seconds: float
    rate: Callable[[float], float]
    at_once: tuple[tuple[float, int], ...] = ()
    blind: tuple[float, float] = (0.0, 0.0)
    lost: tuple[float, float] = (0.0, 0.0)
    processors: float = SLOTS
    recorded: Path | None = None


def _ramp(at: float) -> float:
    return 0.5 + 17.5 * max(0.0, min(1.0, at / 1200, (2100 - at) / 300))


# What autoscaling_run --record wrote: 500 changes of the sample at once.
RECORDED = Path(__file__).with_name("autoscaling_recorded.json")

LOADS = {
    "step": Load("500 tasks at once", 900, lambda _: 0.5, at_once=((120, 500),)),
    "ramp": Load("a ramp", 2400, _ramp),
    "wave": Load("a day in two hours", 7200, lambda at: 10 - 8 * math.cos(2 * math.pi * at / 7200)),
    "bursts": Load(
        "150 tasks every 3 minutes", 1800, lambda _: 1.0, at_once=tuple((at, 150) for at in range(60, 1800, 180))
    ),
    "constant": Load("a constant load", 3600, lambda _: 10.0),
    "processor": Load("a constant load, slots free, processors not", 3600, lambda _: 5.0, processors=3),
    "blind": Load(
        "no statistics from 600 to 1200 s, twice the load from 900 s",
        1800,
        lambda at: 8.0 if at < 900 else 16.0,
        blind=(600, 1200),
    ),
    "host": Load("one of three hosts away from 600 to 1500 s", 2400, lambda _: 10.0, lost=(600, 1500)),
    "recorded": Load("500 changes, as recorded", 900, lambda _: 0.0, recorded=RECORDED),
}


@dataclass
class Instance:
    """One worker process: when it is ready, what it works on, whether it takes more."""

    ready_at: float
    running: list[float] = field(default_factory=list)
    stopping: bool = False

    def free(self, now: float) -> int:
        """Return how many tasks it takes."""
        return SLOTS - len(self.running) if not self.stopping and now >= self.ready_at else 0

    def work(self, processors: float) -> None:
        """Go on for one step."""
        speed = min(1.0, processors / len(self.running)) if self.running else 1.0
        self.running = [left - STEP_SECONDS * speed for left in self.running if left > STEP_SECONDS * speed]


@dataclass
class Host:
    """The instances of one host and what its agent remembers."""

    instances: list[Instance] = field(default_factory=list)
    memory: policy.Memory = field(default_factory=policy.Memory)

    def alive(self) -> list[Instance]:
        """Return the instances that take tasks or will."""
        return [one for one in self.instances if not one.stopping]

    def set(self, number: int, now: float) -> None:
        """Start or stop as many as it takes to have ``number``."""
        alive = self.alive()
        self.instances += [Instance(now + START_SECONDS) for _ in range(number - len(alive))]
        for one in alive[number:]:
            one.stopping = True


@dataclass
class World:
    """The task queue and the hosts at a moment; ``read_at`` is when statistics could be had last."""

    hosts: list[Host]
    now: float = 0.0
    waiting: deque[tuple[float, float]] = field(default_factory=deque)
    added: deque[float] = field(default_factory=deque)
    dispatched: deque[float] = field(default_factory=deque)
    here: int = HOSTS
    statistics: policy.Queue = field(default_factory=policy.Queue)
    read_at: float = 0.0

    def present(self) -> list[Host]:
        """Return the hosts that are not away."""
        return self.hosts[: self.here]

    def read(self) -> None:
        """Make the statistics those of now."""
        for times in (self.added, self.dispatched):
            while times and times[0] < self.now - RATE_SECONDS:
                times.popleft()
        self.read_at = self.now
        self.statistics = policy.Queue(
            backlog=len(self.waiting),
            age_seconds=self.now - self.waiting[0][0] if self.waiting else 0.0,
            add_rate=len(self.added) / RATE_SECONDS,
            dispatch_rate=len(self.dispatched) / RATE_SECONDS,
            pollers=sum(len(host.alive()) for host in self.present()),
        )


# Changes the number of instances; called at every step.
Rule = Callable[[World], None]


def fixed(number: int) -> Callable[[], Rule]:
    """Return the rule of a pool with ``number`` instances on each host."""

    def rule(world: World) -> None:
        for host in world.present():
            host.set(number, world.now)

    return lambda: rule


def agents() -> Rule:
    """Return the rule of this collection: an agent on each host that decides every five seconds for itself."""

    def rule(world: World) -> None:
        if world.now % INTERVAL_SECONDS:
            return
        for host in world.present():
            alive = host.alive()
            ready = [one for one in alive if one.ready_at <= world.now]
            seen = policy.Seen(
                now=world.now,
                instances=len(alive),
                read_at=world.read_at,
                queues={"activity": world.statistics},
                slots={"activity": policy.Slots(sum(len(one.running) for one in ready), SLOTS * len(ready))},
                told=len(ready),
            )
            decision, host.memory = policy.decide(seen, policy.Bounds(FEWEST, MOST, HOSTS), host.memory)
            host.set(decision.instances, world.now)

    return rule


def backlog_only() -> Rule:
    """Return the rule of KEDA: instances for the waiting tasks, and nothing is known of those that run."""
    wishes: deque[tuple[float, int]] = deque()

    def rule(world: World) -> None:
        if world.now % KEDA_INTERVAL_SECONDS or world.read_at < world.now - INTERVAL_SECONDS:
            return
        current = sum(len(host.alive()) for host in world.present())
        wish = max(HOSTS * FEWEST, min(HOSTS * MOST, math.ceil(world.statistics.backlog / KEDA_TASKS)))
        wishes.append((world.now, wish))
        while wishes[0][0] < world.now - KEDA_CALM_SECONDS:
            wishes.popleft()
        wanted = max(wish, min(current, max(number for _, number in wishes)))
        wanted = min(wanted, current + max(4, current))
        present = world.present()
        for place, host in enumerate(present):
            host.set(wanted // len(present) + (place < wanted % len(present)), world.now)

    return rule


RULES: dict[str, Callable[[], Rule]] = {
    "agents": agents,
    "backlog only (KEDA)": backlog_only,
    "fixed, 4 on each host": fixed(4),
    "fixed, 8 on each host": fixed(MOST),
}


@dataclass
class Outcome:
    """What became of a load under a rule; ``curve`` has (second, instances, waiting tasks) for every five seconds."""

    waits: list[float] = field(default_factory=list)
    curve: list[tuple[float, int, int]] = field(default_factory=list)
    instance_seconds: float = 0.0
    moves: list[int] = field(default_factory=list)

    def wait(self, share: float) -> float:
        """Return the wait in seconds that ``share`` of the tasks did not exceed."""
        return sorted(self.waits)[min(len(self.waits) - 1, int(share * len(self.waits)))] if self.waits else 0.0

    @property
    def late(self) -> float:
        """Return the share of tasks that waited for too long."""
        return sum(wait > LATE_SECONDS for wait in self.waits) / max(1, len(self.waits))

    @property
    def turns(self) -> int:
        """Return how often the number of instances changed its direction."""
        return sum((one > 0) != (other > 0) for one, other in zip(self.moves, self.moves[1:], strict=False))


def arrivals(load: Load, seed: int) -> Iterator[tuple[float, float]]:
    """Return when tasks come and how long each takes, step after step; the same for every rule."""
    source = random.Random(seed)
    if load.recorded:
        yield from json.loads(load.recorded.read_text(encoding="utf-8"))
    at_once = dict(load.at_once)
    for step in range(int(load.seconds / STEP_SECONDS)):
        now = step * STEP_SECONDS
        due, chance = at_once.get(now, 0), load.rate(now) * STEP_SECONDS
        while (chance := chance - source.expovariate(1.0)) > 0:
            due += 1
        for _ in range(due):
            yield now, 1.0 + source.expovariate(1.0 / (TASK_SECONDS - 1.0))


def simulate(load: Load, rule: Rule, seed: int = 1) -> Outcome:
    """Run ``load`` under ``rule``, and go on until it is done."""
    world = World([Host([Instance(0.0) for _ in range(FEWEST)]) for _ in range(HOSTS)])
    made = Outcome()
    coming = deque(arrivals(load, seed))
    before = HOSTS * FEWEST
    while world.now < load.seconds:
        while coming and coming[0][0] <= world.now:
            at, takes = coming.popleft()
            world.waiting.append((at, takes))
            world.added.append(at)
        away = load.lost[0] <= world.now < load.lost[1]
        if away and world.here == HOSTS:
            gone = world.hosts[-1]
            # The server gives its tasks to others when their heartbeats are missing.
            world.waiting.extendleft((world.now, left) for one in gone.instances for left in one.running)
            gone.instances = []
        if not away and world.here < HOSTS:
            world.hosts[-1] = Host([Instance(world.now + START_SECONDS) for _ in range(FEWEST)])
        world.here = HOSTS - 1 if away else HOSTS
        _serve(world, made, load)
        if not world.now % INTERVAL_SECONDS:
            if not load.blind[0] <= world.now < load.blind[1]:
                world.read()
            total = sum(len(host.alive()) for host in world.present())
            made.curve.append((world.now, total, len(world.waiting)))
        rule(world)
        total = sum(len(host.alive()) for host in world.present())
        if total != before:
            made.moves.append(total - before)
        before = total
        world.now += STEP_SECONDS
    return made


def _serve(world: World, made: Outcome, load: Load) -> None:
    """Let all instances work for a step, and give them what waits, those with most free slots first."""
    everyone = [one for host in world.present() for one in host.instances]
    made.instance_seconds += STEP_SECONDS * len(everyone)
    for one in everyone:
        one.work(load.processors)
    for host in world.present():
        host.instances = [one for one in host.instances if one.running or not one.stopping]
    while world.waiting:
        taker = max(everyone, key=lambda one: one.free(world.now), default=None)
        if taker is None or not taker.free(world.now):
            break
        at, takes = world.waiting.popleft()
        taker.running.append(takes)
        made.waits.append(world.now - at)
        world.dispatched.append(world.now)


def table(made: dict[str, dict[str, Outcome]]) -> str:
    """Return the outcomes as Markdown."""
    lines = [
        f"| load | rule | median wait | 99 % | longest | over {LATE_SECONDS:g} s | instances | changes | turns |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, outcomes in made.items():
        title = LOADS[name].title
        for rule, outcome in outcomes.items():
            lines.append(
                f"| {title} | {rule} | {outcome.wait(0.5):.1f} s | {outcome.wait(0.99):.1f} s | {outcome.wait(1):.1f} s"
                f" | {100 * outcome.late:.1f} % | {outcome.instance_seconds / LOADS[name].seconds:.1f}"
                f" | {len(outcome.moves)} | {outcome.turns} |"
            )
            title = ""
    return "\n".join(lines)


# All measures are in pixels.
WIDTH, PANEL, GAP, MARGIN, FONT_SIZE = 540, 110, 46, 40, 12
POINTS = 180
COLOURS = ("#0072b2", "#d55e00", "#999999", "#cccccc")


def drawing(made: dict[str, dict[str, Outcome]]) -> str:
    """Return the curves as SVG: for each load the instances on the left, the tasks that wait on the right."""
    parts: list[str] = []
    down = MARGIN
    for place, rule in enumerate(RULES):
        x = MARGIN + 190 * place
        parts.append(f'<rect x="{x}" y="{down - 18}" width="14" height="4" fill="{COLOURS[place]}"/>')
        parts.append(f'<text x="{x + 20}" y="{down - 13}">{escape(rule)}</text>')
    for name, outcomes in made.items():
        down += GAP
        for column, what in ((1, "instances"), (2, "waiting tasks")):
            left = MARGIN + (column - 1) * (WIDTH + MARGIN)
            seconds = LOADS[name].seconds
            top = max(point[column] for outcome in outcomes.values() for point in outcome.curve) or 1
            parts.append(f'<text x="{left}" y="{down - 8}">{escape(LOADS[name].title)}: {what}, up to {top}</text>')
            # The rule of the collection is drawn last, above the others.
            curves = [
                (colour, [(point[0], point[column]) for point in outcome.curve])
                for (_, outcome), colour in reversed(list(zip(outcomes.items(), COLOURS, strict=False)))
            ]
            parts += panel(left, down, seconds, top, curves)
        down += PANEL
    return document(parts, 2 * WIDTH + 3 * MARGIN, down + MARGIN, FONT_SIZE)


def panel(
    left: float, down: float, seconds: float, top: float, curves: Sequence[tuple[str, Sequence[tuple[float, float]]]]
) -> list[str]:
    """Return the axes of ``seconds`` to the right and ``top`` upwards, and ``curves``: colour, and points over time."""
    parts = []
    for colour, points in curves:
        way = " ".join(
            f"{left + WIDTH * at / seconds:.1f},{down + PANEL * (1 - value / top):.1f}"
            for at, value in points[:: math.ceil(len(points) / POINTS)]
        )
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    foot = down + PANEL
    parts.append(f'<path d="M{left} {down} V{foot} H{left + WIDTH}" fill="none" stroke="#555555"/>')
    parts.append(f'<text x="{left + WIDTH}" y="{foot + 14}" text-anchor="end">{seconds:.0f} s</text>')
    return parts


def run(names: Sequence[str]) -> dict[str, dict[str, Outcome]]:
    """Return the outcome of every rule for each of the loads."""
    return {name: {title: simulate(LOADS[name], rule()) for title, rule in RULES.items()} for name in names}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, help="SVG file to draw the curves into")
    parser.add_argument("--only", choices=LOADS, action="append", help="one of the loads")
    options = parser.parse_args()
    made = run(options.only or list(LOADS))
    print(table(made))
    if options.output:
        options.output.write_text(drawing(made), encoding="utf-8")


if __name__ == "__main__":
    main()
