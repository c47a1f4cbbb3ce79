#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Documentation of the action ``show_text``, which does the work on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: show_text
short_description: Show text to the person who runs the playbook
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Prints text of several lines as it is, where M(ansible.builtin.debug) would quote it or fold its lines.
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
options:
  text:
    description: The text.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: The table is shown
  zerospof.temporal.show_text:
    text: "{{ report | zerospof.temporal.spof_report_text }}"
"""

RETURN = r"""
lines:
  description: Number of lines that were shown.
  returned: always
  type: int
  sample: 24
"""
