"""The ring of Cassandra: how a node comes into it, and whether it is whole.

Pure functions; nothing here runs a command.

* A *member* is ``{name, address, zone}`` with an optional ``rack``, in inventory order.
* A *ring* is the list of :class:`RingNode` that ``nodetool status`` shows on a node of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.zerospof.temporal.plugins.module_utils._text import listed

Member = Mapping[str, Any]

# What a node does at its next start.
STAY = "stay"
FOUND = "found"
JOIN = "join"
REPLACE = "replace"

STATES = {"J": "joining", "L": "leaving", "M": "moving"}

# Where a node keeps, on the disk of the system, which nodes its ring had: __cassandra_state of the role.
RING_RECORD = "/var/lib/zerospof/cassandra/ring"

TOPOLOGY_STRATEGY = "org.apache.cassandra.locator.NetworkTopologyStrategy"
THE_RING = "*"
"""Where other rows of the table of repairs have the name of a node, this one tells the latest change of the ring."""
TOKENS = 2**64
FIRST_TOKEN = -(2**63)
# Racks with different numbers of nodes can meet at the same place; this much room lets each rack have a token there.
GRAIN = 1024

# With three copies on fewer racks, one of them holds a majority of the copies of some range.
LEAST_RACKS = 3

LEAST_HEAP_MEGABYTES = 1024
# A larger heap costs pauses and takes memory from the page cache.
LARGEST_HEAP_MEGABYTES = 16384

# Where no node has more than one token, its value stands behind the host id instead of their number before it.
_STATUS_LINE = re.compile(
    r"^Datacenter: (?P<datacenter>\S+)"
    r"|^(?P<up>[UD?])(?P<state>[NLJMRS])\s+(?P<address>[0-9a-fA-F.:]+)\s.*?(\s(?P<tokens>\d+))?\s+\S+"
    r"\s+(?P<host_id>[0-9a-f-]{36})(?P<token>\s+-?\d+)?\s+(?P<rack>\S+)\s*$",
    re.MULTILINE,
)


class RefusalError(ValueError):
    """The node must not start in this way; the message says why and what to do."""


@dataclass(frozen=True)
class RingNode:
    """One node as another sees it. ``state``: ``N`` normal, ``J`` joining, ``L`` leaving, ``M`` moving.

    ``host_id``: what the node calls itself for as long as it is in the ring; one that comes back is another.
    ``tokens``: how many it has.
    """

    address: str
    is_up: bool
    state: str
    rack: str
    host_id: str = ""
    datacenter: str = ""
    tokens: int = 1

    @property
    def is_settled(self) -> bool:
        """Whether it is up and neither on its way in nor out."""
        return self.is_up and self.state == "N"


def parse_status(text: str) -> list[RingNode]:
    """Return the nodes in the output of ``nodetool status``."""
    nodes = []
    datacenter = ""
    for match in _STATUS_LINE.finditer(text):
        if match["datacenter"]:
            datacenter = match["datacenter"]
            continue
        tokens = int(match["tokens"] or 1)
        nodes.append(
            RingNode(
                match["address"],
                match["up"] == "U",
                match["state"],
                match["rack"],
                match["host_id"],
                datacenter,
                tokens,
            )
        )
    return nodes


def down_addresses(statuses: Sequence[str]) -> list[str]:
    """Return the addresses of the nodes that do not live, by most of the outputs of ``nodetool status``.

    A node that is cut off from the others answers whoever asks it, and takes itself for the only one that lives.
    """
    views = [{node.address: node.is_up for node in parse_status(text)} for text in statuses]
    addresses = dict.fromkeys(address for view in views for address in view)
    return [address for address in addresses if sum(view.get(address) is False for view in views) > len(views) / 2]


def rack_of(member: Member) -> str:
    """Return the rack of a member: its zone unless it has one of its own."""
    return str(member.get("rack") or member["zone"])


def with_racks(members: Sequence[Member], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the members, those whose host has ``cassandra_rack`` with that rack."""
    racks = {str(member["name"]): hostvars[member["name"]].get("cassandra_rack") for member in members}
    return [{**member, **({"rack": rack} if (rack := racks[str(member["name"])]) else {})} for member in members]


def seeds(members: Sequence[Member], without: str = "") -> list[str]:
    """Return the addresses of the nodes that others ask when they come: the first of each zone, by name of the zone.

    With a zone down, the others still know where to ask. Nodes that come behind the first of their zone change nothing;
    when the first leaves, the next is the seed. A single zone has its second node as well, for when the first is down.

    ``without``: address of a node that joins. A seed would not copy the data that it shall serve, so it is none of its
    own; where it would be the seed of its zone, the next node there is.
    """
    zones: dict[str, list[str]] = {}
    for member in members:
        if str(member["address"]) != without:
            zones.setdefault(str(member["zone"]), []).append(str(member["address"]))
    return [address for zone in sorted(zones) for address in zones[zone][: 2 if len(zones) == 1 else 1]]


def founding_tokens(members: Sequence[Member], tokens_per_node: int) -> dict[str, list[int]]:
    """Return the tokens with which each member founds the ring, by its name.

    The tokens of a rack divide the ring evenly and go to its nodes in turn: with one copy per rack every node of a rack
    holds the same share. The racks are shifted against each other, so that the copies of a range are spread.
    """
    racks: dict[str, list[str]] = {}
    for member in members:
        racks.setdefault(rack_of(member), []).append(str(member["name"]))
    found: dict[str, list[int]] = {str(member["name"]): [] for member in members}
    for index, names in enumerate(racks.values()):
        count = tokens_per_node * len(names)
        for position in range(count):
            place = TOKENS * (position * len(racks) + index) // (count * len(racks))
            found[names[position % len(names)]].append(FIRST_TOKEN + place // GRAIN * GRAIN + index)
    return found


def plan(
    name: str,
    address: str,
    *,
    has_data: bool,
    is_unfinished: bool,
    established: Sequence[str],
    ring: Sequence[RingNode] | None,
    has_commit_log: bool = False,
    was_in_ring: bool = False,
) -> str:
    """Decide how the node ``name`` starts: one of ``stay``, ``found``, ``join`` and ``replace``.

    ``has_data``: the node has system tables. ``is_unfinished``: it was told how to start and has not served since.
    ``established``: other nodes that may hold the data of a ring, because they have some or were not looked at.
    ``ring``: what an established node shows of the ring; ``None`` when none answers.
    ``has_commit_log``: there are segments of a commit log. Those of a lost node would be replayed, its own system
    tables with them: it would believe that it has its data and serve without.
    ``was_in_ring``: the host, outside of the directory of the data, has a record of a ring that its node was in.

    Raises:
        RefusalError: a ring exists but does not answer, a node of it is down or on its way, it has a live node with
            this address, a commit log is left of lost data, or the data of a whole ring are out of sight. A second
            ring, or a node that misses data, would be the result.
    """
    if has_data and not is_unfinished:
        return STAY
    if has_commit_log and not has_data and not is_unfinished:
        raise RefusalError(
            f"cassandra on {name}: it has a commit log but no data; mount the disk of its data or, when they are lost, "
            "empty the directory of the commit log, and run again"
        )
    if not established:
        if was_in_ring:
            raise RefusalError(
                f"cassandra on {name}: it was in a ring whose data no node has now, and a new ring would begin with "
                f"nothing; mount the disks of the data or, when all are lost, delete {RING_RECORD} on every node, and "
                "run again"
            )
        return FOUND
    if ring is None:
        raise RefusalError(
            f"cassandra on {name}: it has no data and no node of the ring answers, while {', '.join(established)} may "
            "hold the data of the ring; start Cassandra there, and run on all nodes"
        )
    mine = next((node for node in ring if node.address == address), None)
    if mine is not None and (mine.is_up or has_data):
        if is_unfinished:
            return STAY
        raise RefusalError(
            f"cassandra on {name}: it has no data, but the ring has a live node with its address {address}; stop that "
            "one, or correct temporal_address"
        )
    away = [node for node in ring if node is not mine and not node.is_settled]
    if away:
        raise RefusalError(
            f"cassandra on {name}: it would {'replace its dead self' if mine else 'join'} now, but "
            f"{', '.join(node.address for node in away)} is down or not settled, and data could be missed; wait for it "
            "or repair it first"
        )
    return REPLACE if mine else JOIN


def ring_problems(members: Sequence[Member], ring: Sequence[RingNode], schemas: Mapping[str, str]) -> list[str]:
    """Return why the ring, as one node shows it, is not the whole ring of the inventory; empty when it is.

    ``schemas`` has the version of the schema by address.
    """
    seen = {node.address: node for node in ring}
    found = []
    for member in members:
        node = seen.pop(str(member["address"]), None)
        if node is None:
            found.append(f"{member['name']} is in the inventory but not in the ring")
        elif not node.is_up:
            found.append(f"{member['name']} is down")
        elif node.state != "N":
            found.append(f"{member['name']} is {STATES.get(node.state, node.state)}")
        elif node.rack != rack_of(member):
            found.append(
                f"{member['name']} is in rack {node.rack} of the ring and in {rack_of(member)} of the inventory"
            )
    found += [f"{address} is in the ring but not in the inventory" for address in sorted(seen)]
    if len(set(schemas.values())) > 1:
        found.append(f"the nodes disagree on the schema: {dict(sorted(schemas.items()))}")
    return found


def replication_problem(factor: int, nodes: Sequence[str], racks: Collection[str], *, zones: int | None = None) -> str:
    """Return why the nodes cannot hold ``factor`` copies of every row, empty when they can.

    ``racks``: those that the nodes are in. ``zones``: the zones of the cluster, where others tell of too few of them.
    """
    name = f"cassandra_replication_factor: {factor}"
    if factor > len(nodes):
        return f"{name}, but there are {len(nodes)} nodes ({listed(nodes)}); add nodes or lower the factor"
    used = sorted(set(racks))
    if factor >= LEAST_RACKS > len(used) and (zones is None or zones >= LEAST_RACKS):
        return (
            f"{name}, but the nodes are in {len(used)} racks ({', '.join(used)}): without one of "
            f"them ranges have no quorum; put nodes into {LEAST_RACKS} az_* groups"
        )
    return ""


def lifelong_problems(member: Member, datacenter: str, tokens_per_node: int, ring: Sequence[RingNode]) -> list[str]:
    """Return what the settings of ``member`` would change of its node in the ``ring`` that is fixed for its life.

    Cassandra checks it at its start and ends: what is written now would be noticed at the next restart.
    """
    node = next((node for node in ring if node.address == str(member["address"])), None)
    if node is None or node.state != "N":
        return []
    name, rack = member["name"], rack_of(member)
    found = []
    if node.tokens != tokens_per_node:
        found.append(
            f"cassandra_tokens_per_node: {tokens_per_node}, but {name} has {node.tokens} in the live ring, and a node "
            f"keeps its number; set {node.tokens} again"
        )
    if node.datacenter != datacenter:
        found.append(
            f"cassandra_datacenter: {datacenter}, but {name} is in {node.datacenter} in the live ring, and all data "
            f"are placed by that name; set {node.datacenter} again"
        )
    if node.rack != rack:
        found.append(
            f"cassandra_rack: {rack}, but {name} is in {node.rack} in the live ring, and a node never changes its "
            f"rack; set cassandra_rack: {node.rack} for the host, or take it out of the ring first (scale_in.yml)"
        )
    return found


def check_leaving(name: str, address: str, ring: Sequence[RingNode], copies: Mapping[str, int]) -> None:
    """Refuse that the node ``name`` leaves the ring when its data would not be as safe without it.

    ``copies``: by keyspace, how often its rows are kept.

    Raises:
        RefusalError: too few nodes or racks would be left for the copies, or another node is down or on its way.
    """
    rest = [node for node in ring if node.address != address]
    keyspace, needed = max(copies.items(), key=lambda item: item[1])
    kept = f"keyspace {keyspace} is kept {needed} times"
    away = [node.address for node in rest if not node.is_settled]
    if away:
        raise RefusalError(
            f"cassandra on {name}: it would leave now, but {', '.join(away)} is down or not settled, and copies that "
            "only this node has would be lost; wait for it or repair it first"
        )
    if len(rest) < needed:
        raise RefusalError(f"cassandra on {name}: {len(rest)} nodes would be left, but {kept}; add a node first")
    mine = {node.rack for node in ring if node.address == address}
    racks = {node.rack for node in rest}
    if mine - racks and len(racks) < needed:
        raise RefusalError(
            f"cassandra on {name}: it is the last node of rack {', '.join(mine)}, {len(racks)} racks would be left, "
            f"and {kept}; add a node to that rack first"
        )


def newcomers(recorded: Collection[str] | None, ring: Sequence[RingNode], address: str) -> list[str]:
    """Return the addresses of the nodes that came since the node ``address`` last gave up what it need not hold.

    ``recorded``: host ids of the ring at that time, ``None`` when nobody knows.

    Raises:
        RefusalError: a node is down or on its way; what it holds must not be given up elsewhere.
    """
    away = [node.address for node in ring if not node.is_settled]
    if away:
        raise RefusalError(
            f"cassandra on {address}: nothing is given up while {', '.join(away)} is down or not settled; wait for it"
        )
    return [node.address for node in ring if node.address != address and node.host_id not in (recorded or ())]


def heap_megabytes(memory_megabytes: int, wanted: int = 0) -> int:
    """Return the heap of a node in MiB: what is ``wanted``, else a quarter of the memory within sensible bounds."""
    return wanted or min(max(memory_megabytes // 4, LEAST_HEAP_MEGABYTES), LARGEST_HEAP_MEGABYTES)


def refuses_login(reason: str) -> bool:
    """Tell whether the ring knows that a login is wrong, from what the driver says of it.

    To the driver every error that comes while it logs in is a refusal, also that of a node which had no answer from
    those that hold its users. Only Cassandra's code for bad credentials is one, and not where it could not look:
    ``PasswordAuthenticator`` and ``ClientState`` of Cassandra 5.0 begin with these words then.
    """
    return "code=0100" in reason and "Unable to perform authentication" not in reason


def replication(copies: Mapping[str, int]) -> dict[str, str]:
    """Return what ``system_schema.keyspaces`` holds of a keyspace with so many ``copies`` by data centre."""
    return {"class": TOPOLOGY_STRATEGY} | {name: str(number) for name, number in copies.items()}


def keeps_rows_by_topology(replication: Mapping[str, str]) -> bool:
    """Tell whether ``replication`` is one that :func:`replication` gives; that of a new ring is another."""
    return replication.get("class") == TOPOLOGY_STRATEGY


def copies_problems(
    wanted: Mapping[str, Mapping[str, int]], present: Mapping[str, Mapping[str, str]], due: Sequence[str]
) -> list[str]:
    """Return which copies of rows there are too few of, or are not filled yet; empty when all are as they are to be.

    ``wanted``: copies by data centre, by keyspace. ``present``: the replication of every keyspace of the ring. ``due``:
    nodes that have not repaired since copies were last added or taken away.
    """
    names: dict[str, list[str]] = {}
    for name, copies in sorted(wanted.items()):
        kept = present.get(name, {})
        if kept and not keeps_rows_by_topology(kept):
            names.setdefault("copies without regard to racks", []).append(name)
            continue
        for centre, number in sorted(copies.items()):
            if int(kept.get(centre, 0)) < int(number):
                names.setdefault(f"{kept.get(centre, 0)} instead of {number} copies in {centre}", []).append(name)
    found = [f"{fault}: {', '.join(keyspaces)}; site.yml mends that" for fault, keyspaces in names.items()]
    if due:
        found.append(f"{listed(due)} did not repair after copies were added or taken away; site.yml does")
    return found


def next_replication(present: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the replication that a keyspace gets next on its way from ``present`` to ``wanted``.

    One copy more or less in each data centre: then a quorum of the copies of before and one of those of after have a
    node in common, so nobody misses what was acknowledged, though the new copies are not filled yet. Two at a time do
    not: with three copies two nodes acknowledge a write, and of five, three others are a quorum. Every node has to
    repair before the next step.
    """

    def step(name: str) -> str:
        before, after = int(present.get(name, 0)), int(wanted.get(name, 0))
        return str(before + (after > before) - (after < before))

    centres = sorted((present.keys() | wanted.keys()) - {"class"})
    steps = {name: step(name) for name in centres}
    return {"class": TOPOLOGY_STRATEGY} | {name: copies for name, copies in steps.items() if copies != "0"}


def unrepaired(nodes: Sequence[str], repaired: Mapping[str, str]) -> list[str]:
    """Return which ``nodes`` have not repaired since copies were last added or taken away.

    ``repaired``: the change after which each has, by name, and that of the ring by :data:`THE_RING`.
    """
    latest = repaired.get(THE_RING, "")
    return [name for name in sorted(nodes) if latest and repaired.get(name) != latest]
