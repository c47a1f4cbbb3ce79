#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: a build of versioned workers gets its share of the workflows, and loses it when it fails."""

from __future__ import annotations

DOCUMENTATION = r"""
module: worker_rollout
short_description: Bring a build of versioned workers a step further, or take it back
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Gives the build that is rolled out its share of the workflows, watches it for a while, and takes it back when too
    many of its workflows fail, when its workers crash, or when nobody polls for it.
  - Runs on all worker hosts at the same time. One of them leads, which alone brings the build further; each takes it
    back when it finds a reason, and all others see that in the server.
  - The state is in the server. A rollout that was interrupted goes on where it was; a build that was taken back is
    refused until O(again=true).
  - A build is not ramped but becomes current at once where no other worker serves its task queues.
attributes:
  check_mode:
    description: Can run in check mode and return the plan.
    support: full
  diff_mode:
    description: Shows who is current and who ramps.
    support: full
options:
  build:
    description: The build that is rolled out.
    type: str
    required: true
  steps:
    description: Shares in percent, each held in turn; without any the build becomes current at once.
    type: list
    elements: float
    default: [1, 10, 50, 100]
  until:
    description: Go as far as this share and hold it; with more than V(100) until the build is current.
    type: float
    default: 101
  hold_seconds:
    description:
      - How long every share is held.
      - The server takes about a minute to call a workflow stuck, so less than that shows only what fails or crashes.
    type: float
    default: 120
  failed_percent_limit:
    description:
      - Of the workflows that ended on the build since it began, this share may have failed or timed out.
      - A workflow that has got stuck since, because its tasks fail again and again, counts like a failed one.
    type: float
    default: 5
  failed_at_least:
    description: Fewer failed workflows are no reason.
    type: int
    default: 1
  first_only:
    description: Do nothing but make the build current where nobody else serves its task queues.
    type: bool
    default: false
  leads:
    description: Whether this host brings the build further.
    type: bool
    default: true
  again:
    description: Forget why the build was taken back, before other hosts watch it.
    type: bool
    default: false
  units:
    description: Units of the build on this host. One that does not run, or ends by itself again and again, is a reason.
    type: list
    elements: str
    default: []
  patience_seconds:
    description: How long the cluster may not answer, the build be unknown, or the host that leads do nothing.
    type: float
    default: 60
extends_documentation_fragment: [zerospof.temporal.worker_deployment, zerospof.temporal.frontend_tls]
seealso:
  - module: zerospof.temporal.worker_rollback
"""

EXAMPLES = r"""
- name: The build holds 10 % of the workflows
  zerospof.temporal.worker_rollout:
    addresses: ["192.0.2.10:7233"]
    ca_file: /etc/temporal-workers/tls/ca.crt
    cert_file: /etc/temporal-workers/tls/worker.crt
    key_file: /etc/temporal-workers/tls/worker.key
    namespace: production
    deployment: networking
    build: 1.1.0
    until: 10
    units: [temporal-sdk-worker@networking-1.1.0-1.service]
    leads: "{{ inventory_hostname == ansible_play_hosts[0] }}"
  vars:
    ansible_python_interpreter: /opt/zerospof/tools/bin/python
"""

RETURN = r"""
verdict:
  description:
    - V(done) when the build is current, V(held) when it has held what was to be held.
    - V(take back) when this call took it back, or gave the reason for which another host did; V(refuse) when it does
      not ramp and must not.
  returned: success
  type: str
  sample: held
reason:
  description: Why.
  returned: success
  type: str
  sample: it has held what it had
routing:
  description: Builds that are current and that ramp, and the share of the latter.
  returned: success
  type: dict
  sample: {current: 1.0.0, ramping: 1.1.0, percentage: 10}
counts:
  description:
    - How many workflows ended on the build since it began, by status, as the host that leads saw them.
    - V(Stuck) are those whose tasks fail again and again.
  returned: success
  type: dict
  sample: {Completed: 120}
plan:
  description: What will be done when nothing fails.
  returned: in check mode
  type: list
  elements: str
  sample: [give it 1 %, watch it for 120 s, give it everything]
"""

import asyncio
import contextlib
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _frontend, _rollout, _worker_client

# main ends with _frontend.require_library before it is used.
with contextlib.suppress(ImportError):
    from temporalio.service import RPCError

LOOK_SECONDS = 2.0
HELD = "held"
CONFLICT = "conflict token mismatch"


class RolloutError(RuntimeError):
    """The rollout cannot go on; the message says why."""


class Rollout:
    """One call of the module."""

    def __init__(self, module: AnsibleModule) -> None:
        """Take the options; nothing is asked yet."""
        self._module = module
        self._build: str = module.params["build"]
        self._leads: bool = module.params["leads"]
        self._deployment = _worker_client.Deployment(module.params)
        self._wishes = _rollout.Wishes(
            steps=tuple(module.params["steps"]),
            hold_seconds=module.params["hold_seconds"],
            failed_percent_limit=module.params["failed_percent_limit"],
            failed_at_least=module.params["failed_at_least"],
        )
        self._restarts: dict[str, int] = {}
        self.before: _rollout.Routing | None = None
        self.routing = _rollout.Routing(known=False)
        self.counts: dict[str, int] = {}
        self.changed = False

    def _restarts_now(self) -> dict[str, int | None]:
        """Return how often systemd has restarted each unit, ``None`` for one that it does not run."""
        found: dict[str, int | None] = {}
        for unit in self._module.params["units"]:
            _, text, _ = self._module.run_command(["systemctl", "show", "--property=ActiveState,NRestarts", unit])
            values = dict(line.partition("=")[::2] for line in text.splitlines())
            # Between two starts it is activating; one that somebody restarts is deactivating before.
            runs = values.get("ActiveState") in {"active", "activating", "reloading", "deactivating"}
            found[unit] = int(values.get("NRestarts") or 0) if runs else None
        return found

    async def look(self) -> list[str]:
        """Ask the server for the routing, and the leading host for counts; return what is wrong with the workers."""
        self.routing = await self._deployment.routing(self._build)
        self.before = self.before or self.routing
        if not self.routing.known:
            return []
        now = self._restarts_now()
        self._restarts = self._restarts or {unit: number for unit, number in now.items() if number is not None}
        troubles = _rollout.crashes(self._restarts, now)
        if self._leads:
            troubles += await self._deployment.unpolled(self._build, time.time() - _worker_client.POLL_SECONDS)
            if self.routing.ramping == self._build:
                self.counts = await self._deployment.counts(self._build, self.routing.ramping_since)
                self.counts[_rollout.STUCK] = await self._deployment.stuck(self._build) - self.routing.stuck_before
        return troubles

    async def carry_out(self, action: _rollout.Action) -> None:
        """Do what was decided, unless somebody else changed the routing meanwhile: then it has to be looked at anew.

        Raises:
            RolloutError: the server refuses.
        """
        try:
            if action.kind == _rollout.RAMP:
                if self.routing.ramping != self._build:
                    stuck = await self._deployment.stuck(self._build)
                    await self._deployment.note(self._build, {_worker_client.STUCK_BEFORE: stuck})
                await self._deployment.ramp(self._build, action.percentage)
            elif action.kind == _rollout.PROMOTE:
                await self._deployment.promote(self._build)
            elif action.kind == _rollout.TAKE_BACK:
                await self._deployment.take_back(self._build, action.reason)
        except RPCError as error:
            if CONFLICT in error.message:
                return
            if error.status.name in _frontend.TRANSIENT:
                raise
            raise RolloutError(f"the server refuses to {action.kind}: {error.message}") from error
        self.changed = True

    async def run(self) -> _rollout.Action:
        """Look and act until there is nothing left to do; return the last action.

        Raises:
            RolloutError: it cannot go on; the build keeps the share that it has.
        """
        patience = self._module.params["patience_seconds"]
        quiet_since = time.monotonic()
        taking_back: _rollout.Action | None = None
        while True:
            reason = ""
            try:
                troubles = await self.look()
                if taking_back and self._build not in {self.routing.ramping, self.routing.current}:
                    # By this call, or by another host that has read its reason.
                    return taking_back
                if not self.routing.known:
                    reason = f"no worker of build {self._build} has polled yet"
                elif self._module.params["first_only"] and not self.routing.alone:
                    return _rollout.Action(_rollout.WAIT, "somebody serves its task queues")
                else:
                    if self._module.params["again"] and self.routing.taken_back and self._leads:
                        await self._deployment.note(self._build, {_worker_client.TAKEN_BACK: ""})
                        self.changed = True
                        continue
                    action = _rollout.decide(
                        self._build, self.routing, self.counts, troubles, self._wishes, time.time()
                    )
                    if action.kind == _rollout.TAKE_BACK:
                        taking_back = action
                        await self.carry_out(action)
                        continue
                    if troubles and action.reason == "; ".join(troubles) and not self._module.params["first_only"]:
                        # Before the host that leads gives it a share: nobody would watch here any more.
                        await self._deployment.note(self._build, {_worker_client.TAKEN_BACK: action.reason})
                        self.changed = True
                    if action.kind in _rollout.FINAL or not _rollout.within(action, self._module.params["until"]):
                        return action
                    if action.kind == _rollout.WAIT:
                        quiet_since = time.monotonic()
                    elif self._leads:
                        await self.carry_out(action)
                        quiet_since = time.monotonic()
                        continue
                    else:
                        reason = "the host that leads does nothing"
            except (RPCError, _worker_client.UnreachableError, TimeoutError) as error:
                self._deployment.forget()
                reason = f"the cluster does not answer: {error}"
            if reason and time.monotonic() - quiet_since > patience:
                raise RolloutError(f"for {patience:g} s {reason}; nothing is taken back, and the next run goes on here")
            await asyncio.sleep(LOOK_SECONDS)

    async def plan(self) -> tuple[list[str], bool]:
        """Return in words what would be done, and whether that is anything."""
        await self.look()
        now = time.time()
        # Workers that do not run are what the plays before see to.
        first = _rollout.decide(self._build, self.routing, self.counts, [], self._wishes, now)
        if first.kind in {_rollout.DONE, _rollout.REFUSE}:
            return [f"nothing: {first.reason}"], False
        if first.kind == _rollout.TAKE_BACK:
            return [f"take it back: {first.reason}"], True
        lines = _rollout.plan(self._build, self.routing, self._wishes, now)
        if not self.routing.known and not self.routing.current:
            lines.insert(0, "make it current at once, where nobody else serves its task queues, and otherwise")
        return lines, True


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_worker_client.DEPLOYMENT_ARGUMENTS,
            "build": {"type": "str", "required": True},
            "steps": {"type": "list", "elements": "float", "default": [1, 10, 50, 100]},
            "until": {"type": "float", "default": 101},
            "hold_seconds": {"type": "float", "default": 120},
            "failed_percent_limit": {"type": "float", "default": 5},
            "failed_at_least": {"type": "int", "default": 1},
            "first_only": {"type": "bool", "default": False},
            "leads": {"type": "bool", "default": True},
            "again": {"type": "bool", "default": False},
            "units": {"type": "list", "elements": "str", "default": []},
            "patience_seconds": {"type": "float", "default": 60},
        },
        required_together=_frontend.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    _frontend.require_library(module)
    name = f"worker deployment {module.params['deployment']}"
    rollout = Rollout(module)
    try:
        if module.check_mode:
            plan, changed = asyncio.run(rollout.plan())
            module.exit_json(changed=changed, plan=plan, routing=_worker_client.shown(rollout.routing))
        action = asyncio.run(rollout.run())
    except (OSError, RuntimeError, RPCError) as error:
        module.fail_json(
            msg=f"{name}, build {module.params['build']}: {error}", routing=_worker_client.shown(rollout.routing)
        )
    module.exit_json(
        changed=rollout.changed,
        verdict=action.kind if action.kind in _rollout.FINAL else HELD,
        reason=action.reason,
        routing=_worker_client.shown(rollout.routing),
        counts=rollout.counts,
        diff=_worker_client.difference(rollout.before or rollout.routing, rollout.routing, name),
    )


if __name__ == "__main__":
    main()
