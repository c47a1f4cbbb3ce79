"""What is wrong with an inventory and its variables, as sentences that say what to do.

Pure: reads ``groups`` and ``hostvars``, talks to no host, and never puts a secret into a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils._cluster import Cluster
from ansible_collections.zerospof.temporal.plugins.module_utils._input_problems import input_problems
from ansible_collections.zerospof.temporal.plugins.module_utils._placement_problems import placement_problems
from ansible_collections.zerospof.temporal.plugins.module_utils._topology import Groups, HostVars, Opening, Tiers


def inventory_problems(
    groups: Groups,
    hostvars: HostVars,
    specs: Mapping[str, Mapping[str, Any]],
    matrix: Sequence[Opening] = (),
    tiers: Tiers | None = None,
) -> list[str]:
    """Return everything that is wrong with the inventory and its variables, one sentence each; empty when it is sound.

    Args:
        groups: names of hosts by group, in inventory order.
        hostvars: variables of each host; a template that could not be resolved is a ``_cluster.Unresolved``.
        specs: argument specification of each role of the collection.
        matrix: the firewall matrix, which knows the ports of each tier.
        tiers: group of each tier that is not played by the group of its own name.
    """
    cluster = Cluster(groups, hostvars, specs, matrix, tiers)
    return list(dict.fromkeys((*placement_problems(cluster), *input_problems(cluster))))
