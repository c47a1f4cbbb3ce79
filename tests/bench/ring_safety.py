"""What the analysis of a Cassandra ring costs, from 10 to 1,000 nodes with 16 tokens each in three racks.

python -m tests.bench.ring_safety [-o curve.svg]

Prints seconds of one core, the best of three, for the tokens that founders get and for random ones; draws them with -o.
Nothing is asserted: the figures are for docs/fault_tolerance.md.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import tests.conftest  # noqa: F401  (lets the checkout be imported as the collection)

# isort: split
from ansible_collections.zerospof.temporal.plugins.module_utils import _cassandra, _ring_safety

NODES = (10, 20, 50, 100, 200, 400, 600, 800, 1000)
COPIES = (3, 5)
TOKENS_PER_NODE = 16
HISTORY_SHARDS = 512
RUNS = 3
WIDTH, HEIGHT, MARGIN = 720, 400, 56
COLOURS = ("#1b6ca8", "#7fb2d9", "#b5432a", "#e3a08f")


def founders(count: int) -> list[dict[str, str]]:
    """Nodes of three zones in turn."""
    return [{"name": f"node-{number}", "zone": f"az_{'abc'[number % 3]}"} for number in range(count)]


def founding(count: int, copies: int) -> _ring_safety.TokenRing:
    """Return a ring with the tokens of founders."""
    return _ring_safety.founding_ring(founders(count), copies, TOKENS_PER_NODE)


def random_tokens(count: int, copies: int) -> _ring_safety.TokenRing:
    """Return a ring with random tokens, in which nearly every range has other replicas."""
    source = random.Random(count)
    places = iter(source.sample(range(0, _cassandra.TOKENS, 2**32), count * TOKENS_PER_NODE))
    return _ring_safety.TokenRing(
        [
            _ring_safety.RingMember(
                one["name"],
                one["zone"],
                one["zone"],
                tuple(_cassandra.FIRST_TOKEN + next(places) for _ in range(TOKENS_PER_NODE)),
            )
            for one in founders(count)
        ],
        copies,
    )


RINGS: dict[str, Callable[[int, int], _ring_safety.TokenRing]] = {"founding": founding, "random": random_tokens}


def seconds(ring: Callable[[int, int], _ring_safety.TokenRing], count: int, copies: int) -> float:
    """Return the seconds of one core for the ring of ``count`` nodes and its whole analysis."""
    best = float("inf")
    for _ in range(RUNS):
        started = time.process_time()
        _ring_safety.RingSafety(ring(count, copies), HISTORY_SHARDS).report()
        best = min(best, time.process_time() - started)
    return best


def table(curves: dict[str, Sequence[float]]) -> str:
    """Return the curves for people."""
    lines = [f"{'nodes':>5}" + "".join(f"  {name:>22}" for name in curves)]
    for row, count in enumerate(NODES):
        lines.append(f"{count:>5}" + "".join(f"  {curve[row]:>20.3f} s" for curve in curves.values()))
    return "\n".join(lines)


def drawing(curves: dict[str, Sequence[float]]) -> str:
    """Return the curves as SVG: nodes to the right, seconds upwards."""
    top = max(max(curve) for curve in curves.values())

    def point(count: float, value: float) -> tuple[float, float]:
        right = (WIDTH - 2 * MARGIN) * count / NODES[-1]
        return MARGIN + right, HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * value / top

    def text(x: float, y: float, words: str, place: str = "middle", colour: str = "#333") -> str:
        return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{place}" fill="{colour}">{words}</text>'

    (left, bottom), (right, above) = point(0, 0), point(NODES[-1], top)
    parts = [
        f'<path d="M{left:.0f} {above:.0f} V{bottom:.0f} H{right:.0f}" fill="none" stroke="#333"/>',
        *(text(point(count, 0)[0], bottom + 20, str(count)) for count in NODES if count == NODES[0] or count >= 100),
        *(text(left - 6, point(0, part)[1] + 4, f"{part:.2f}", "end") for part in (0, top / 2, top)),
        text((left + right) / 2, HEIGHT - 10, "nodes"),
        text(left, above - 20, "seconds of one core", "start"),
    ]
    for row, ((name, curve), colour) in enumerate(zip(curves.items(), COLOURS, strict=True)):
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in (point(*place) for place in zip(NODES, curve, strict=True)))
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(text(left + 16, above + 4 + 18 * row, name, "start", colour))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13">\n{body}\n</svg>\n'
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, help="SVG file to draw the curves into")
    options = parser.parse_args()
    curves = {
        f"{name} tokens, RF {copies}": [seconds(ring, count, copies) for count in NODES]
        for name, ring in RINGS.items()
        for copies in COPIES
    }
    print(table(curves))
    if options.output:
        options.output.write_text(drawing(curves), encoding="utf-8")


if __name__ == "__main__":
    main()
