"""Make a wheelhouse for tests: what the machine has, and several builds of the sample.

python build_wheels.py WHEELS_OF_THE_MACHINE DIRECTORY

1.0.0 is the sample; 1.1.0 is the same with another version; 1.2.0 needs a module that nobody has; 1.3.0 requires a
package of which there is no wheel; 1.4.0 ends its process with every workflow. 1.5.0 lets its workflows go to later
builds, and 1.6.0 begins those with another step, so that it cannot go on with what 1.5.0 began. As a program of its
own, 1.7.0 runs and asks for no task. DIRECTORY/other holds a 1.0.0 with other bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[3] / "samples" / "networking_worker"
Edit = tuple[str, str, str]
ACTIVITIES, SERVICE, WORKFLOWS = (f"src/networking_worker/{name}.py" for name in ("activities", "service", "workflows"))
BEGIN = '        workflow.logger.info("begin'
TO_LATER_BUILDS: list[Edit] = [
    (WORKFLOWS, "import RetryPolicy", "import RetryPolicy, VersioningBehavior"),
    (WORKFLOWS, "@workflow.defn\n", "@workflow.defn(versioning_behavior=VersioningBehavior.AUTO_UPGRADE)\n"),
]
# A file of the sample, and a text in it, and the text that takes its place.
EDITS: dict[str, list[Edit]] = {
    "1.0.0": [],
    "1.1.0": [],
    "1.2.0": [(ACTIVITIES, "import asyncio", "import asyncio\nimport absent_module")],
    "1.3.0": [("pyproject.toml", '"temporalio>=1.18"', '"temporalio>=1.18", "absent-package"')],
    "1.4.0": [
        (ACTIVITIES, "HEARTBEAT_SECONDS", "import os\n\ndef crash():\n    os._exit(1)\n\nHEARTBEAT_SECONDS"),
        (
            WORKFLOWS,
            BEGIN,
            f"        with workflow.unsafe.sandbox_unrestricted():\n            activities.crash()\n{BEGIN}",
        ),
    ],
    "1.5.0": TO_LATER_BUILDS,
    "1.6.0": [*TO_LATER_BUILDS, (WORKFLOWS, BEGIN, f"        await workflow.sleep(1)\n{BEGIN}")],
    "1.7.0": [(SERVICE, "    asyncio.run(main())", "    import time\n\n    time.sleep(3600)")],
}


def build(version: str, edits: Sequence[Edit], wheels: Path) -> None:
    """Build one version of the sample into ``wheels``."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "source"
        shutil.copytree(SAMPLE, source)
        for name, old, new in edits:
            path = source / name
            text = path.read_text(encoding="utf-8")
            if old not in text:
                raise ValueError(f"{version}: {name} has no {old!r}")
            path.write_text(text.replace(old, new, 1), encoding="utf-8")
        project = source / "pyproject.toml"
        text = re.sub(r'^version = ".*"', f'version = "{version}"', project.read_text("utf-8"), flags=re.MULTILINE)
        project.write_text(text, encoding="utf-8")
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
    build("1.0.0", [("README.md", "# networking-worker", "# Another text")], target / "other")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
