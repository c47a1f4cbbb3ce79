#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: wait until queries go through PgBouncer, or say why they do not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgbouncer_health
short_description: Wait until a query goes through PgBouncer, or fail with the reason
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - PgBouncer is healthy when its console answers, it is not paused, and C(SELECT 1) through the pool returns.
  - In check mode it is judged once and the module does not fail.
extends_documentation_fragment:
  - zerospof.temporal.reads_only
  - zerospof.temporal.pgbouncer
options:
  database:
    description: Database for the query.
    type: str
    required: true
  user:
    description: User for the query.
    type: str
    required: true
  password:
    description: Password of O(user).
    type: str
    required: true
  timeout_seconds:
    description: Time that PgBouncer has to become healthy.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Queries go through the pool
  zerospof.temporal.pgbouncer_health:
    database: temporal
    user: temporal
    password: "{{ temporal_secrets.temporal_database }}"
"""

RETURN = r"""
problems:
  description: Why PgBouncer is not healthy; empty when it is.
  returned: always
  type: list
  elements: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _pgbouncer_console


def judge(module: AnsibleModule) -> list[str]:
    """Return why no query goes through now."""
    if module.get_bin_path("psql") is None:
        return ["psql is not installed"]
    code, _, reason = _pgbouncer_console.console(module, "SHOW VERSION")
    if code != 0:
        return [f"its console does not answer: {reason}"]
    # PgBouncer before 1.19 has no SHOW STATE; there a pause shows as a query that does not return.
    code, state, _ = _pgbouncer_console.console(module, "SHOW STATE")
    if code == 0 and "active|yes" not in state.splitlines():
        return ["it is paused; run RESUME (entry point resume)"]
    parameters = module.params
    code, reason = _pgbouncer_console.query(module, parameters["database"], parameters["user"], parameters["password"])
    if code == _pgbouncer_console.TIMED_OUT:
        return [f"a query to {parameters['database']} waits: the pool is paused or reaches no primary"]
    return [] if code == 0 else [f"a query to {parameters['database']} fails: {reason}"]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **_pgbouncer_console.ARGUMENTS,
            "database": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "timeout_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    deadline = time.monotonic() + module.params["timeout_seconds"]
    problems = judge(module)
    while problems and not module.check_mode and time.monotonic() < deadline:
        time.sleep(1)
        problems = judge(module)
    if problems and not module.check_mode:
        module.fail_json(msg=f"PgBouncer: {'; '.join(problems)}", problems=problems)
    module.exit_json(changed=False, problems=problems)


if __name__ == "__main__":
    main()
