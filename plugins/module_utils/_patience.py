"""How a client asks that is to see no error of a fault which its cluster bears: settings, and what it asks again.

``temporalio`` is needed for :func:`insist` alone; the settings are plain, for whoever checks documentation.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

# Whoever calls insist has a client, and with it the library.
with contextlib.suppress(ImportError):
    from temporalio.service import RPCError

Answer = TypeVar("Answer")

# Longer than the 10 s of the SDK, as the loss of a host takes longer. Of RetryConfig.
RETRIES = {"max_interval_millis": 2000, "max_elapsed_time_millis": 60_000, "max_retries": 60}
# Pings as often as a server allows (frontend.keepAliveMinTime, 10 s) find a connection that is dead without a word. Of
# KeepAliveConfig.
PINGS = {"interval_millis": 10_000, "timeout_millis": 3000}
# What the SDK never retries, because what was asked for may have happened: the node that had to answer died.
AMBIGUOUS = frozenset({"DEADLINE_EXCEEDED", "CANCELLED"})
SECONDS, PAUSE_SECONDS = 60.0, 0.5


async def insist(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Return the answer to ``ask``, which is made again when nobody knows whether it was carried out.

    It has to be the same request each time, with the same identity, which the server carries out once.

    Raises:
        RPCError: it was refused for another reason, or the time is up.
    """
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return await ask()
        except RPCError as error:
            if error.status.name not in AMBIGUOUS or time.monotonic() > deadline:
                raise
        await asyncio.sleep(PAUSE_SECONDS)
