"""The software of every profile in the cache that all labs share, for tests of single roles.

python -m lab.software
"""

from __future__ import annotations

import os
import subprocess
import sys

from lab import state
from lab.inventory import OVERLAY

# The profile that needs everything.
PROFILE = "ha_cassandra"


def main() -> int:
    """Build the sample worker and fetch or build the rest; nothing is done twice."""
    directory = state.cache_root() / "artifacts"
    inputs = {"temporal_artifact_directory": directory, "temporal_profile": PROFILE}
    commands = [
        [str(state.REPOSITORY / "samples" / "build.sh"), str(directory / "wheels")],
        [
            "ansible-playbook",
            f"--inventory={state.REPOSITORY / 'inventories' / 'ha_postgresql'}",
            f"--extra-vars=@{OVERLAY / 'group_vars' / 'all' / 'lab.yml'}",
            *(f"--extra-vars={name}={value}" for name, value in inputs.items()),
            str(state.REPOSITORY / "playbooks" / "artifacts.yml"),
        ],
    ]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    return next((done for command in commands if (done := subprocess.call(command, env=environment))), 0)


if __name__ == "__main__":
    sys.exit(main())
