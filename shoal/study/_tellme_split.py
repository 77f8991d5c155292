"""Both phases of a model on the small FPGA or on a laptop: what the planner finds, and all four placements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from shoal import codec
from shoal.machines.ternary_models import BITNET_700M
from shoal.study.contract import Finding, Shown, Table

if TYPE_CHECKING:
    from shoal.fleet import Fleet
    from shoal.llm.request import Request
    from shoal.plan import Plan
    from shoal.study._bench import Bench

BOARDS = {"fpga": "kv260-ternary", "laptop": "laptop-i7-1165g7"}
WHOLE = {"fpga": "fpga/cpu", "laptop": "laptop/gpu"}  # left out where a device does a phase alone
GBIT_PER_S = (10, 1)  # of the link
PROMPTS = (32, 64, 128)  # tokens
NEW = 64  # tokens
LATENCY, ENERGY = "latency", "energy"


@dataclass(frozen=True)
class Asked:
    """One question."""

    config: Path
    gbit_per_s: int
    prompt: int
    goal: str

    def placed(self, bench: Bench) -> Request:
        """What the planner answers."""
        from shoal.llm.request import plan_request
        from shoal.plan import Objective, Wishes

        wishes = Wishes(objective=Objective((self.goal,)))
        return plan_request(self.config, self._entries, self._fleet(bench), wishes, NEW)[1]

    def every(self, bench: Bench) -> Mapping[tuple[str, str], Request]:
        """Prompt on one, new tokens on one: four requests."""
        from shoal.llm.request import Request, kept_bytes

        fleet = self._fleet(bench)
        alone = {(entry, device): self._alone(fleet, entry, device) for entry in self._entries for device in BOARDS}
        kept = kept_bytes(alone["prefill", "fpga"])
        return {
            (one, other): Request(alone["prefill", one], alone["decode", other], NEW, kept)
            for one, other in product(BOARDS, repeat=2)
        }

    def figure(self, found: Request) -> float:
        """What is to be small."""
        return found.seconds if self.goal == LATENCY else found.joules

    @property
    def _entries(self) -> Mapping[str, str]:
        room = self.prompt + NEW
        return {
            "prefill": f"prefill:tokens={self.prompt},weights=tern3x5t",
            "decode": f"decode:context={room},weights=tern3x5t",
        }

    def _alone(self, fleet: Fleet, entry: str, device: str) -> Plan:
        from shoal.llm.planning import plan_entry
        from shoal.plan import Objective, Wishes

        others = tuple(name for name in BOARDS if name != device)
        wishes = Wishes(objective=Objective((self.goal,)), exclude=(*others, WHOLE[device]))
        return plan_entry(self.config, self._entries[entry], fleet, wishes).plan

    def _fleet(self, bench: Bench) -> Fleet:
        devices = "\n".join(f'[devices.{name}]\nboard = "{board}"' for name, board in BOARDS.items())
        return bench.fleet(f'{devices}\n[default_link]\nbandwidth = "{self.gbit_per_s} Gbit/s"\nlatency = "100 us"')


def split(bench: Bench, count: int) -> Iterator[Shown]:
    """Findings "split" and "divided", of so many questions."""
    config, off = _config(bench), 0.0
    rows: list[tuple[str | float, ...]] = []
    divided = []
    questions = [Asked(config, *each) for each in product(GBIT_PER_S, PROMPTS, (LATENCY, ENERGY))][:count]
    for asked in bench.each(questions, "placements"):
        found, every = asked.placed(bench), asked.every(bench)
        best = min(every, key=lambda pair: asked.figure(every[pair]))
        off = max(off, asked.figure(found) / asked.figure(every[best]) - 1)
        divided.append(best[0] != best[1])
        rows.append((asked.gbit_per_s, asked.prompt, asked.goal, found.prefill.label, found.decode.label, asked.figure(found),
                     *(asked.figure(each) for each in every.values())))  # fmt: skip
    yield Finding("split", off < 1e-9, "simulated", len(rows), why="it may cut a phase too, or leave the head to processors; "
                  "n: rates of the link, prompts and goals")  # fmt: skip
    yield Finding("divided", sum(divided), "simulated", len(rows), why="of the four the best, by question")
    yield Table(f"A prompt, then {NEW} new tokens", ("Gbit/s", "prompt", "goal", "prompt on", "new tokens on", "s or J",
                *(f"{one}, {other}" for one, other in product(BOARDS, repeat=2))), rows,
                "what is kept of a prompt goes over the link where a layer changes devices; the laptop by its data sheet; "
                "the last four: prompt on the first, new tokens on the second")  # fmt: skip


def _config(bench: Bench) -> Path:
    """The published sizes as a configuration."""
    model = BITNET_700M
    entries = {
        "model_type": "llama", "vocab_size": model.vocabulary, "hidden_size": model.width, "num_hidden_layers": model.layers,
        "intermediate_size": model.hidden, "num_attention_heads": model.heads, "max_position_embeddings": 2048,
        "tie_word_embeddings": model.tied,
    }  # fmt: skip
    path = bench.scratch / "config.json"
    codec.save(entries, path)
    return path
