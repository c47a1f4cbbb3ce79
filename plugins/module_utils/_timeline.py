"""The record of a load as a picture: successes of each client, errors by kind, and what was done meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from xml.sax.saxutils import escape

from ansible_collections.zerospof.temporal.plugins.module_utils._calls import Call, Mark, longest_gap
from ansible_collections.zerospof.temporal.plugins.module_utils._svg import document

# All measures are in pixels.
MARGIN = 24
WIDTH = 1120
PANEL = 90
GAP = 44
MARK_ROW = 15
FONT_SIZE = 11
OF_SUCCESS, OF_MARK = "#0072b2", "#555555"
# For the kinds of errors, the most frequent first; what is left over shares the last one. With OF_SUCCESS, the colours
# that everybody can tell from each other (M. Okabe, K. Ito, Color Universal Design).
OF_ERRORS = ("#d55e00", "#e69f00", "#cc79a7", "#000000", "#009e73")
OTHERS = "other errors"
# Seconds of a bar: the first that leaves each bar a pixel.
BARS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>'


def _kind(call: Call) -> str:
    """Return what a failed call ended with, without what it was about: ``UNAVAILABLE``."""
    return "no answer" if call.error is None else call.error.partition(":")[0].rpartition(" ")[2]


def _colours(calls: Sequence[Call]) -> dict[str, str]:
    """Return the colour of each kind of error."""
    kinds = [kind for kind, _ in Counter(_kind(call) for call in calls if not call.acked).most_common()]
    if len(kinds) > len(OF_ERRORS):
        kinds = [*kinds[: len(OF_ERRORS) - 1], OTHERS]
    return dict(zip(kinds, OF_ERRORS, strict=False))


def timeline(calls: Sequence[Call], marks: Sequence[Mark]) -> str:
    """Return the SVG document; calls are counted when they ended, by the tenth of a second where there is room."""
    began = min([*(call.began for call in calls), *(mark.at for mark in marks)], default=0.0)
    ended = max([*(call.ended or call.began for call in calls), *(mark.at for mark in marks)], default=began)
    bin_seconds = next((seconds for seconds in BARS if (ended - began) / seconds < WIDTH), BARS[-1])
    bins = int((ended - began) / bin_seconds) + 1
    step = WIDTH / bins
    colours = _colours(calls)

    def x(moment: float) -> float:
        return MARGIN + (moment - began) / bin_seconds * step

    def kind_of(call: Call) -> str:
        kind = _kind(call)
        return kind if kind in colours else OTHERS

    parts: list[str] = []
    down = MARGIN
    flavours = list(dict.fromkeys(call.flavour for call in calls))
    for flavour in flavours:
        own = [call for call in calls if call.flavour == flavour]
        failed = Counter(kind_of(call) for call in own if not call.acked)
        down += GAP
        title = (
            f"{flavour}: {len(own)} calls, longest gap between starts {longest_gap(own):.1f} s, {failed.total()} errors"
        )
        legend = "".join(
            f'<tspan fill="{colours[kind]}">  {count} x {escape(kind)}</tspan>' for kind, count in failed.most_common()
        )
        parts.append(
            f'<text x="{MARGIN}" y="{down - 8}" font-weight="bold" xml:space="preserve">{escape(title)}{legend}</text>'
        )
        counts: dict[str, Counter[int]] = {fill: Counter() for fill in (*OF_ERRORS, OF_SUCCESS)}
        for call in own:
            fill = OF_SUCCESS if call.acked else colours[kind_of(call)]
            counts[fill][int(((call.ended or call.began) - began) / bin_seconds)] += 1
        most = max([*sum(counts.values(), Counter()).values(), 1])
        base = [float(down + PANEL)] * bins
        for fill, of_bins in counts.items():
            bars = []
            for number, count in sorted(of_bins.items()):
                height = PANEL * count / most
                base[number] -= height
                bars.append(f"M{MARGIN + number * step:.1f} {base[number]:.1f}h{step:.1f}v{height:.1f}h-{step:.1f}z")
            if bars:
                parts.append(f'<path fill="{fill}" d="{"".join(bars)}"/>')
        down += PANEL
    top, bottom = MARGIN + GAP, down
    down += MARK_ROW
    for mark in marks:
        down += MARK_ROW
        parts.append(
            f'<line x1="{x(mark.at):.1f}" y1="{top}" x2="{x(mark.at):.1f}" y2="{down - 4}" stroke="{OF_MARK}" '
            'stroke-width="0.6" stroke-dasharray="3 2"/>'
        )
        on_the_left = x(mark.at) > MARGIN + WIDTH * 0.6
        anchor = ' text-anchor="end"' if on_the_left else ""
        parts.append(
            _text(x(mark.at) + (-4 if on_the_left else 4), down, f"{mark.at - began:.0f} s  {mark.label}", anchor)
        )
    parts.append(_text(MARGIN, MARGIN + 4, f"{ended - began:.0f} s; a bar is {bin_seconds:g} s", ' font-size="15"'))
    parts.append(f'<line x1="{MARGIN}" y1="{bottom}" x2="{MARGIN + WIDTH}" y2="{bottom}" stroke="{OF_MARK}"/>')
    return document(parts, WIDTH + 2 * MARGIN, down + MARGIN, FONT_SIZE)
