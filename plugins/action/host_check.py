# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Action of the module ``host_check``: adds what only the control node can tell, the clock and the way to the host."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.zerospof.temporal.plugins.module_utils import _host


class ActionModule(ActionBase):
    """Run the module and judge how its answer came."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of the module; a host that gives none has that as its problem."""
        result = super().run(tmp, task_vars)
        limit = float(self._task.args.get("clock_skew_seconds", 1))
        before = time.time()
        try:
            found = self._execute_module(task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            found = {"failed": True, "msg": f"cannot be reached: {' '.join(str(error).split())}"}
        after = time.time()
        if "problems" not in found:
            reason = (found.get("msg") or "it gave no answer").rstrip(". ")
            lead = "" if reason.startswith("cannot be reached") else "cannot be checked: "
            advice = "see that it is up and that ansible_host, ansible_user and the key are right"
            return {**result, **_without_answer(f"{lead}{reason}; {advice}")}
        skew = _host.clock_skew(found["time"], before, after)
        if abs(skew) > limit:
            direction = "ahead of" if skew > 0 else "behind"
            found["problems"].append(
                f"its clock is at least {abs(skew):.1f} s {direction} the control node's, {limit:g} s are allowed; "
                "synchronise both (chronyc makestep)"
            )
        return {**result, **found}


def _without_answer(problem: str) -> dict[str, Any]:
    return {"changed": False, "problems": [problem], "notes": [], "system": "", "holds_vip": False, "vip_answer": ""}
