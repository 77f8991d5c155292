"""`python -m shoal.wire.relay`: the wires between the hosts of `wire.network`.

Each host has one TUN device whose other end is here. A packet that comes out of one is due at another when its
hops let it through: each holds it back to the medium's rate, then adds the latency, which limits nothing. Some
get lost. Rates count payload only, as fleets state them and as they are measured; so headers and bare
acknowledgements take no room on a medium. It ends when its stdin does.
"""

from __future__ import annotations

import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from pathlib import Path

from shoal import codec
from shoal.program import Hop
from shoal.wire.network import TUN, Wiring, address_of, unshare
from shoal.wire.waking import Lead

DEVICE = "wire"
LARGEST, SMALLEST = 65_000, 1500  # bytes of a packet
PACKET_S = 0.0005  # what a full packet should take on the slowest medium, if it can
MOST_KEPT = 2048  # packets of one host under way; more wait in its device
AT_ONCE = 16  # packets read in a row
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_TCP, _UDP = 6, 17
_TBF_S = 0.004  # of the rate: the most that tbf lets through at once


class Relay:
    """Packets under way between devices, by the number of their host."""

    def __init__(self, wiring: Wiring, devices: list[int]) -> None:
        numbers = {name: number for number, name in enumerate(wiring.hosts)}
        self._devices = devices
        self._loss = 0.0  # until told
        self._losses: dict[int, float] = {}  # by host: of packets to it and from it
        self._parted: dict[
            str, bool
        ] = {}  # "ONE-OTHER", the lower number first: nothing gets from one to the other
        self._slower: dict[int, float] = {}  # by host: how many times longer its packets take a medium
        self._hops: dict[tuple[int, int], tuple[Hop, ...]] = {}
        for way, hops in wiring.ways.items():
            source, _, target = way.partition(">")
            self._hops[numbers[source], numbers[target]] = hops
        self._random = random.Random(wiring.seed)  # a simulated loss is no secret
        self._limited = not wiring.by_kernel
        self._free_s: dict[str, float] = {}
        self._under_way: list[tuple[float, int, int, int, bytes]] = []  # due, order, source, target, packet
        self._kept = [0] * len(devices)
        self._count = 0
        self._words = b""
        self._lead = Lead()
        self._own_s = 0.0  # what the ways through kernel and select take, on top of every latency

    def run(self, tie: int) -> None:
        """Relay until `tie` ends; a line on it says what gets lost or slower, or what relaying itself takes."""
        while True:
            open_ones = [device for number, device in enumerate(self._devices) if self._kept[number] < MOST_KEPT]
            timeout_s = None
            if self._under_way:
                timeout_s = max(0.0, self._under_way[0][0] - self._lead.seconds - time.monotonic())
            readable, _, _ = select.select([tie, *open_ones], [], [], timeout_s)
            if tie in readable:
                if not self._heard(os.read(tie, 4096)):
                    return
                continue
            if timeout_s and not readable:
                self._lead.woke(time.monotonic() - self._under_way[0][0])
            for device in readable:
                self._take_in(self._devices.index(device))
            self._pass_on()

    def _heard(self, data: bytes) -> bool:
        """Obey the lines that have come; False at the end."""
        *lines, self._words = (self._words + data).split(b"\n")
        for line in lines:
            told = json.loads(line)
            self._own_s, self._loss = told.get("own_s", self._own_s), told.get("loss", self._loss)
            self._losses |= {int(host): each for host, each in told.get("losses", {}).items()}
            self._parted |= told.get("parted", {})
            self._slower |= {int(host): each for host, each in told.get("slower", {}).items()}
        return bool(data)

    def _take_in(self, source: int) -> None:
        now_s = time.monotonic()
        for _ in range(AT_ONCE):
            try:
                packet = os.read(self._devices[source], 1 << 16)
            except BlockingIOError:
                return
            target = packet[19] - 1 if packet[0] >> 4 == 4 else -1  # the last byte of the IPv4 address
            hops = self._hops.get((source, target))
            if self._losses and self._cut_off(source, target):
                continue
            if self._parted.get(f"{min(source, target)}-{max(source, target)}"):
                continue
            times = max(self._slower.get(source, 1.0), self._slower.get(target, 1.0))
            size = payload_bytes(packet) * times
            if hops is not None and (due_s := self._due_s(hops, size, now_s)) is not None:
                heapq.heappush(self._under_way, (due_s, self._count, source, target, packet))
                self._count += 1
                self._kept[source] += 1

    def _cut_off(self, source: int, target: int) -> bool:
        """Whether a packet gets lost at one of its ends."""
        lost = (self._losses.get(end, 0.0) for end in (source, target))
        return any(each and self._random.random() < each for each in lost)

    def _due_s(self, hops: tuple[Hop, ...], size: float, now_s: float) -> float | None:
        """When a packet of so much payload is there; None if it gets lost, having taken its room all the same."""
        for hop in hops:
            if self._limited:
                now_s = max(now_s, self._free_s.get(hop.medium, 0.0)) + size / hop.bytes_per_s
                self._free_s[hop.medium] = now_s
            now_s += hop.latency_s
            if self._loss and self._random.random() < self._loss:
                return None
        return now_s - self._own_s

    def _pass_on(self) -> None:
        until_s = time.monotonic() + self._lead.seconds
        while self._under_way and self._under_way[0][0] <= until_s:
            _, _, source, target, packet = heapq.heappop(self._under_way)
            self._kept[source] -= 1
            try:
                os.write(self._devices[target], packet)
            except OSError:  # as on any wire: what cannot be taken is lost
                continue


def payload_bytes(packet: bytes) -> int:
    """What an IPv4 packet carries behind its TCP or UDP header."""
    start = (packet[0] & 15) * 4
    if packet[9] == _TCP:
        start += (packet[start + 12] >> 4) * 4
    elif packet[9] == _UDP:
        start += 8
    return max(0, len(packet) - start)


def mtu_bytes(wiring: Wiring) -> int:
    """Longest packet: long ones spare work, but a slow medium sends a long one late."""
    slowest = min((hop.bytes_per_s for hops in wiring.ways.values() for hop in hops), default=1e9)
    return int(min(LARGEST, max(SMALLEST, slowest * PACKET_S)))


def _open(wiring: Wiring, number: int) -> tuple[int, int]:
    """A new namespace with a device and an address: handles of both."""
    namespace = unshare()
    device = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    for name, value in (("ipv6/conf/all/disable_ipv6", "1"), ("ipv4/tcp_congestion_control", "cubic")):
        _set(name, value)
    _set("ipv4/tcp_slow_start_after_idle", "0")  # as between computers that talk all the time
    mtu = mtu_bytes(wiring)
    _ip("addr", "add", f"{address_of(number)}/24", "dev", DEVICE)
    _ip("link", "set", DEVICE, "mtu", str(mtu), "up")
    _ip("link", "set", "lo", "up")
    rates = {
        hop.bytes_per_s
        for way, hops in wiring.ways.items()
        if way.partition(">")[0] == wiring.hosts[number]
        for hop in hops
    }
    if wiring.by_kernel and rates:
        _limit(rates.pop() * mtu / (mtu - 52), mtu)  # tbf counts headers too: IP 20, TCP 32
    return namespace, device


def _limit(bytes_per_s: float, mtu: int) -> None:
    burst = max(2 * mtu, int(bytes_per_s * _TBF_S))
    queue = max(1 << 22, int(bytes_per_s))
    rate = f"{round(bytes_per_s * 8)}bit"
    _run(
        ["tc", "qdisc", "add", "dev", DEVICE, "root", "tbf", "rate", rate, "burst", str(burst), "limit", str(queue)]
    )


def _set(name: str, value: str) -> None:
    place = Path("/proc/sys/net") / name
    if place.exists():
        try:
            place.write_text(value)
        except OSError:  # not every kernel has every congestion control
            return


def _ip(*words: str) -> None:
    _run(["ip", *words])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command[:3])}: {done.stderr.strip()}")


def main() -> int:
    """Make the hosts that one line of JSON on stdin names, tell their handles, and relay."""
    wiring = codec.decode(Wiring, sys.stdin.buffer.readline(), "stdin")
    try:
        made = [_open(wiring, number) for number in range(len(wiring.hosts))]
    except OSError as fault:
        sys.stdout.write(json.dumps({"error": str(fault)}) + "\n")
        return 1
    handles = {name: namespace for name, (namespace, _) in zip(wiring.hosts, made, strict=True)}
    sys.stdout.write(json.dumps({"handles": handles}) + "\n")
    sys.stdout.flush()
    Relay(wiring, [device for _, device in made]).run(sys.stdin.fileno())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
