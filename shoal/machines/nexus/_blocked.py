"""Which FIFOs wait for one another when nothing moves."""

from __future__ import annotations

import numpy as np

from shoal.machines.nexus import _state as loop

PORTS = ("own", "north", "east", "south", "west")


def blocked(state: loop.State) -> str:
    """A circle of FIFOs, each of which waits for room in the next: "place 1 own, network 0 → …"."""
    lanes, networks = range(len(state.length)), int(state.setting[loop.NETWORKS])
    waits = {lane: _awaited(lane, state) for lane in lanes if state.length[lane]}
    for start in waits:
        path = [start]
        while (following := waits.get(path[-1])) is not None:
            if following in path:
                circle = [*path[path.index(following) :], following]
                return " → ".join(_told(lane, networks) for lane in circle)
            path.append(following)
    return "no circle: " + ", ".join(_told(lane, networks) for lane in waits)


def _awaited(lane: int, state: loop.State) -> int | None:
    """The FIFO in which the head of `lane` wants room; with several ways, the first."""
    columns, networks, phases = (int(state.setting[name]) for name in (loop.COLUMNS, loop.NETWORKS, loop.PHASES))
    one, place = state.message[state.fifo[lane, state.head[lane]]], lane // (5 * networks)
    target, net = int(one[loop.VIA]), int(one[loop.LEG]) * phases
    if target in {-1, place}:
        target, net = int(one[loop.TO + one[loop.LEG]]), net + phases - 1
    if target != place:
        port, other = _way(place, target, columns)
        return (other * networks + min(net, networks - 1)) * 5 + 1 + (port + 1) % 4
    if state.configuration[one[loop.PC], 0] in {loop.LOAD, loop.STREAM, loop.STREAM_LOAD}:
        return (place * networks + min(int(one[loop.LEG] + 1) * phases, networks - 1)) * 5
    return None


def _way(place: int, target: int, columns: int) -> tuple[int, int]:
    """The port towards the target, along the row first, and the place behind it."""
    down, across = np.subtract(divmod(target, columns), divmod(place, columns))
    if across:
        return (loop.EAST, place + 1) if across > 0 else (loop.WEST, place - 1)
    return (loop.SOUTH, place + columns) if down > 0 else (loop.NORTH, place - columns)


def _told(lane: int, networks: int) -> str:
    place, rest = divmod(lane, 5 * networks)
    return f"place {place} {PORTS[rest % 5]}, network {rest // 5}"
