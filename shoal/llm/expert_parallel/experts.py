"""Tokens on their way to experts, and what experts make of them, in numpy alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
BLOCK = 512  # rows of one product at most: what is between products stays small however many tokens an expert has


def _silu(x: F32) -> F32:
    found: F32 = x / (1 + np.exp(-np.clip(x, -80, None)))  # float32 ends at exp(88)
    return found


def _gelu_tanh(x: F32) -> F32:
    found: F32 = np.float32(0.5) * x * (1 + np.tanh(np.float32(sqrt(2 / pi)) * (x + np.float32(0.044715) * x**3)))
    return found


def _relu(x: F32) -> F32:
    found: F32 = np.maximum(x, 0)
    return found


ACTIVATIONS: Mapping[str, Callable[[F32], F32]] = {
    "silu": _silu,
    "gelu_pytorch_tanh": _gelu_tanh,
    "relu": _relu,
}


class Expert(NamedTuple):
    """A gated expert's matrices: (2 hidden, width) and (width, hidden)."""

    gate_up: F32
    down: F32

    @property
    def bytes(self) -> int:
        """Of both."""
        return self.gate_up.nbytes + self.down.nbytes

    def answer(self, x: F32, activation: Callable[[F32], F32]) -> F32:
        """Of (n, width)."""
        gate, up = np.split(x @ self.gate_up.T, 2, axis=1)
        found: F32 = (activation(gate) * up) @ self.down.T
        return found


@dataclass(frozen=True, eq=False)
class Parcel:
    """Tokens for one party: each token's values once, and a copy for each of its experts there."""

    rows: F32  # (m, width)
    places: I32  # (copies,), the row of each, rising
    experts: I32  # (copies,)
    gates: F32  # (copies,), what the expert's answer counts

    @property
    def arrays(self) -> tuple[NDArray[np.float32] | NDArray[np.int32], ...]:
        """As they travel."""
        return self.rows, self.places, self.experts, self.gates


def parcels(x: F32, chosen: I64, gates: F32, target: I64, parties: int) -> list[tuple[Parcel, I64]]:
    """What goes to each party, and which tokens these are.

    Args:
        x: (n, width).
        chosen: (n, k), experts.
        gates: (n, k).
        target: (n, k), the party of each copy; -1 for a copy that goes nowhere.
        parties: how many.
    """
    found = []
    for party in range(parties):
        token, place = np.nonzero(target == party)
        tokens, rows = np.unique(token, return_inverse=True)
        experts, shares = chosen[token, place].astype(np.int32), gates[token, place].astype(np.float32)
        found.append((Parcel(x[tokens], rows.astype(np.int32), experts, shares), tokens))
    return found


def answers(given: Sequence[Parcel], experts: Mapping[int, Expert], activation: Callable[[F32], F32]) -> list[F32]:
    """For each parcel the sums over its copies, (m, width); an expert takes the tokens of all parcels at once."""
    sums = [np.zeros_like(each.rows) for each in given]
    for number in sorted({int(each) for parcel in given for each in np.unique(parcel.experts)}):
        places = [np.flatnonzero(parcel.experts == number) for parcel in given]
        for block in _blocks(places):
            x = np.concatenate([given[at].rows[given[at].places[which]] for at, which in block])
            made = experts[number].answer(x, activation)
            start = 0
            for at, which in block:
                mine = made[start : start + len(which)] * given[at].gates[which, None]
                add_rows(sums[at], given[at].places[which], mine)
                start += len(which)
    return sums


def _blocks(places: Sequence[I64]) -> Iterator[list[tuple[int, I64]]]:
    """Copies for one product after another: parcels, and which of their copies."""
    owners = np.repeat(np.arange(len(places)), [len(each) for each in places])
    every = np.concatenate(places)
    for start in range(0, len(every), BLOCK):
        part, owner = every[start : start + BLOCK], owners[start : start + BLOCK]
        yield [(int(at), part[owner == at]) for at in np.unique(owner)]


def add_rows(total: F32, at: I32 | I64, values: F32) -> None:
    """`total[at] += values`, where a row may be named more than once."""
    while len(at):
        once, first = np.unique(at, return_index=True)
        if len(once) == len(at):
            total[at] += values
            return
        total[once] += values[first]
        left = np.ones(len(at), bool)
        left[first] = False
        at, values = at[left], values[left]
