"""What a block format loses of a matrix, block by block, beside what theory says from each block's crest factor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shoal.compress import PAIRS, Contest, qsnr_floating, qsnr_integer
from shoal.errors import InputError
from shoal.formats import make, quantise, restored

Matrix = NDArray[np.float32]
LEAST = 1e-12  # of an error's share, as in the theory: 120 dB
CRESTS = np.linspace(1.0, 6.0, 501)  # where theory is tabled


@dataclass(frozen=True, eq=False)
class Lost:
    """Of one matrix in one format; blocks of zeros are left out."""

    crests: NDArray[np.float64]  # of each block
    blocks_db: NDArray[np.float64]  # QSNR of each block
    whole_db: float  # QSNR of the matrix: dB of the mean error

    @property
    def mean_db(self) -> float:
        """The mean of the blocks' QSNR: not that of the matrix, in which large blocks count more."""
        return float(self.blocks_db.mean())


def lost(name: str, matrix: Matrix) -> Lost:
    """What the format `name` loses of `matrix`."""
    form = make(name)
    error = restored(form, quantise(form, matrix)) - matrix
    values, errors = (each.reshape(-1, form.group).astype(np.float64) for each in (matrix, error))
    power, off = (values**2).sum(axis=1), (errors**2).sum(axis=1)
    there = power > 0
    power, off = power[there], off[there]
    crests = np.abs(values[there]).max(axis=1) / np.sqrt(power / form.group)
    return Lost(np.maximum(crests, 1.0), db(off / power), float(db(np.array(off.sum() / power.sum()))))


def db(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """An error's share of the energy as QSNR, dB."""
    found: NDArray[np.float64] = -10 * np.log10(np.maximum(share, LEAST))
    return found


def theory(name: str, crests: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the theory gives for blocks of these crest factors in the format `name`, dB."""
    found: NDArray[np.float64] = np.interp(crests, CRESTS, _table(name))
    return found


@lru_cache(maxsize=16)
def _table(name: str) -> NDArray[np.float64]:
    contest, formula = _formula(name)
    most = np.sqrt(contest.group)
    return np.array([formula(contest, float(min(crest, most))) for crest in CRESTS])


def _formula(name: str) -> tuple[Contest, Callable[[Contest, float], float]]:
    contest = next(each for each in PAIRS if name in (each.integer, each.floating))
    return contest, qsnr_integer if name == contest.integer else qsnr_floating


def binned(parts: Sequence[Lost], edges: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Mean crest factor and mean QSNR of the blocks between two edges; where there are hardly any, nothing."""
    crests, blocks = (np.concatenate([getattr(each, name) for each in parts]) for name in ("crests", "blocks_db"))
    places = np.digitize(crests, edges)
    kept = [at for at in range(1, len(edges)) if (places == at).sum() >= 50]
    return [float(crests[places == at].mean()) for at in kept], [float(blocks[places == at].mean()) for at in kept]


def product_db(name: str, x: Matrix, w: Matrix) -> float:
    """QSNR of x·Wᵀ with both operands in the format, dB."""
    form = make(name)
    rounded = [restored(form, quantise(form, each)) for each in (x, w)]
    wanted = x @ w.T
    off = rounded[0] @ rounded[1].T - wanted
    return float(db(np.array((off.astype(np.float64) ** 2).sum() / (wanted.astype(np.float64) ** 2).sum())))


def packs(name: str) -> bool:
    """Whether bytes come back as the same values, and are as many as the format states."""
    form = make(name)
    values = np.random.default_rng(0).standard_normal((16, 256)).astype(np.float32)
    coded = quantise(form, values)
    streams = form.pack(coded)
    again = form.unpack(streams, (16, 256))
    same = np.array_equal(restored(form, again), restored(form, coded))
    return same and 8 * sum(each.size for each in streams.values()) == form.stored_bits((16, 256))


def refusals() -> dict[str, bool]:
    """What cannot be coded, and whether the error names it."""
    normal = np.ones((2, 64), np.float32)
    wrong = normal.copy()
    wrong[0, 0], wrong[1, 1] = np.nan, np.inf
    return {
        "NaN and infinity": "2 of 128" in fault_of("mxint8", wrong),
        "blocks that do not divide": "48" in fault_of("mxint8", normal[:, :48]),
        "a name of no format": "mxint9" in fault_of("mxint9", normal),
        "too many bits": "9" in fault_of("integer:bits=9", normal),
    }


def fault_of(name: str, values: Matrix) -> str:
    """What the error says, if there is one."""
    try:
        quantise(make(name), values)
    except InputError as fault:
        return fault.message
    return ""
