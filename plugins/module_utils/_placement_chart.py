"""Where workflows are as a picture: a bar for each host, its zone in one colour, as SVG that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils._placement_text import OF_NODES, OF_SERVERS, meaning
from ansible_collections.zerospof.temporal.plugins.module_utils._text import counted

# Colours that people with any kind of colour vision tell apart (Okabe and Ito), for zones in turn.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
# All measures are in pixels.
MARGIN = 24
BAR_LENGTH = 480
BAR_HEIGHT = 16
ROW = 24
ZONE_GAP = 10
CHARACTER = 8
ROOM_FOR_COUNT = 190


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}"{more}>{escape(text)}</text>'


class _Chart:
    """Grows downwards, section by section."""

    def __init__(self, zones: Sequence[str], names: Sequence[str]) -> None:
        self._fills = {zone: COLOURS[number % len(COLOURS)] for number, zone in enumerate(zones)}
        self._of_names = MARGIN + CHARACTER * (max(map(len, zones)) + 2)
        self._of_bars = self._of_names + CHARACTER * (max(map(len, names)) + 2)
        self._down = MARGIN
        self._parts: list[str] = []

    def line(self, text: str, size: int, more: str = "") -> None:
        """Add one line of text."""
        self._down += size
        self._parts.append(_text(MARGIN, self._down, text, f' font-size="{size}"{more}'))
        self._down += size // 2

    def bars(self, title: str, hosts: Sequence[Mapping[str, Any]], state: str, down: str) -> None:
        """Add a bar for each host, by zone; that of a host whose ``state`` is not true is hatched and says ``down``."""
        self._down += ROW
        self.line(title, 15, ' font-weight="bold"')
        most = max(host["workflows"] for host in hosts) or 1
        for zone, of_zone in groupby(sorted(hosts, key=lambda host: host["zone"]), key=lambda host: host["zone"]):
            self._down += ZONE_GAP
            self._parts.append(_text(MARGIN, self._down + BAR_HEIGHT - 3, zone, ' font-weight="bold"'))
            for host in of_zone:
                self._bar(host, self._fills[zone], BAR_LENGTH * host["workflows"] / most, "" if host[state] else down)

    def _bar(self, host: Mapping[str, Any], fill: str, length: float, down: str) -> None:
        base = self._down + BAR_HEIGHT - 3
        box = f'x="{self._of_bars}" y="{self._down}" width="{length:.1f}" height="{BAR_HEIGHT}"'
        self._parts.append(_text(self._of_names, base, host["name"]))
        self._parts.append(f'<rect {box} fill="{fill}"/>')
        if down:
            self._parts.append(f'<rect {box} fill="url(#down)" stroke="{fill}"/>')
        count = f"{host['workflows']}, {down}" if down else str(host["workflows"])
        self._parts.append(_text(self._of_bars + length + CHARACTER, base, count))
        self._down += ROW

    def svg(self) -> str:
        """Return the whole document."""
        width, height = self._of_bars + BAR_LENGTH + ROOM_FOR_COUNT, self._down + MARGIN
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13" fill="#222222">',
                '<defs><pattern id="down" width="6" height="6" patternUnits="userSpaceOnUse" '
                'patternTransform="rotate(45)"><rect width="4" height="6" fill="#ffffff"/></pattern></defs>',
                '<rect width="100%" height="100%" fill="#ffffff"/>',
                *self._parts,
                "</svg>\n",
            ]
        )


def placement_chart(placement: Mapping[str, Any]) -> str:
    """Return the SVG document of a placement."""
    nodes, servers, count = placement["nodes"], placement["servers"], placement["summary"]["workflows"]
    hosts = [*nodes, *servers]
    chart = _Chart(sorted({host["zone"] for host in hosts}), [host["name"] for host in hosts])
    chart.line(f"Namespace {placement['namespace']}: {counted(count, 'workflow')}", 20)
    for line in meaning(placement):
        chart.line(line, 13)
    if nodes:
        chart.bars(OF_NODES, nodes, "is_up", "down")
    chart.bars(OF_SERVERS, servers, "is_member", "not in the ring")
    return chart.svg()
