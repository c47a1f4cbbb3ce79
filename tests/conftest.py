"""Make the checkout importable as the collection that it is."""

from __future__ import annotations

import sys
from pathlib import Path

COLLECTIONS = Path(__file__).resolve().parents[1] / ".cache" / "collections"

try:
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
except ImportError:
    pass
else:
    _AnsibleCollectionFinder(paths=[str(COLLECTIONS)])._install()
    sys.path.append(str(COLLECTIONS))
