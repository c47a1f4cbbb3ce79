"""Make a wheelhouse for tests: what the machine has, and several builds of the sample.

python build_wheels.py WHEELS_OF_THE_MACHINE DIRECTORY

1.0.0 is the sample; 1.1.0 is the same with another version; 1.2.0 needs a module that nobody has; 1.3.0 requires a
package of which there is no wheel; 1.4.0 ends its process with every workflow. DIRECTORY/other holds a 1.0.0 with
other bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[3] / "samples" / "networking_worker"
EDITS = {
    "1.0.0": {},
    "1.1.0": {},
    "1.2.0": {"src/networking_worker/activities.py": ("import asyncio", "import asyncio\nimport absent_module")},
    "1.3.0": {"pyproject.toml": ('"temporalio>=1.18"', '"temporalio>=1.18", "absent-package"')},
    "1.4.0": {
        "src/networking_worker/activities.py": (
            "HEARTBEAT_SECONDS",
            "import os\n\ndef crash():\n    os._exit(1)\n\nHEARTBEAT_SECONDS",
        ),
        "src/networking_worker/workflows.py": (
            '        workflow.logger.info("begin',
            "        with workflow.unsafe.sandbox_unrestricted():\n            activities.crash()\n"
            '        workflow.logger.info("begin',
        ),
    },
}


def build(version: str, edits: dict[str, tuple[str, str]], wheels: Path) -> None:
    """Build one version of the sample into ``wheels``."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "source"
        shutil.copytree(SAMPLE, source)
        for name, (old, new) in {**edits, "": ("", "")}.items():
            path = source / (name or "pyproject.toml")
            text = path.read_text(encoding="utf-8").replace(old, new, 1)
            path.write_text(
                re.sub(r'^version = ".*"', f'version = "{version}"', text, flags=re.MULTILINE), encoding="utf-8"
            )
        command = ["wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels)]
        subprocess.run(
            [sys.executable, "-m", "pip", *command, str(source)],
            env={**os.environ, "SOURCE_DATE_EPOCH": "946684800"},
            check=True,
        )


def main(wheels_of_the_machine: Path, target: Path) -> None:
    """Build everything anew."""
    shutil.rmtree(target, ignore_errors=True)
    made = shutil.ignore_patterns(*(f"networking_worker-{version}-*" for version in EDITS))
    shutil.copytree(wheels_of_the_machine, target / "wheels", ignore=made)
    for version, edits in EDITS.items():
        build(version, edits, target / "wheels")
    build("1.0.0", {"README.md": ("# networking-worker", "# Another text")}, target / "other")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
