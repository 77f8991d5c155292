"""What has to be exact: packed products, shifts for multiplications, pruning that prunes nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.compress.quantisers.log2 import Log2
from shoal.errors import InputError
from shoal.kernels.lanes import eight_by_four, four_by_four, lane_sums
from shoal.kernels.lowbit import LowBit, lowbit_paths, plane
from shoal.kernels.shifts import halved_product, two_part_product
from shoal.kv import Pruning
from shoal.train.language.forward import Forward

I8 = NDArray[np.int8]
COLUMNS = 16384
GROUP = 64  # columns that share a scale
SHARES = 64  # of a row of a softmax


def lanes_agree(columns: int, seed: int) -> bool:
    """Two products a lane against 32-bit numbers, on codes of all signs."""
    source = np.random.default_rng(seed)
    weights = source.integers(-8, 8, (5, columns)).astype(np.int8)
    narrow = source.integers(-8, 8, (3, columns)).astype(np.int8)
    wide = source.integers(-128, 128, (3, columns)).astype(np.int8)
    return _same(four_by_four(narrow, weights), narrow, weights) and _same(
        eight_by_four(wide, weights), wide, weights
    )


def lanes_hold(columns: int = COLUMNS) -> bool:
    """The largest sums that there can be: all codes 15."""
    full = np.full((2, columns), 15, np.uint8)
    return all((found == 225 * columns).all() for found in lane_sums(full, full, full))


def kernels_agree(columns: int, seed: int) -> dict[str, bool]:
    """The kernels of every instruction set against 64-bit numbers, for one token and for many.

    Whole activations whose largest in each group is 127 are their own codes, and with scales of one a sum below 2^24 is
    exact in float32.
    """
    source = np.random.default_rng(seed)
    codes = source.integers(0, 16, (8, columns)).astype(np.uint8)
    codes[0], codes[1] = 0, 15  # the ends: −8 and 7
    matrix = LowBit((plane(codes, 4, GROUP, np.ones((8, columns // GROUP), np.float32), zero=8),))
    found: dict[str, bool] = {}
    for tokens in (1, 9):
        x = source.integers(-127, 128, (tokens, columns))
        x[:, ::GROUP] = 127
        x[0] = 127
        wanted = x @ (codes.astype(np.int64) - 8).T
        given = x.astype(np.float32)
        found |= {
            f"{path}, {tokens}": bool((matrix.product(given, path) == wanted).all()) for path in lowbit_paths()
        }
    return found


def two_parts_agree(columns: int, seed: int) -> bool:
    """Two products and one shift against the product of shifted codes."""
    source = np.random.default_rng(seed)
    x, weights = (source.integers(-7, 8, (rows, columns)).astype(np.int8) for rows in (6, 9))
    shifts = 3 * (source.random(columns) < 0.05)
    return _same(two_part_product(x, shifts, weights), x.astype(np.int32) << shifts, weights)


def halvings_agree(seed: int) -> bool:
    """Shifts against multiplications by the shares."""
    source = np.random.default_rng(seed)
    halvings = Log2().fitted()
    shares = _shares(source.standard_normal((16, SHARES)) * 3)
    values = source.integers(-127, 128, (SHARES, 32))
    by_shares = halvings.rounded(shares).astype(np.float64) @ values
    return bool((halved_product(halvings.coded(shares), values) == by_shares * 2**15).all())


def unpruned_alike(forward: Forward, symbols: NDArray[np.int64]) -> bool:
    """Whether a ratio of nothing leaves the logits bit by bit."""
    same = Forward(forward.decoder, forward.weights, kept=Pruning(0.0).kept)
    return bool(np.array_equal(forward.run(symbols).logits, same.run(symbols).logits))


def ends_stay(forward: Forward, symbols: NDArray[np.int64]) -> bool:
    """Whether the first and the last place are there after much and little was dropped by each score."""
    last = symbols.shape[1] - 1
    for score in catalog.names("kv/scores"):
        for ratio in (0.05, 0.5, 0.99):
            pruning = Pruning(ratio, range(forward.decoder.layers), catalog.make("kv/scores", score))
            places = Forward(forward.decoder, forward.weights, kept=pruning.kept).run(symbols).places
            if (places[:, 0] != 0).any() or (places[:, -1] != last).any():
                return False
    return True


def refusals() -> dict[str, bool]:
    """What cannot be, and whether it is refused."""
    return {
        "r = 1": _refused(lambda: Pruning(1.0)),
        "r < 0": _refused(lambda: Pruning(-0.1)),
        "shares above one": _refused(lambda: Log2().fitted().coded(np.full((2, 2), 1.5))),
        "a code beyond its lane": _refused(
            lambda: four_by_four(np.full((1, 4), 9, np.int8), np.ones((1, 4), np.int8))
        ),
    }


def _same(found: NDArray[np.int32], x: NDArray[np.integer], weights: I8) -> bool:
    return bool((found == x.astype(np.int64) @ weights.astype(np.int64).T).all())


def _shares(scores: NDArray[np.float64]) -> NDArray[np.float32]:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except InputError:
        return True
    return False
