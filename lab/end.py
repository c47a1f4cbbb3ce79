"""The end of programs that were clients of Temporal."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process with ``code``, without the interpreter's teardown, in which threads of the SDK can crash it.

    The cause is that of github.com/temporalio/sdk-python issue 300.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
