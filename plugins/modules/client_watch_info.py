#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Ansible module: what a client that watches the cluster has seen until now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: client_watch_info
short_description: Tell what a client that watches the cluster has seen until now
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Reads the log of M(zerospof.temporal.client_watch), and lets the client know that somebody does.
extends_documentation_fragment: zerospof.temporal.reads_only
options:
  path:
    description: The log.
    type: path
    required: true
  last:
    description: Nobody will ask again, so that the client ends.
    type: bool
    default: false
seealso:
  - module: zerospof.temporal.client_watch
"""

EXAMPLES = r"""
- name: What a client has seen until now is known
  zerospof.temporal.client_watch_info:
    path: /run/zerospof-watch.log
  register: seen
"""

RETURN = r"""
watching:
  description: Whether there is a client. Without one, there is nothing else.
  returned: always
  type: bool
calls:
  description: How many workflows it began to start, and was told what became of them.
  returned: when there is a client
  type: int
  sample: 240
failed:
  description: How many of them were refused or got no answer.
  returned: when there is a client
  type: int
  sample: 0
errors:
  description: How often the client was told each error.
  returned: when there is a client
  type: dict
  sample: {}
longest_gap:
  description: The longest time without a success, in seconds, until now.
  returned: when there is a client
  type: float
  sample: 0.6
gap_began:
  description: When that began, in seconds of the epoch.
  returned: when there is a client
  type: float
text:
  description: The same for people; empty without a client.
  returned: always
  type: str
"""

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zerospof.temporal.plugins.module_utils import _watch


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}, "last": {"type": "bool", "default": False}},
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    log = _watch.read(path)
    if not module.check_mode:
        # What a client has left that died is nobody's.
        (_watch.end if module.params["last"] or log is None else _watch.touch)(path)
    if log is None:
        module.exit_json(changed=False, watching=False, text="")
    module.exit_json(changed=False, watching=True, **_watch.seen(_watch.calls_of(log), time.time()))


if __name__ == "__main__":
    main()
