"""HALO's plans of the letters network: layers in tiles, their levels, what an array takes for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.study._halo_lm import Letters, perplexity, seen, squared_gradients

if TYPE_CHECKING:
    from shoal.compress.halo import Cut, Prospect, Subject
    from shoal.compress.halo_tiles import Tiled
    from shoal.formats import Matrix
    from shoal.machines.arrays import Passed, Systolic, Tile
    from shoal.machines.multipliers import Bound, Clocks, MacTable

ITEMS = 8192  # places that are calibrated with
GRADIENTS = 2048  # places whose gradients are squared
JUDGED = 40_000  # places of held-out text


@dataclass(frozen=True, eq=False)
class Coded:
    """The network in some form, on an array."""

    name: str
    perplexity: float
    tiles: tuple[tuple[Tile, ...], ...]  # of each layer


@dataclass(frozen=True, eq=False)
class Plain(Coded):
    """In one format of whole numbers."""

    numbers: tuple[NDArray[np.int16], ...]  # of each layer
    bits: tuple[float, ...]  # a weight, with scales

    def on(self, clocks: Clocks, side: int) -> Plain:
        """The same on an array of another multiplier."""
        both = zip(self.numbers, self.bits, strict=True)
        return replace(self, tiles=tuple(_plain(numbers, bits, clocks, side) for numbers, bits in both))


@dataclass(frozen=True, eq=False)
class Planned(Coded):
    """By HALO."""

    layers: tuple[Tiled, ...]


@dataclass(frozen=True, eq=False)
class Ground:
    """The trained network, its text and its array."""

    network: Letters
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    array: Systolic
    places: int  # of a prefill
    seed: int

    @cached_property
    def cut(self) -> Cut:
        """Tiles of the array's size."""
        from shoal.compress.halo import Cut

        return Cut(self.array.rows)

    @cached_property
    def float_perplexity(self) -> float:
        """Of the network as it was trained."""
        return perplexity(self.network, self.test, JUDGED)

    @cached_property
    def gradients(self) -> list[Matrix]:
        """Mean squared gradients of each layer's weights."""
        return squared_gradients(self.network, self.train, GRADIENTS, self.seed)

    @cached_property
    def subjects(self) -> list[Subject]:
        """The layers as the float network has them."""
        from shoal.compress.halo import subject

        own = self.network
        return [
            subject(f"layer {number}", weight, seen(own, own, number, self.train, ITEMS, self.seed), gradient)
            for number, (weight, gradient) in enumerate(zip(own.weights, self.gradients, strict=True))
        ]

    def coded(self, name: str, clocks: Clocks) -> Plain:
        """The network with its weights in a format of whole numbers, all at base clock: the usual way."""
        from shoal.compress import Work
        from shoal.compress.techniques.gptq import Gptq
        from shoal.compress.techniques.rtn import Rtn
        from shoal.formats import make, restored
        from shoal.formats.integer import Integer

        form, done = make(name), list[NDArray[np.float32]]()
        numbers, bits = list[NDArray[np.int16]](), list[float]()
        technique = Rtn(name) if name == "int8" else Gptq(name)
        for number, weight in enumerate(self.network.weights):
            after = self.network.copy([*done, *self.network.weights[number:]], whole=False)
            own = technique.apply(
                Work(weight), seen(self.network, after, number, self.train, ITEMS, self.seed), 0
            ).coded
            assert own is not None
            done.append(restored(form, own))
            assert isinstance(form, Integer)
            first = int(form.grid.values[0])
            numbers.append(own.codes.astype(np.int16) + np.int16(first))
            bits.append(form.stored_bits((weight.shape[0], weight.shape[1])) / weight.size)
        found = perplexity(self.network.copy(done, whole=False), self.test, JUDGED)
        return Plain(name, found, (), tuple(numbers), tuple(bits)).on(clocks, self.cut.side)

    def prospects(self, clocks: Clocks) -> list[Prospect]:
        """What each level gives in a prefill."""
        from shoal.compress.halo import prospect

        return [prospect(each, clocks, self.array, self.places, self.cut) for each in self.subjects]

    def planned(
        self, clocks: Clocks, prospects: Sequence[Prospect], budget_s: float, budget_j: float = inf
    ) -> Planned:
        """The network by HALO, within so much for a prefill.

        Raises:
            LimitError: it does not take so little.
        """
        from shoal.compress.halo import codebooks, halo, loads, plan, subject

        forms, cut = codebooks(clocks), self.cut
        levels = plan(prospects, self.array, self.places, budget_s, budget_j)
        done: list[Tiled] = []
        for number, (weight, gradient) in enumerate(zip(self.network.weights, self.gradients, strict=True)):
            before = [each.matrix for each in done]
            after = self.network.copy([*before, *self.network.weights[number:]], whole=False)
            view = seen(self.network, after, number, self.train, ITEMS, self.seed)
            done.append(halo(subject(f"layer {number}", weight, view, gradient), levels[number], forms, cut))
        found = perplexity(self.network.copy([each.matrix for each in done], whole=False), self.test, JUDGED)
        return Planned(clocks.table.multiplier, found, tuple(loads(each, clocks) for each in done), tuple(done))

    def prefill(self, coded: Coded) -> Passed:
        """Of as many letters as the ground says."""
        return self.array.passed(coded.tiles, self.places)

    def decode(self, coded: Coded) -> Passed:
        """Of one letter; all at base clock where changing the clock does not pay."""
        ways = (coded.tiles, at_base(coded.tiles))
        return min((self.array.passed(tiles, 1) for tiles in ways), key=lambda each: each.seconds)

    def fastest(
        self, clocks: Clocks, base_s: float, targets: Sequence[float], most: float, say: Callable[[str], None]
    ) -> Planned | None:
        """The first of these speed-ups over `base_s` whose perplexity is at most so much; none: none is.

        Raises:
            InputError: no targets.
        """
        from shoal.errors import LimitError

        if not targets:
            raise InputError("no speed-ups to try", where="halo")
        prospects = self.prospects(clocks)
        for target in targets:
            try:
                found = self.planned(clocks, prospects, base_s / target)
            except LimitError:
                continue
            say(f"{clocks.table.multiplier}: {target:.2f} times as fast, perplexity {found.perplexity:.3f}")
            if found.perplexity <= most:
                return found
        return None


def ranked(table: MacTable, ranks: Sequence[int], spare: Sequence[int]) -> tuple[Bound, ...]:
    """Bounds at the delays of the weights of these ranks, the quickest having rank 1, that leave weights of both signs.

    Within the lowest of them also bounds on energy, which so many of its weights keep.
    """
    from shoal.machines.multipliers import Bound

    order = sorted(float(each) for each in table.delay)
    least = _both_signs(table, table.delay)
    delays = sorted({max(least, order[min(rank, len(order)) - 1]) for rank in ranks})
    some = np.where(table.delay <= delays[0] + 1e-9, table.energy, inf)
    energies, floor = np.sort(some[np.isfinite(some)]), _both_signs(table, some)
    kept = sorted({max(floor, float(energies[count - 1])) for count in spare if count < len(energies)})
    return (*(Bound(delays[0], energy) for energy in kept), *map(Bound, delays))


def _both_signs(table: MacTable, figures: NDArray[np.float64]) -> float:
    """The least figure that a weight of each sign keeps."""
    return max(float(figures[table.weights * sign > 0].min()) for sign in (-1, 1))


def at_base(tiles: Sequence[Sequence[Tile]]) -> tuple[tuple[Tile, ...], ...]:
    """These tiles at base clock, which every weight keeps."""
    return tuple(tuple(replace(tile, level=0, clock=1.0, volts=1.0) for tile in layer) for layer in tiles)


def with_bytes(tiles: Sequence[Sequence[Tile]], other: Sequence[Sequence[Tile]]) -> tuple[tuple[Tile, ...], ...]:
    """These tiles with the stored bytes of others."""
    return tuple(
        tuple(replace(own, stored_bytes=each.stored_bytes) for own, each in zip(layer, beside, strict=True))
        for layer, beside in zip(tiles, other, strict=True)
    )


def bits_of(coded: Coded) -> float:
    """Of a weight, with scales."""
    tiles = [tile for layer in coded.tiles for tile in layer]
    return 8 * sum(tile.stored_bytes for tile in tiles) / sum(tile.inputs * tile.outputs for tile in tiles)


def exact(tiled: Tiled) -> bool:
    """Whether what is stored, unpacked, makes the layer: tile by tile, and in a product from the sparse weights alone."""
    from shoal.compress.halo_tiles import pack, unpack

    again = unpack(pack(tiled), tiled.shape, tiled.side, tiled.books)
    x = np.random.default_rng(0).standard_normal((4, tiled.shape[1])).astype(np.float32)
    apart, whole = x @ again.dense.T + again.sparse.times(x), x @ tiled.matrix.T
    beside = again.sparse.matrix(tiled.shape[1]) != 0
    return (
        np.array_equal(again.matrix, tiled.matrix)
        and not again.dense[beside].any()
        and bool(np.abs(apart - whole).max() <= 1e-4 * np.abs(whole).max())
    )


def _plain(numbers: NDArray[np.int16], bits: float, clocks: Clocks, side: int) -> tuple[Tile, ...]:
    from shoal.compress.halo_tiles import parts
    from shoal.machines.arrays import Tile

    table = clocks.table
    energy = table.energy[table.place(np.maximum(numbers, int(table.weights[0])))] / table.energy.mean()
    return tuple(
        Tile(part[1].stop - part[1].start, part[0].stop - part[0].start, 0, 1.0, 1.0,
             numbers[part].size * bits / 8, float(energy[part].mean()))
        for _, part in parts((numbers.shape[0], numbers.shape[1]), side)
    )  # fmt: skip
