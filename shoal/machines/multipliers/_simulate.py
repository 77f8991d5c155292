"""What a circuit does while x goes from any value to any other: when its outputs are there, what switches.

A net that ends where it began counts as quiet, so passing glitches are left out: the figures are a lower bound, and
`slowest_path` is the upper one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.machines.multipliers.contract import (
    AND,
    FIRST_GATE,
    FIRST_X,
    HIGH,
    INV,
    OR,
    PRODUCT_BITS,
    SELECT,
    X_BITS,
    XOR,
    Circuit,
    Gate,
)

INPUTS = 1 << X_BITS
CHANGES = INPUTS // 2  # of x by steps of 1 to 128: each pair of values once, for going back changes the same nets
Bits = NDArray[np.bool_]
Tenths = NDArray[np.int16]


@dataclass(frozen=True)
class Activity:
    """Of one circuit, over all 65,536 changes of x."""

    delay: float  # of the latest output, in gate delays; 0 if none ever changes
    energy: float  # of a change of x, on average


def values(circuit: Circuit) -> Bits:
    """The value of each net for each x, (nets, 256); x = 0 … 127, −128 … −1."""
    x = np.arange(INPUTS)
    nets = np.zeros((FIRST_GATE + len(circuit.gates), INPUTS), np.bool_)
    nets[HIGH] = True
    for bit in range(X_BITS):
        nets[FIRST_X + bit] = (x >> bit) & 1
    for net, gate in enumerate(circuit.gates, FIRST_GATE):
        nets[net] = _output(gate, nets)
    return nets


def wrong_products(circuit: Circuit, nets: Bits, weight: int) -> int:
    """For how many x the circuit does not give x · weight; `nets` are its `values`."""
    bits = nets[list(circuit.outputs)].astype(np.int64)
    raw = (bits << np.arange(PRODUCT_BITS)[:, None]).sum(axis=0)
    made = raw - ((raw >> (PRODUCT_BITS - 1)) << PRODUCT_BITS) + circuit.addend
    x = np.arange(INPUTS)
    return int((made != (x - ((x >> (X_BITS - 1)) << X_BITS)) * weight).sum())


def activity(circuit: Circuit, nets: Bits) -> Activity:
    """Delay and energy over all changes of x; `nets` are its `values`."""
    ones = nets.sum(axis=1)
    toggles = 2.0 * ones * (INPUTS - ones) / INPUTS**2
    energy = float(sum(gate.kind.energy * toggles[net] for net, gate in enumerate(circuit.gates, FIRST_GATE)))
    moving = (ones > 0) & (ones < INPUTS)
    latest = _arrivals(circuit, nets, moving)
    return Activity(latest / 10, energy)


def slowest_path(circuit: Circuit) -> float:
    """The longest path over gates that the weight leaves free, in gate delays: no change takes longer."""
    known: list[bool | None] = [False, True, *[None] * X_BITS]
    latest = [0] * len(known)
    for kind, first, second in circuit.gates:
        value = _constant(Gate(kind, first, second), known)
        known.append(value)
        free = [latest[net] for net in (first, second) if known[net] is None]
        latest.append(0 if value is not None else max(free) + kind.tenths)
    return max(latest[net] for net in circuit.outputs) / 10


def _arrivals(circuit: Circuit, nets: Bits, moving: Bits) -> int:
    """Tenths until the latest output of all changes is there.

    A quiet net's arrival is 0, as that of an input: it never decides, for a changed gate has a changed input.
    """
    quiet, changed = (np.zeros((CHANGES, INPUTS), np.int16) for _ in range(2))
    arrivals: list[Tenths] = [quiet] * len(nets)
    spare: list[Tenths] = []
    done = _last_readers(circuit)
    latest = 0
    for net, gate in enumerate(circuit.gates, FIRST_GATE):
        if moving[net]:
            own = arrivals[net] = spare.pop() if spare else np.empty_like(quiet)
            np.maximum(arrivals[gate.first], arrivals[gate.second], out=own)
            own += np.int16(gate.kind.tenths)
            own &= _changed(nets[net], changed)
        if net in circuit.outputs:
            latest = max(latest, int(arrivals[net].max()))
        for read in {gate.first, gate.second}:
            if done[read] == net and arrivals[read] is not quiet:
                spare.append(arrivals[read])
    return latest


def _last_readers(circuit: Circuit) -> list[int]:
    """Of each net the last gate that reads it."""
    found = [0] * (FIRST_GATE + len(circuit.gates))
    for net, gate in enumerate(circuit.gates, FIRST_GATE):
        found[gate.first] = found[gate.second] = net
    return found


def _changed(net: Bits, out: Tenths) -> Tenths:
    """All ones where a net differs between x and x + step, (steps, x)."""
    mask = -net.astype(np.int16)
    twice = np.concatenate([mask, mask])
    later = np.lib.stride_tricks.as_strided(twice[1:], out.shape, twice.strides * 2, writeable=False)
    np.bitwise_xor(mask, later, out=out)
    return out


def _output(gate: Gate, nets: Bits) -> Bits:
    first, second = nets[gate.first], nets[gate.second]
    made: Bits
    if gate.kind is AND:
        made = first & second
    elif gate.kind is OR:
        made = first | second
    elif gate.kind is XOR:
        made = first ^ second
    else:
        made = ~first if gate.kind is INV else first
    return made


def _constant(gate: Gate, known: list[bool | None]) -> bool | None:
    """The gate's output if the weight settles it."""
    first, second = known[gate.first], known[gate.second]
    if gate.kind is SELECT:
        return first
    if gate.kind is INV:
        return None if first is None else not first
    decides = {AND.name: False, OR.name: True}.get(gate.kind.name)
    if decides is not None and decides in (first, second):
        return decides
    if first is None or second is None:
        return None
    return {AND.name: first and second, OR.name: first or second, XOR.name: first != second}[gate.kind.name]
