"""How one authority takes the place of another without a moment in which two services do not trust each other.

Three steps, each for the whole cluster: all *trust* both, the new one *signs*, the former one is *finished*. Which of
them is open follows from the files of the control node (``ca.crt``, whose first certificate signs, ``ca.key``, and
``next.crt`` and ``next.key`` of an authority that does not sign yet) and from what every host has and runs with.

Pure functions; nothing here reads or writes a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils import _certificates

STEPS = ("trust", "sign", "finish")
# A service that reads its certificate every minute may present the former one for as long (Temporal, refreshInterval).
SETTLED = timedelta(minutes=2)
TO_BE_MADE = "to be made"


class AuthorityError(Exception):
    """A step is not open; the message says why and what to do."""


def texts(step: str, files: Mapping[str, str]) -> dict[str, str | None]:
    """Return what the files are to hold after ``step``, in the order in which they are to be written.

    ``files``: texts by name, empty for one that is missing; ``None`` in the result for one that is to go. A run that
    died between two of them is completed by the same step.

    Raises:
        AuthorityError: the step is not open.
    """
    bundle, upcoming = _certificates.certificates(files["ca.crt"]), files["next.crt"]
    ids = [_certificates.identity(one) for one in bundle]
    following = _certificates.identity(upcoming) if upcoming else ""
    if not bundle:
        raise AuthorityError("there is no certificate authority yet; site.yml makes one")
    if step == "trust":
        if not following and len(bundle) > 1:
            raise AuthorityError("the new authority signs already; go on with rotate_authority=finish")
        if following and following == ids[0]:
            raise AuthorityError("the new authority is about to sign; go on with rotate_authority=sign")
        return {"ca.crt": "".join([*bundle, *([upcoming] if following not in ids else [])])}
    if step == "sign":
        if not following and len(bundle) == 1:
            raise AuthorityError("there is no new authority yet; begin with rotate_authority=trust")
        if following and following not in ids:
            raise AuthorityError("no host trusts the new authority yet; begin with rotate_authority=trust")
        if not following:
            return {"ca.crt": files["ca.crt"], "next.key": None}
        if not files["next.key"]:
            raise AuthorityError("next.key, the key of next.crt, is missing")
        others = [one for one, name in zip(bundle, ids, strict=True) if name != following]
        return {"ca.crt": "".join([upcoming, *others]), "ca.key": files["next.key"], "next.crt": None, "next.key": None}
    if following:
        raise AuthorityError("the new authority does not sign yet; go on with rotate_authority=sign")
    return {"ca.crt": bundle[0]}


def target(step: str, files: Mapping[str, str]) -> dict[str, Any]:
    """Return ``{signer, trusted}``, the ids of the authorities on every host after ``step``.

    An authority that is still to be made has the id :data:`TO_BE_MADE`. Raises as :func:`texts`.
    """
    after = texts(step, files)["ca.crt"] or ""
    ids = [_certificates.identity(one) for one in _certificates.certificates(after)]
    made = step == "trust" and not files["next.crt"]
    return {"signer": ids[0], "trusted": [*ids, *([TO_BE_MADE] if made else [])]}


def wanting(certificate: Mapping[str, Any], signer: str, trusted: Sequence[str]) -> bool:
    """Tell whether ``certificate`` (of ``certificates_info``) is not what a step makes of it."""
    return certificate["authority_id"] != signer or {one["id"] for one in certificate["trusts"]} != set(trusted)


def problems(
    step: str,
    goal: Mapping[str, Any],
    found: Mapping[str, Sequence[Mapping[str, Any]]],
    left_out: Sequence[str],
    waiting: Mapping[str, Sequence[str]],
    now: datetime | None = None,
) -> list[str]:
    """Return why ``step`` would leave services that do not trust each other.

    ``found``: certificates by host. ``waiting``: by host, the units that have not read the certificates on their disk.
    """
    if left_out:
        return [f"an authority is that of all hosts, and --limit leaves out {', '.join(left_out)}"]
    if step == "trust":
        return []
    before = STEPS[STEPS.index(step) - 1]
    again = f"run it with rotate_authority={before} again"
    told = [
        f"{host}: {unit} does not use the certificates on its disk yet; {again}"
        for host, units in waiting.items()
        for unit in units
    ]
    certificates = [(host, one) for host, ones in found.items() for one in ones]
    if step == "sign":
        done = [one for _, one in certificates if not wanting(one, goal["signer"], goal["trusted"])]
        told += [
            f"{host}: {one['path']} does not go with the new authority; {again}"
            for host, one in certificates
            if goal["signer"] not in {trusted["id"] for trusted in one["trusts"]}
        ]
        # What an earlier run of this step issued is of no concern.
        certificates = [(host, one) for host, one in certificates if one not in done]
    else:
        told += [
            f"{host}: {one['path']} is signed by the former authority; {again}"
            for host, one in certificates
            if one["authority_id"] != goal["signer"]
        ]
        certificates = [(host, one) for host, one in certificates if wanting(one, goal["signer"], goal["trusted"])]
    settled = max((datetime.fromisoformat(one["issued"]) for _, one in certificates), default=None)
    left = settled + SETTLED - (now or datetime.now(UTC)) if settled else timedelta()
    if left > timedelta() and not told:
        seconds = int(left.total_seconds()) + 1
        told.append(f"some services may present their former certificate for another {seconds} s; wait for that long")
    return told
