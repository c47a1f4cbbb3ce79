"""Delays the packets of hosts in user space, because a kernel need not have the netem queueing discipline.

Each host's wire is taken out of the bridge and a tap device put in its place; this process carries the frames between
the two and holds back those that go towards the host. The virtio header travels with each frame, so checksum and
segmentation offload keep working.
"""

from __future__ import annotations

import collections
import fcntl
import os
import random
import select
import socket
import struct
import time
from dataclasses import dataclass, field

from lab import machine
from lab.network import delayed_port

FRAME = 65_536 + 64
VIRTIO_HEADER = 10
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
ETH_P_ALL = 0x0003
QUEUE = 20_000  # frames; more are dropped as a full switch would


@dataclass
class Line:
    """Frames on their way, in order of arrival, each with the moment it may leave.

    ``delay`` and ``jitter`` are seconds, ``loss`` a share of 1. Frames never overtake each other.
    """

    delay: float
    jitter: float = 0.0
    loss: float = 0.0
    frames: collections.deque[tuple[float, bytes]] = field(default_factory=collections.deque)

    def put(self, frame: bytes, now: float, chance: random.Random) -> None:
        """Take a frame in, or lose it."""
        if len(self.frames) >= QUEUE or (self.loss and chance.random() < self.loss):
            return
        due = now + self.delay + (chance.uniform(-self.jitter, self.jitter) if self.jitter else 0.0)
        last = self.frames[-1][0] if self.frames else 0.0
        self.frames.append((max(due, last), frame))

    def take(self, now: float) -> list[bytes]:
        """Frames whose time has come."""
        ready = []
        while self.frames and self.frames[0][0] <= now:
            ready.append(self.frames.popleft()[1])
        return ready

    def wait(self, now: float) -> float | None:
        """Seconds until the next frame may leave; None when there is none."""
        return max(0.0, self.frames[0][0] - now) if self.frames else None


def open_tap(name: str) -> int:
    """A new tap device that lives as long as this process."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    return tap


def open_wire(name: str) -> socket.socket:
    """A raw socket on a wire that sees only what its host sends."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    wire.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    wire.bind((name, ETH_P_ALL))
    wire.setblocking(False)
    return wire


def relay(bridge: str, ports: list[str], line: Line) -> None:
    """Delay what goes to the hosts behind the ports until this process is ended."""
    chance = random.Random()
    ways: dict[int, tuple[int, Line]] = {}  # file descriptor to read -> where to write, and how late
    sockets = []
    for port in ports:
        tap = open_tap(delayed_port(port))
        machine.run(["ip", "link", "set", port, "nomaster", "arp", "off"])
        wire = open_wire(port)
        sockets.append(wire)
        machine.run(["ip", "link", "set", delayed_port(port), "master", bridge, "up"])
        ways[tap] = (wire.fileno(), Line(line.delay, line.jitter, line.loss))
        ways[wire.fileno()] = (tap, Line(0.0))
    while True:
        now = time.monotonic()
        waits = [wait for _, queue in ways.values() if (wait := queue.wait(now)) is not None]
        readable, _, _ = select.select(list(ways), [], [], min(waits, default=None))
        now = time.monotonic()
        for source in readable:
            queue = ways[source][1]
            for frame in _read(source):
                queue.put(frame, now, chance)
        for target, queue in ways.values():
            for frame in queue.take(now):
                _write(target, frame)


def _read(source: int) -> list[bytes]:
    frames = []
    for _ in range(64):
        try:
            frame = os.read(source, FRAME)
        except OSError:  # nothing more to read, or the host has just died
            break
        if len(frame) > VIRTIO_HEADER:
            frames.append(frame)
    return frames


def _write(target: int, frame: bytes) -> None:
    try:
        os.write(target, frame)
    except OSError:  # a full queue or a dead host loses the frame, as a wire would
        return
