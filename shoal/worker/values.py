"""The arrays a worker holds: values of items, registers of edges, and state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import LimitError
from shoal.program import Edge, Program, State, ValueKey
from shoal.wire import Delivery, Endpoint

Array = NDArray[Any]


class Values:
    """Arrays by key; those that lie in the transport's memory are given back when nobody reads them any more."""

    def __init__(self, program: Program, endpoint: Endpoint) -> None:
        self._program, self._endpoint = program, endpoint
        self._arrays: dict[ValueKey, Array] = {}
        self._deliveries: dict[ValueKey, Delivery] = {}

    def keep(self, key: ValueKey, array: Array, delivery: Delivery | None = None) -> None:
        """Hold `array` under `key` in place of what was there.

        What a newest or previous edge holds is copied: it may stay for long, and the transport's memory is only
        as large as the window.
        """
        self.free((key,))
        self._arrays[key] = array.copy() if key.register else array
        if delivery is not None and key.register:
            self._endpoint.release(delivery)
        elif delivery is not None:
            self._deliveries[key] = delivery

    def get(self, key: ValueKey) -> Array:
        """The array under `key`; a register without one gives its edge's initial value."""
        if key.register and key not in self._arrays:
            return _initial(self._program, self._program.edge[key.name])
        return self._arrays[key]

    def free(self, keys: Iterable[ValueKey]) -> None:
        """Forget what is under `keys`."""
        for key in keys:
            self._arrays.pop(key, None)
            delivery = self._deliveries.pop(key, None)
            if delivery is not None:
                self._endpoint.release(delivery)

    def clear(self) -> None:
        """Forget everything."""
        self.free(tuple(self._arrays))

    def __len__(self) -> int:
        """How many values are held."""
        return len(self._arrays)


class StateStore:
    """State by name and scope: what outlives an item on this unit."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._arrays: dict[tuple[str, int], Array] = {}

    def get(self, name: str, owner: int) -> Array:
        """The state's value for `owner` (an item, a session, or -1 for the stream)."""
        state = self._program.state[name]
        if (name, owner) not in self._arrays:
            self._arrays[(name, owner)] = _fresh(self._program, state)
        return self._arrays[(name, owner)]

    def rows(self, state: State, owner: int, first: int, count: int) -> Array:
        """Those rows of a state that is written where it stands.

        Raises:
            LimitError: there are fewer.
        """
        whole = self.get(state.name, owner)
        if not 0 <= first <= first + count <= len(whole):
            raise LimitError(f"state '{state.name}' has no such rows", needed=f"{first} to {first + count}",
                             had=f"{len(whole)}")  # fmt: skip
        return whole[first : first + count]

    def update(self, name: str, owner: int, array: Array) -> None:
        """Replace the value, or append to it along the state's axis.

        Raises:
            LimitError: it would grow beyond its bound.
        """
        state = self._program.state[name]
        if state.update == "append":
            array = np.concatenate([self.get(name, owner), array], axis=state.axis)
        bound = state.spec.bound(self._program.sizes)
        if any(size > limit for size, limit in zip(array.shape, bound, strict=True)):
            raise LimitError(
                f"state '{name}' is full", needed=str(list(array.shape)), had=f"room for {list(bound)}"
            )
        self._arrays[(name, owner)] = array.copy()

    def truncate(self, name: str, owner: int, length: int) -> None:
        """Keep the first `length` entries along the state's axis."""
        state = self._program.state[name]
        kept = [slice(None)] * len(state.spec.shape)
        kept[state.axis] = slice(length)
        self._arrays[(name, owner)] = self.get(name, owner)[tuple(kept)].copy()

    def fork(self, name: str, owner: int, heir: int) -> None:
        """Give `heir` a copy of the owner's value."""
        self._arrays[(name, heir)] = self.get(name, owner).copy()

    def drop(self, name: str, owner: int) -> None:
        """Forget the owner's value."""
        self._arrays.pop((name, owner), None)

    def end(self, item: int) -> None:
        """Forget the states whose scope is `item`: it has left this unit."""
        for state in self._program.states:
            if state.scope == "item":
                self.drop(state.name, item)

    @property
    def bytes(self) -> int:
        """Bytes held now."""
        return sum(array.nbytes for array in self._arrays.values())


def owner_of(state: State, item: int, session: int) -> int:
    """Whose value an item uses."""
    return {"item": item, "session": session, "stream": -1}[state.scope]


def _initial(program: Program, edge: Edge) -> Array:
    return np.full(edge.spec.bound(program.sizes), edge.initial, dtype=edge.spec.dtype)


def _fresh(program: Program, state: State) -> Array:
    shape = list(state.spec.bound(program.sizes))
    if state.update == "append":
        shape[state.axis] = 0
    # zeros come from the system as they are touched: a long context costs no memory before it is there
    return np.full(shape, state.initial, state.spec.dtype) if state.initial else np.zeros(shape, state.spec.dtype)
