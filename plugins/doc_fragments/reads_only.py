# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The attributes of the modules that change nothing."""

from __future__ import annotations


class ModuleDocFragment:
    """What check mode and diff mode are to a module that reads only."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
"""
