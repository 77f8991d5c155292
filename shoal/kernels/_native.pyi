from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from shoal.kernels.chain_nodes import ChainNode
from shoal.kernels.chain_values import ChainTables

_Answer = tuple[NDArray[np.float64], NDArray[np.int64], bool]

def sweep(
    tables: ChainTables,
    nodes: Iterable[ChainNode],
    goals: Iterable[int],
    known: NDArray[np.float64],
    epsilon: float,
    time_limit_s: float,
) -> _Answer: ...
def climb(
    tables: ChainTables,
    goals: Iterable[int],
    groups: NDArray[np.int64],
    in_order: bool,
    time_limit_s: float,
) -> _Answer: ...
