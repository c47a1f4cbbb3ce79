"""A process of a host that hangs, and whose guard has to end it: for scenarios, which speak to hosts by testinfra."""

from __future__ import annotations

import time
from collections.abc import Callable

from testinfra.host import Host


def wait_until_replaced(
    host: Host,
    process: str,
    units: str,
    unit: str = "",
    is_back: Callable[[], bool] = lambda: True,
    seconds: int = 60,
) -> None:
    """Stop a process and return when another one is in its place and ``is_back``.

    ``process``: command that prints its number, nothing or 0 where there is none. ``units``: whose journal tells why
    nothing happened. ``unit``: all processes of it stop, and not that one alone.

    Raises:
        AssertionError: that takes more than ``seconds``.
    """
    hung = host.check_output(process)

    def signal(name: str) -> str:
        return f"systemctl kill --signal=SIG{name} {unit}" if unit else f"kill -{name} {hung}"

    host.check_output(signal("STOP"))
    try:
        for _ in range(seconds):
            if host.run(process).stdout.strip() not in (hung, "0", "") and is_back():
                return
            time.sleep(1)
        raise AssertionError(host.check_output(f"journalctl --no-pager -n 50 -u '{units}'"))
    finally:
        host.run(signal("CONT"))
