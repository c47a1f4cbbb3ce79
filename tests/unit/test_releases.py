"""The release of a process follows from the path of its program, that of a link from where it leads."""

from __future__ import annotations

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _releases

DIRECTORY = "/opt/temporal-server"


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("1.31.2", "1.31.2"),
        ("/opt/temporal-server/1.31.2", "1.31.2"),
        ("/opt/temporal-server/1.31.2/temporal-server", "1.31.2"),
        ("/opt/temporal-server/1.30.6/temporal-server (deleted)", "1.30.6"),
        ("/opt/temporal-ui/2.54.1/temporal-ui-server", None),
        ("/usr/bin/dash", None),
        ("", None),
        (None, None),
    ],
)
def test_a_path_tells_the_release(path: str | None, version: str | None) -> None:
    assert _releases.version_of(path, DIRECTORY) == version


def test_links_are_no_releases() -> None:
    assert _releases.versions(["previous", "1.31.2", "current", "1.30.6"]) == ["1.30.6", "1.31.2"]
