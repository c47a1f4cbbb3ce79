"""A ring is complete when it holds exactly the hosts of the inventory, and every finding is named."""

from __future__ import annotations

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _ring

MEMBERS = [{"name": "temporal-a", "address": "127.0.1.1"}, {"name": "temporal-b", "address": "127.0.1.2"}]
PORTS = {"frontend": 7233, "history": 7234, "matching": 7235, "worker": 7239}

# tdbg 1.31.2 while the worker service of 127.0.1.1 was down.
GOSSIP = """[
  {
    "role": "frontend",
    "member_count": 2,
    "members": [
      {
        "identity": "127.0.1.2:7233"
      },
      {
        "identity": "127.0.1.1:7233"
      }
    ]
  },
  {
    "role": "history",
    "member_count": 2,
    "members": [
      {
        "identity": "127.0.1.1:7234"
      },
      {
        "identity": "127.0.1.2:7234"
      }
    ]
  },
  {
    "role": "matching",
    "member_count": 2,
    "members": [
      {
        "identity": "127.0.1.2:7235"
      },
      {
        "identity": "127.0.1.1:7235"
      }
    ]
  },
  {
    "role": "worker",
    "member_count": 1,
    "members": [
      {
        "identity": "127.0.1.2:7239"
      }
    ]
  }
]
"""
REFUSED = (
    'Error: unable to describe Cluster: rpc error: code = Unavailable desc = connection error: desc = "transport: Error'
    ' while dialing: dial tcp 127.0.1.9:7233: connect: connection refused"\n'
    "('export TEMPORAL_CLI_SHOW_STACKS=1' to see stack traces)\n"
)


def test_the_output_of_tdbg_is_read() -> None:
    rings = _ring.parse_gossip(GOSSIP)
    assert rings["history"] == ["127.0.1.1:7234", "127.0.1.2:7234"]
    assert rings["worker"] == ["127.0.1.2:7239"]


def test_a_ring_without_members_is_empty_and_not_an_error() -> None:
    assert _ring.parse_gossip('[{"role": "worker"}]') == {"worker": []}


def test_a_missing_service_is_named_with_its_host() -> None:
    problems = _ring.judge(_ring.parse_gossip(GOSSIP), MEMBERS, PORTS)
    assert problems == ["worker: temporal-a (127.0.1.1:7239) is missing; seen: 1, expected: 2"]


def test_a_complete_ring_has_no_problems() -> None:
    ports = {service: port for service, port in PORTS.items() if service != "worker"}
    assert _ring.judge(_ring.parse_gossip(GOSSIP), MEMBERS, ports) == []


def test_a_server_that_formed_a_ring_of_its_own_misses_the_others() -> None:
    rings = {"history": ["127.0.1.2:7234"]}
    assert _ring.judge(rings, MEMBERS, {"history": 7234}) == [
        "history: temporal-a (127.0.1.1:7234) is missing; seen: 1, expected: 2"
    ]


def test_a_host_that_left_the_inventory_but_not_the_ring_is_found() -> None:
    rings = {"history": ["127.0.1.1:7234", "127.0.1.2:7234", "127.0.1.3:7234"]}
    assert _ring.judge(rings, MEMBERS, {"history": 7234}) == [
        "history: 127.0.1.3:7234 is not a member of this cluster; seen: 3, expected: 2"
    ]


def test_a_service_that_the_frontend_does_not_know_is_missing_everywhere() -> None:
    assert len(_ring.judge({}, MEMBERS, {"internal-frontend": 7236})) == len(MEMBERS)


def test_ipv6_members_are_written_with_brackets() -> None:
    members = [{"name": "a", "address": "2001:db8::1"}]
    assert _ring.judge({"history": ["[2001:db8::1]:7234"]}, members, {"history": 7234}) == []


@pytest.mark.parametrize("text", ["", "no json", '{"role": 1}', "[1]", '[{"members": []}]'])
def test_anything_else_is_an_error_that_shows_what_was_printed(text: str) -> None:
    with pytest.raises(_ring.GossipError, match="tdbg did not print a list of rings"):
        _ring.parse_gossip(text)


def test_the_reason_of_a_failure_is_the_error_and_not_the_hint() -> None:
    assert _ring.reason_of(REFUSED).startswith("unable to describe Cluster")
    assert "stack" not in _ring.reason_of(REFUSED)
    assert _ring.reason_of("") == "it gave no reason"
