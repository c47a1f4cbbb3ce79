"""Files that are replaced as a whole, or stay as they were."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def replace(texts: Mapping[Path, str], mode: int, owner: tuple[int, int] | None = None) -> None:
    """Give files their texts. All are on the disk before the first takes its place, so they differ but for an instant.

    ``owner``: numbers of the user and the group, ``None`` for who runs this. Nobody else can read a file before it has
    its ``mode``.

    Raises:
        OSError: a file cannot be written; those that have not been replaced are as they were.
    """
    asides: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            # A new temporary file is readable by its owner alone.
            descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            asides[path] = Path(temporary)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            if owner:
                os.chown(temporary, *owner)
            asides[path].chmod(mode)
        for path, aside in asides.items():
            aside.replace(path)
    except BaseException:
        for aside in asides.values():
            aside.unlink(missing_ok=True)
        raise
