"""What tiers, policies and predictors are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.store.routes import RoutingTrace
from shoal.store.values import Key, Record, TierFigures

POLICIES, PREDICTORS = "store/policies", "store/predictors"
Scores = NDArray[np.float64]  # (experts,), more is likelier
Chosen = Sequence[int]  # experts of one token in one layer


class Tier(Protocol):
    """Where records lie."""

    @property
    def figures(self) -> TierFigures:
        """Its rate, as far as it is known before it is tried."""

    @property
    def records(self) -> Mapping[Key, Record]:
        """What it holds."""

    def read(self, key: Key, into: memoryview, offset: int = 0) -> None:
        """Fill `into` with the bytes of a record from `offset` on. Called by several threads at once.

        Tiers that cannot read a part of a record say so in their figures, and are never asked to.

        Raises:
            ModelError: what lies there is not what was written; found out where `into` is as long as the record.
            WorkError: it cannot be read (any more).
        """

    def close(self) -> None:
        """Let go of files and connections."""


class Policy(Protocol):
    """A member of `store/policies`: what leaves first where something has to."""

    def keeper(self, keys: Collection[Key], uses: Sequence[Key] | None = None) -> Keeper:
        """One that knows which keys there are, and with `uses` all that will be asked for, in order.

        Raises:
            InputError: the policy needs to know the uses.
        """


class Keeper(Protocol):
    """A policy at work on one store."""

    def used(self, key: Key) -> None:
        """A key was asked for, there or not."""

    def victim(self, among: Collection[Key]) -> Key:
        """Which of these, none of them in use, leaves first."""


class Predictor(Protocol):
    """A member of `store/predictors`: which experts a token will go to next."""

    def learned(self, trace: RoutingTrace) -> Guess:
        """One that knows a trace of other text.

        Raises:
            InputError: the trace lacks what the predictor reads.
        """


class Guess(Protocol):
    """A predictor that has learned."""

    asks_router: bool  # whether it goes by what is foreseen

    def scores(self, layer: int, past: Sequence[Chosen], foreseen: Chosen) -> Scores:
        """How likely each expert of a layer is.

        Args:
            layer: place among the layers with experts, from 0.
            past: what this token chose in the layers before, in order.
            foreseen: what this layer's router says of the state of the layer before; empty where nobody asked it.
        """

    def saw(self, layer: int, past: Sequence[Chosen], chosen: Chosen) -> None:
        """What the token then went to."""
