"""How many tokens go from where to which experts, counted from routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.plan.experts._values import F64, I64
from shoal.store import RoutingTrace

# home: a token's state stays where its text began, its experts' answers come back there.
# stay: its state stays with the expert that counts most, and goes on from there.
Combine: TypeAlias = Literal["home", "stay"]


@dataclass(frozen=True, eq=False)
class Flows:
    """Copies of tokens, one for each expert chosen, by step.

    Attributes:
        loads: (steps, L, E), of each expert.
        homes: (steps, L, hosts, E), of each by the home of its tokens.
        moves: (steps, L - 1, E, E), [e, f]: whose first expert was e, for expert f of the next layer.
        meets: (steps, L, E, E), [f, e]: of expert f, whose first expert in the same layer is e.
    """

    loads: F64
    homes: F64
    moves: F64
    meets: F64

    def mean(self) -> Flows:
        """Of one step, as the average is."""
        return Flows(*(each.mean(0, keepdims=True) for each in (self.loads, self.homes, self.moves, self.meets)))

    @property
    def even(self) -> bool:
        """Whether every host is home to as much of everything."""
        return bool(np.allclose(self.homes, self.homes[:, :, :1]))


def flows(
    trace: RoutingTrace, hosts: int, *, step_tokens: int = 0, homes: NDArray[np.integer] | None = None
) -> Flows:
    """Counted over steps of about so many tokens, or one of all.

    A step takes every so manieth token, as a batch of many requests has some of each.

    Args:
        trace: routes.
        hosts: how many.
        step_tokens: of a step; 0: all.
        homes: (tokens,) the host where each token's text is; without, each is home to an equal part.

    Raises:
        InputError: homes that are not there.
    """
    if homes is not None and (homes.shape != (trace.tokens,) or not (0 <= homes.min() <= homes.max() < hosts)):
        raise InputError(
            "each token has a home", needed=f"{trace.tokens} from 0 to {hosts - 1}", had=str(homes.shape)
        )
    count = max(1, round(trace.tokens / step_tokens)) if step_tokens else 1
    steps = np.arange(trace.tokens) % count
    experts, layers = trace.experts, trace.layers
    chosen: I64 = trace.chosen.astype(np.int64)
    first = np.take_along_axis(chosen, trace.weights.argmax(-1)[..., None], -1)[..., 0]

    def counted(rows: I64, into: I64, size: int) -> F64:
        """(steps, size, E) of tokens by row and chosen expert."""
        keys = ((steps * size + rows)[:, None] * experts + into).ravel()
        return np.bincount(keys, minlength=count * size * experts).reshape(count, size, experts).astype(np.float64)

    loads = np.stack([counted(np.zeros_like(steps), chosen[:, at], 1)[:, 0] for at in range(layers)], 1)
    if homes is None:
        shared = np.repeat(loads[:, :, None] / hosts, hosts, 2)
    else:
        shared = np.stack([counted(homes.astype(np.int64), chosen[:, at], hosts) for at in range(layers)], 1)
    moves = [counted(first[:, at], chosen[:, at + 1], experts) for at in range(layers - 1)]
    meets = [counted(first[:, at], chosen[:, at], experts).swapaxes(1, 2) for at in range(layers)]
    return Flows(
        loads, shared, np.stack(moves, 1) if moves else np.zeros((count, 0, experts, experts)), np.stack(meets, 1)
    )
