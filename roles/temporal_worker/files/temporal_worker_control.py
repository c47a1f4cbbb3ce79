"""Start and stop the instances that may come and go: all of the agent's work that takes the rights of root.

systemd runs it for each connection to its socket, which the agent alone can open. It reads one line of JSON, how many
instances are wanted by deployment (`{"networking": 3}`, or `{}` to ask), and answers with a line:
`{"networking": {"running": [unit, ...], "unusable": [unit, ...]}}`, as it was before.

The first instances of a deployment are those of systemd: it touches none of them, and nothing that the file
/etc/temporal-workers/scaling.json does not name. It needs nothing but the standard library.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/temporal-workers/scaling.json")
LONGEST_REQUEST = 65536
# What the runner ends with when it cannot serve what it is given; another start would end like that, too.
UNUSABLE = "2"

States = Mapping[str, Mapping[str, str]]


class RefusedError(Exception):
    """The request is not carried out; the message says why."""


def parse(text: str) -> dict[str, dict[str, str]]:
    """Return the properties of each unit from the output of ``systemctl show``."""
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in text.split("\n\n")]
    return {block["Id"]: block for block in blocks if "Id" in block}


def runs(state: Mapping[str, str]) -> bool:
    """Tell whether a unit runs or is about to."""
    return state.get("ActiveState") in {"active", "activating", "reloading"}


def is_unusable(state: Mapping[str, str]) -> bool:
    """Tell whether a unit ended because it cannot be served."""
    return state.get("ActiveState") == "failed" and state.get("ExecMainStatus") == UNUSABLE


def changes(deployment: Mapping[str, Any], states: States, wanted: object) -> tuple[list[str], list[str]]:
    """Return the units to start and those to stop for ``wanted`` instances.

    Raises:
        RefusedError: so many are not allowed.
    """
    fewest, units = deployment["fewest"], deployment["units"]
    if type(wanted) is not int or not fewest <= wanted <= len(units):
        raise RefusedError(f"{deployment['name']}: {wanted!r} is not between {fewest} and {len(units)}")
    mine = units[fewest:]
    running = [unit for unit in mine if runs(states.get(unit, {}))]
    idle = [unit for unit in mine if unit not in running and not is_unusable(states.get(unit, {}))]
    # One that ends its tasks starts when it has, however long that takes.
    idle.sort(key=lambda unit: states.get(unit, {}).get("ActiveState") == "deactivating")
    missing = wanted - fewest - len(running)
    return (idle[:missing], []) if missing >= 0 else ([], running[missing:])


def answer(deployments: Sequence[Mapping[str, Any]], states: States) -> dict[str, dict[str, list[str]]]:
    """Return what there is of each deployment."""
    return {
        deployment["name"]: {
            "running": [unit for unit in deployment["units"] if runs(states.get(unit, {}))],
            "unusable": [unit for unit in deployment["units"] if is_unusable(states.get(unit, {}))],
        }
        for deployment in deployments
    }


def systemctl(*arguments: str) -> str:
    """Run systemctl and return its output.

    Raises:
        RefusedError: it fails.
    """
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RefusedError(f"systemctl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def serve(request: str) -> dict[str, Any]:
    """Carry out a request and return the answer.

    Raises:
        RefusedError: it is not one, or systemd refuses.
    """
    try:
        wanted = json.loads(request)
        deployments = json.loads(SETTINGS.read_text(encoding="utf-8"))["deployments"]
    except (OSError, ValueError, KeyError) as error:
        raise RefusedError(f"{type(error).__name__}: {error}") from error
    known = {deployment["name"]: deployment for deployment in deployments}
    if not isinstance(wanted, dict) or not set(wanted) <= set(known):
        raise RefusedError(f"{request.strip()!r} does not name deployments that are scaled ({', '.join(known)})")
    units = [unit for deployment in deployments for unit in deployment["units"]]
    states = parse(systemctl("show", "--property=Id,ActiveState,ExecMainStatus", *units)) if units else {}
    # Nothing is carried out unless all of it can be.
    for start, stop in [changes(known[name], states, number) for name, number in wanted.items()]:
        if start:
            systemctl("start", "--no-block", *start)
        if stop:
            systemctl("stop", "--no-block", *stop)
    return answer(deployments, states)


def main() -> None:
    """Serve one request of the standard input."""
    try:
        print(json.dumps(serve(sys.stdin.readline(LONGEST_REQUEST))))
    except RefusedError as error:
        print(json.dumps({"error": str(error)}))


if __name__ == "__main__":
    main()
