"""What an image takes from the machine that builds it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab import images
from lab.machine import LabError

DEB822 = """\
Types: deb
# a comment in a stanza
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb deb-src
URIs: http://mirror.example/security/
Suites: bookworm-security

Types: deb
URIs: http://other.example
Suites: bookworm
Enabled: no

Types: deb-src
URIs: http://sources.example
Suites: bookworm
"""

RECIPE = images.Recipe("debian-13", "trixie", ("python3",), ("etcd-server",))
SETTINGS = images.Settings("http://mirror.example/debian", "", (), "", "", ())


def test_deb822_sources_are_read_without_disabled_and_source_only_stanzas() -> None:
    assert images.parse_sources(DEB822, deb822=True) == [
        ("http://mirror.example/debian", ("bookworm", "bookworm-updates")),
        ("http://mirror.example/security/", ("bookworm-security",)),
    ]


def test_one_line_sources_are_read_with_options_and_without_comments() -> None:
    content = (
        "# deb http://no.example sid main\ndeb [trusted=yes] http://a.example/d sid main\ndeb http://b.example sid x\n"
    )
    assert images.parse_sources(content, deb822=False) == [
        ("http://a.example/d", ("sid",)),
        ("http://b.example", ("sid",)),
    ]


def test_the_mirror_is_the_one_of_the_machines_own_release() -> None:
    sources = [("http://tool.example", ("stable",)), *images.parse_sources(DEB822, deb822=True)]
    mirrors = images.choose_mirrors(sources, "bookworm")
    assert mirrors == ("http://mirror.example/debian", "http://mirror.example/security")


def test_a_machine_without_a_source_for_its_release_is_refused() -> None:
    with pytest.raises(LabError, match="no apt source of this machine carries trixie"):
        images.choose_mirrors([("http://mirror.example", ("bookworm",))], "trixie")


def test_an_image_has_security_updates_only_where_the_machine_has() -> None:
    assert len(images.source_lines(RECIPE, SETTINGS)) == 2
    lines = images.source_lines(RECIPE, replace(SETTINGS, security_mirror="http://s.example"))
    assert lines[-1] == "deb http://s.example trixie-security main"


def test_only_transport_options_of_apt_are_taken_over() -> None:
    dump = (
        'Acquire "";\nAcquire::Check-Valid-Until "false";\nAcquire::http::Proxy "http://p.example";\n'
        'Acquire::https "";\nAcquire::Languages:: "none";\nDPkg::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb";\n'
    )
    assert images.apt_options(dump) == (
        'Acquire::Check-Valid-Until "false";',
        'Acquire::http::Proxy "http://p.example";',
    )


def test_pip_keeps_index_and_certificate_but_no_local_path() -> None:
    listed = ":env:.default-timeout='180'\n:env:.find-links='/local/wheels'\nglobal.cert='/etc/ssl/c.crt'\n"
    assert images.pip_conf(listed) == "[global]\ncert = /etc/ssl/c.crt\ntimeout = 180\n"


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        (replace(RECIPE, cached=("haproxy",)), SETTINGS),
        (RECIPE, replace(SETTINGS, mirror="http://other.example")),
        (RECIPE, replace(SETTINGS, authorities=(("ca.crt", b"x"),))),
    ],
)
def test_a_changed_input_is_another_image(recipe: images.Recipe, settings: images.Settings) -> None:
    assert images.tag(recipe, settings) != images.tag(RECIPE, SETTINGS)


def test_both_operating_systems_have_the_packages_that_roles_install() -> None:
    table = images.recipes()
    assert set(table) == {"debian-12", "debian-13"}
    assert "postgresql-17" in table["debian-13"].cached
    assert "postgresql-15" in table["debian-12"].cached
