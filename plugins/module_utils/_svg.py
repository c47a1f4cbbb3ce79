"""Pictures that need no network: SVG documents of their parts."""

from __future__ import annotations

from collections.abc import Sequence


def document(parts: Sequence[str], width: float, height: float, font_size: int) -> str:
    """Return an SVG document on white; all measures are in pixels."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'font-family="sans-serif" font-size="{font_size}" fill="#222222">',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        ]
    )
