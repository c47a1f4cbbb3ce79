"""The sample worker package, imported from its sources: the lab and the tests need no installed copy."""

from __future__ import annotations

import sys

from lab.state import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "samples" / "networking_worker" / "src"))

from networking_worker import activities, model, simulator, workflows

__all__ = ["activities", "model", "simulator", "workflows"]
