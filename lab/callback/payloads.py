"""Keeps what Ansible makes of modules for the hosts, from one run to the next.

For each module that a run needs, Ansible reads all that it imports and packs it into a zip file: a fifth of a second of
the processor, which a run of ``site.yml`` pays fifty times and a suite of many small runs thousands of times. Ansible
shares these files among the workers of one run, in a directory of that run. This one leads to a directory that stays,
named after the sources of this collection and the releases of the others, of Ansible and of Python.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

from ansible import constants
from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import module_loader
from ansible.release import __version__
from ansible.utils.collection_loader import AnsibleCollectionConfig

KEPT = Path(__file__).resolve().parents[2] / ".cache" / "payloads"
# Where Ansible has them (module_common.py).
DIRECTORY = "ansiballz_cache"
ANY_MODULE = "zerospof.temporal.host_check"


def fingerprint(plugins: Path, releases: Iterable[Path]) -> str:
    """Return the digest of all of which payloads are made.

    ``plugins``: directory of the collection in the making; ``releases``: manifests of installed collections.
    """
    digest = hashlib.sha256(f"{__version__} {sys.version}".encode())
    sources = (file for folder in ("modules", "module_utils") for file in (plugins / folder).rglob("*.py"))
    for file in [*sorted(sources), *sorted(releases)]:
        digest.update(f"\n{file.name} ".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


class CallbackModule(CallbackBase):
    """Says nothing."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "payloads"

    def __init__(self) -> None:
        """Let the directory of this run be the one that stays."""
        super().__init__()
        module = module_loader.find_plugin_with_context(ANY_MODULE).plugin_resolved_path
        places = [Path(place) for place in AnsibleCollectionConfig.collection_paths]
        releases = (file for place in places for file in place.glob("ansible_collections/*/*/MANIFEST.json"))
        kept = KEPT / fingerprint(Path(module).parents[1], releases)
        kept.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # loaded twice
            Path(constants.DEFAULT_LOCAL_TMP, DIRECTORY).symlink_to(kept)
