"""Lets the programs that worker hosts run be imported, as they lie side by side there."""

from __future__ import annotations

import sys
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parents[1] / "roles" / "temporal_worker" / "files"
sys.path.append(str(PROGRAMS))
