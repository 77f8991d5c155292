"""What goes between hosts where a token is sent once to a host, however many of its experts lie there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.plan.experts._values import I64, ExpertPlacement
from shoal.store import RoutingTrace


class Parcels(NamedTuple):
    """From home to host, (L, hosts, hosts); nothing from a host to itself. Each token sent has an answer sent back."""

    tokens: I64  # each once
    copies: I64  # one for each of its experts there


def parcels(placement: ExpertPlacement, trace: RoutingTrace, homes: NDArray[np.integer], hosts: int) -> Parcels:
    """Counted token by token.

    Args:
        placement: of the experts.
        trace: routes.
        homes: (tokens,), the host where each token is.
        hosts: how many.
    """
    tokens, copies = np.zeros((2, trace.layers, hosts, hosts), np.int64)
    for layer, places in enumerate(placement.array):
        wanted = np.zeros((trace.tokens, hosts), np.int64)
        for each in trace.chosen[:, layer].T:
            wanted[np.arange(trace.tokens), places[each]] += 1
        wanted[np.arange(trace.tokens), homes] = 0
        np.add.at(copies[layer], homes, wanted)
        np.add.at(tokens[layer], homes, (wanted > 0).astype(np.int64))
    return Parcels(tokens, copies)
