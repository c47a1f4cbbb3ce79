"""What a drill has written, as its tests read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def result_in(directory: Path) -> dict[str, Any]:
    """The result of the one drill that wrote into ``directory``, which has its picture and its page, too."""
    [file] = directory.glob("*/*/*.json")
    picture, page = (file.with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".svg", ".html"))
    assert picture.startswith("<svg")
    assert picture in page
    return json.loads(file.read_text(encoding="utf-8"))
