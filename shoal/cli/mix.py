"""What `shoal compress --mix` is told: which formats, and the limits that they are chosen for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal import catalog
from shoal.cli import options
from shoal.errors import InputError
from shoal.formats import listed

if TYPE_CHECKING:
    from shoal.compress import Budget, Weighed
    from shoal.graph import Graph

USUAL_BITS = 4.5  # a weight, where nothing is limited


@dataclass(frozen=True)
class Mix:
    """What is wished of the formats."""

    mix: str
    bits: float | None
    max_size: str
    max_latency: str
    max_energy: str
    alpha: float | None
    sensitivity: str
    ends: str
    activations: str
    threads: int

    def check(self) -> None:
        """Refuse what contradicts itself, before the work."""
        catalog.make("compress/sensitivities", self.sensitivity)
        limited = [
            name
            for name, value in (
                ("--bits", self.bits), ("--max-size", self.max_size or None), ("--max-latency", self.max_latency or None),
                ("--max-energy", self.max_energy or None), ("--alpha", self.alpha),
            )
            if value is not None
        ]  # fmt: skip
        if limited and not self.mix:
            raise InputError("there are no formats to choose from", where=limited[0], hint="--mix int4/int8")
        if self.activations == "fp8" and (self.max_latency or self.max_energy or self.alpha is not None):
            raise InputError(
                "rounding to floating-point numbers is computed in float32 here, so that no time can be told",
                where="--activations fp8", hint="--bits or --max-size",
            )  # fmt: skip
        self._budget()

    def weighed(self, graph: Graph, given: Sequence[Mapping[str, Any]], skip: Sequence[str]) -> Weighed:
        """What a format for each layer is chosen from; measures the ops first, if time or energy is limited."""
        from shoal.compress import measured, weighed

        names, budget = listed(self.mix), self._budget()
        wanted = [name for name in dict.fromkeys((*names, self.ends)) if name and name != "float32"]
        timed = self.max_latency or self.max_energy or self.alpha is not None
        costs = measured(graph, wanted, self.activations, threads=self.threads) if timed else None
        free = not budget.limits and self.alpha is None
        return weighed(
            graph, given, names, USUAL_BITS if free and self.bits is None else self.bits, skip, ends=self.ends,
            sensitivity=self.sensitivity, budget=budget, costs=costs, alpha=self.alpha,
        )  # fmt: skip

    def _budget(self) -> Budget:
        from shoal.compress import Budget

        size = options.quantity("--max-size", self.max_size, "byte")
        return Budget(
            None if size is None else 8 * size, options.quantity("--max-latency", self.max_latency, "second"),
            options.quantity("--max-energy", self.max_energy, "joule"),
        )  # fmt: skip
