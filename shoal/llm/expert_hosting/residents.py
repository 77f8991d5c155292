"""Experts in the memory of the fast device: some stay, those that pass through take turns in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from shoal.plan.hosted_experts import Swap
from shoal.store import Key, TensorStore, Told

if TYPE_CHECKING:
    from shoal.plan.hosted_experts import Resident
    from shoal.store.values import Arrays


class Residents:
    """What of a store stays held.

    Args:
        store: of all experts, Key(place of the layer, number).
        placed: (layers, experts), those held from the beginning; one more has room unless these are all.
    """

    def __init__(self, store: TensorStore, placed: Resident) -> None:
        self.here, self._placed = placed.copy(), placed
        self._store = store
        self._held: dict[Key, tuple[ExitStack, Arrays]] = {}
        self.loads = 0  # brought here after the beginning
        for layer, experts in enumerate(placed):
            for expert in experts.nonzero()[0].tolist():
                self._hold(Key(layer, expert))

    def exchange(self, layer: int, swaps: list[Swap]) -> None:
        """Bring some in the place of others; waits until they are here."""
        for hot, cold in swaps:
            self._let_go(Key(layer, cold))
            self._hold(Key(layer, hot))
            self.here[layer, cold], self.here[layer, hot] = False, True
            self.loads += 1

    def restore(self) -> None:
        """Hold what was held at the beginning."""
        for layer, (here, placed) in enumerate(zip(self.here, self._placed, strict=True)):
            come, leave = (placed & ~here).nonzero()[0].tolist(), (here & ~placed).nonzero()[0].tolist()
            self.exchange(layer, list(map(Swap, come, leave)))

    @contextmanager
    def layer(self, layer: int) -> Iterator[Layer]:
        """One layer's experts, for a while."""
        with ExitStack() as passing:
            yield Layer(self, layer, passing)

    def held(self, key: Key) -> Arrays | None:
        """What stays; None for others."""
        return self._held[key][1] if key in self._held else None

    def passed(self, key: Key, passing: ExitStack) -> Arrays:
        """What does not stay, until `passing` is closed."""
        self.loads += 1
        arrays: Arrays = passing.enter_context(self._store.hold([key]))[0]
        return arrays

    @property
    def told(self) -> Told:
        """What the store has done so far."""
        return self._store.told()

    def close(self) -> None:
        """Hold nothing any more."""
        for key in tuple(self._held):
            self._let_go(key)

    def _hold(self, key: Key) -> None:
        held = ExitStack()
        self._held[key] = held, held.enter_context(self._store.hold([key]))[0]

    def _let_go(self, key: Key) -> None:
        held, _ = self._held.pop(key)
        held.close()


class Layer:
    """A `Source` of one layer's experts."""

    def __init__(self, residents: Residents, layer: int, passing: ExitStack) -> None:
        self._residents, self._layer, self._passing = residents, layer, passing
        self._passed: tuple[int, Arrays] | None = None

    def of(self, expert: int) -> Arrays:
        """See `Source`."""
        key = Key(self._layer, expert)
        held = self._residents.held(key)
        if held is not None:
            return held
        if self._passed is None or self._passed[0] != expert:
            self._passing.close()
            self._passed = expert, self._residents.passed(key, self._passing)
        return self._passed[1]
