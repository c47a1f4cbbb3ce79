"""The record of a load as a picture: successes per second of each client, errors, and what was done meanwhile."""

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
OF_SUCCESS, OF_ERROR, OF_MARK = "#0072b2", "#d55e00", "#555555"


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>'


def timeline(calls: Sequence[Call], marks: Sequence[Mark], bin_seconds: float = 1.0) -> str:
    """Return the SVG document; a bar is the calls of ``bin_seconds``, counted when they ended."""
    began = min([*(call.began for call in calls), *(mark.at for mark in marks)], default=0.0)
    ended = max([*(call.ended or call.began for call in calls), *(mark.at for mark in marks)], default=began)
    bins = int((ended - began) / bin_seconds) + 1
    step = WIDTH / bins

    def x(moment: float) -> float:
        return MARGIN + (moment - began) / bin_seconds * step

    parts: list[str] = []
    down = MARGIN
    flavours = list(dict.fromkeys(call.flavour for call in calls))
    for flavour in flavours:
        own = [call for call in calls if call.flavour == flavour]
        failed = sum(not call.acked for call in own)
        down += GAP
        title = f"{flavour}: {len(own)} calls, {failed} errors, longest gap between starts {longest_gap(own):.1f} s"
        parts.append(_text(MARGIN, down - 8, title, ' font-weight="bold"'))
        counts = {
            acked: Counter(
                int(((call.ended or call.began) - began) / bin_seconds) for call in own if call.acked == acked
            )
            for acked in (True, False)
        }
        most = max([*(counts[True] + counts[False]).values(), 1])
        base = [float(down + PANEL)] * bins
        for acked, fill in ((False, OF_ERROR), (True, OF_SUCCESS)):
            bars = []
            for number, count in sorted(counts[acked].items()):
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
