"""Start-up hook of Python on lab hosts: what it has compiled of a zip file, it keeps for the next time.

Ansible brings a module to a host as a zip file with some fifty sources, which Python would compile at every task: 40 %
of the processor time of a small one. The compiled code is found by the digest of its source, so it is always that of
the source which arrived. All hosts of a machine share the directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import sys
import zipimport
from pathlib import Path
from types import CodeType

DIRECTORY = Path("/var/cache/lab-python", sys.implementation.cache_tag or "")

_compile_source = zipimport._compile_source


def _compiled(path: str, source: bytes) -> CodeType:
    kept = DIRECTORY / hashlib.sha256(source).hexdigest()
    try:
        return marshal.loads(kept.read_bytes())
    except (OSError, ValueError, EOFError, TypeError):
        code = _compile_source(path, source)
    with contextlib.suppress(OSError):  # only root keeps what it compiles
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(f".{os.getpid()}")
        draft.write_bytes(marshal.dumps(code))
        draft.replace(kept)
    return code


zipimport._compile_source = _compiled
