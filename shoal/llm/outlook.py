"""What plans of a language model's entries promise its users: the first token, those after it, memory, energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shoal import catalog
from shoal.cost import runtime_bytes
from shoal.graph import Graph
from shoal.plan import Plan
from shoal.record import Run

PREFILL, DECODE = "prefill", "decode"
ENTRIES = (PREFILL, DECODE)


@dataclass(frozen=True)
class Pace:
    """How quick an entry is, by prediction or in simulated time."""

    period_s: float  # between items when the pipe is full
    latency_s: float  # of an item among others
    alone_s: float  # of one in an empty pipe
    energy_j: float  # of all devices, an item

    @staticmethod
    def planned(plan: Plan) -> Pace:
        """What the plan predicts."""
        told = plan.prediction
        return Pace(told.period_s, told.latency_s, told.alone_latency_s, sum(told.energy_j.values()))

    @staticmethod
    def of(run: Run) -> Pace:
        """What a run showed."""
        ordered = sorted(run.latencies_s)
        energy_j = sum(each.energy_j for each in run.devices.values()) / run.items
        alone_s = run.latencies_s[0] if run.alone_latency_s is None else run.alone_latency_s
        return Pace(run.period_s, ordered[len(ordered) // 2], alone_s, energy_j)


@dataclass(frozen=True)
class Outlook:
    """An entry's plan and how quick it is; an item is a prompt or one token, times `batch`."""

    plan: Plan
    pace: Pace

    @property
    def entry(self) -> str:
        """Its name."""
        return self.plan.model.entry.partition(":")[0]

    @property
    def batch(self) -> int:
        """Sequences of an item."""
        made: int = catalog.make("llm/blocks", self.plan.model.entry).batch
        return made

    @property
    def facts(self) -> dict[str, Any]:
        """The figures, for JSON."""
        per_s, each_j = self.batch / self.pace.period_s, self.pace.energy_j / self.batch
        if self.entry == PREFILL:
            speed = {"prompts_per_s": per_s, "first_token_s": self.pace.alone_s, "energy_j_per_prompt": each_j}
        else:
            speed = {"tokens_per_s": per_s, "token_s": self.pace.latency_s, "token_alone_s": self.pace.alone_s}
            speed["energy_j_per_token"] = each_j
        return speed | {"memory_bytes": dict(self.plan.prediction.memory_bytes)}


def both_bytes(prefill: Plan, decode: Plan) -> Mapping[str, int]:
    """Memory of each device that holds both entries at once: weights that both read there, and runtimes, count once."""
    owners = (prefill.owners, decode.owners)
    found = {
        name: prefill.prediction.memory_bytes.get(name, 0) + decode.prediction.memory_bytes.get(name, 0)
        for name in dict.fromkeys((*prefill.prediction.memory_bytes, *decode.prediction.memory_bytes))
    }
    for unit in set(prefill.units) & set(decode.units):
        found[_device(unit)] -= runtime_bytes("onnxruntime")
    graph: Graph = catalog.make("llm/blocks", decode.model.entry).graph(decode.model.path)
    held: dict[str, list[set[str]]] = {}  # weights by unit, of either plan
    for at, owner in enumerate(owners):
        for op in graph.ops:
            if op.name in owner:
                held.setdefault(owner[op.name], [set(), set()])[at].update(op.weights)
    for unit, (one, other) in held.items():
        found[_device(unit)] -= sum(graph.weights[name].bytes for name in one & other)
    return found


def _device(unit: str) -> str:
    return unit.partition("/")[0]
