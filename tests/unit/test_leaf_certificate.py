"""A renewed certificate comes with a new key; whenever a run dies, key and certificate on disk belong together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _certificates
from ansible_collections.zerospof.temporal.plugins.modules import leaf_certificate

from tests.unit.test_certificates import authority

CA, CA_KEY = authority()
OTHER, _ = authority(name="other")
SOON = datetime.now(UTC) - timedelta(seconds=1)


class Service:
    """The directory of a service, and the two halves of the module: the host asks, the control node signs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "tls"

    def half(self, check_mode: bool = False, **options: Any) -> dict[str, Any]:  # noqa: ANN401
        parameters = {
            "name": "etcd",
            "directory": str(self.directory),
            "owner": None,
            "group": None,
            "dns_names": ["a"],
            "ip_addresses": [],
            "purposes": ["client", "server"],
            "days": 397,
            "renew_before_days": 30,
            "issued_before": "",
            "combined": True,
            "_authority": CA,
            "_certificate": "",
            **options,
        }
        module = SimpleNamespace(params=parameters, check_mode=check_mode)
        place = leaf_certificate.Place(parameters, check_mode)
        return leaf_certificate.converge(module, place)  # type: ignore[arg-type]

    def whole(self, now: datetime | None = None, **options: Any) -> dict[str, Any]:  # noqa: ANN401
        asked = self.half(**options)
        if not asked["reasons"]:
            return asked
        done = self.half(**options, _certificate=_certificates.sign(asked["request"], CA, CA_KEY, 397, now))
        return {**done, "reasons": asked["reasons"]}

    def read(self, name: str) -> str:
        return (self.directory / name).read_text(encoding="utf-8")

    @property
    def files(self) -> dict[str, str]:
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(self.directory.iterdir())}


@pytest.fixture
def service(tmp_path: Path) -> Service:
    made = Service(tmp_path)
    assert made.whole(datetime.now(UTC) - timedelta(days=2))["reasons"] == ["there is none"]
    return made


def test_a_renewed_certificate_has_a_new_key_and_is_renewed_once(service: Service) -> None:
    before = service.files
    renewed = service.whole(issued_before=SOON.isoformat())
    assert renewed["reasons"][0].startswith("it was issued on ")
    after = service.files
    assert list(after) == ["ca.crt", "etcd.crt", "etcd.key", "etcd.pem"]
    assert [name for name in after if after[name] == before[name]] == ["ca.crt"]
    assert after["etcd.pem"] == after["etcd.crt"] + after["etcd.key"]
    again = service.whole(issued_before=SOON.isoformat())
    assert (again["reasons"], again["changed"]) == ([], False)
    assert service.files == after


def test_until_the_new_key_is_signed_the_service_has_its_former_pair(service: Service) -> None:
    before = service.files
    first = service.half(issued_before=SOON.isoformat())
    half = service.files
    assert {name: half[name] for name in before} == before
    assert _certificates.public_key(half["etcd.key.next"]) != _certificates.public_key(before["etcd.key"])
    # The next run asks for the same key, and one that wants no renewal for that of the service.
    assert service.half(issued_before=SOON.isoformat())["reasons"] == first["reasons"]
    assert service.read("etcd.key.next") == half["etcd.key.next"]
    assert service.whole()["reasons"] == []
    assert service.read("etcd.crt") == before["etcd.crt"]


def test_check_mode_says_why_and_touches_nothing(service: Service) -> None:
    before = service.files
    told = service.half(check_mode=True, issued_before=SOON.isoformat())
    assert told["changed"]
    assert told["reasons"][0].startswith("it was issued on ")
    assert service.files == before


def test_with_other_authorities_to_trust_the_certificate_is_another_one_and_the_key_stays(service: Service) -> None:
    before = service.files
    changed = service.whole(_authority=CA + OTHER)
    assert changed["reasons"] == ["other authorities are to be trusted"]
    after = service.files
    assert after["etcd.key"] == before["etcd.key"]
    assert after["etcd.crt"] != before["etcd.crt"]
    assert after["ca.crt"] == _certificates.bundle(CA + OTHER)
    assert service.whole(_authority=CA + OTHER)["changed"] is False


def test_a_certificate_for_another_key_is_never_put_in_place(service: Service) -> None:
    before = service.files
    stray = _certificates.sign(
        _certificates.request(_certificates.new_key(), _certificates.Wanted("etcd", ("a",))), CA, CA_KEY, 397
    )
    with pytest.raises(_certificates.CertificateError, match="it belongs to another key"):
        service.half(_certificate=stray)
    assert service.files == before
