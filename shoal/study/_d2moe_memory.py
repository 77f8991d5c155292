"""`python -m shoal.study._d2moe_memory FILE`: a process that decodes with its experts in a file, watched from outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shoal.compress.nested_fit import TRUNCATED, nested
from shoal.llm.library import transformers_module
from shoal.llm.offload._sites import sites
from shoal.llm.offload.bit_router import Even
from shoal.llm.offload.nested import Loading, in_bits
from shoal.llm.offload.nested_records import Copies, Experts, Planes, shape_of, write_copies, write_planes
from shoal.llm.offload.skeleton import skeleton
from shoal.measure.watched import watched, worked
from shoal.store import Key


def config(hidden: int) -> dict[str, Any]:
    """A model whose experts are `hidden` wide."""
    return {
        "model_type": "mixtral", "vocab_size": 256, "hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "num_local_experts": 8, "num_experts_per_tok": 2, "intermediate_size": hidden,
        "bos_token_id": None, "eos_token_id": None, "pad_token_id": None,
    }  # fmt: skip


MODULE, WHERE = "shoal.study._d2moe_memory", "a model decoding with its experts in a file"
ROWS, TOKENS = 4, 12
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Job:
    """What the process does."""

    path: str
    nest: bool
    bits: int
    budget_bytes: int
    hidden: int  # width of experts


@dataclass(frozen=True)
class Saved:
    """Memory of two such processes, and what their stores held."""

    int8_peak_bytes: int  # resident
    peak_bytes: int
    int8_held_bytes: int  # in the store
    held_bytes: int

    @property
    def share(self) -> float:
        """Of what the stores held less, what the system saw less."""
        return (self.int8_peak_bytes - self.peak_bytes) / (self.int8_held_bytes - self.held_bytes)


def saved(folder: Path, bits: int, hidden: int) -> Saved:
    """All experts resident in INT8, against so many nested bits within half of that.

    Raises:
        WorkError: a process ended early.
    """
    planes, copies = folder / "large-planes", folder / "large-copies"
    experts = _random(hidden)
    write_planes(experts, planes)
    every = write_copies(experts, copies, (2, 8))
    int8_bytes = sum(each.bytes for each in every.records if each.key.plane == 8)
    first = watched(MODULE, Job(str(copies), False, 8, int8_bytes, hidden), int, WHERE, PATIENCE_S)
    second = watched(MODULE, Job(str(planes), True, bits, int8_bytes // 2, hidden), int, WHERE, PATIENCE_S)
    return Saved(first.peak_bytes, second.peak_bytes, first.answer, second.answer)


def main(job: Job) -> int:
    """Decode; the most that the store held, in bytes."""
    torch = transformers_module("torch")
    torch.set_num_threads(1)
    model = _module(job.hidden)
    layout = Planes() if job.nest else Copies((2, 8))
    out = in_bits(model, Path(job.path), Even(job.bits), Loading(job.budget_bytes), layout)
    symbols, cache = torch.arange(ROWS)[:, None], None
    with torch.no_grad():
        for _ in range(TOKENS):
            answer = model(symbols, past_key_values=cache, use_cache=True)
            cache, symbols = answer.past_key_values, answer.logits[:, -1:].argmax(-1)
    out.store.close()
    return out.store.told().peak_bytes


def _module(hidden: int) -> Any:
    """Weights at random, but for the experts', which take no memory."""
    torch = transformers_module("torch")
    model = skeleton(config(hidden))
    experts = {name for site in sites(model) for name in (id(site.stack(each)) for each in site.names)}
    source = torch.Generator().manual_seed(0)
    for name, parameter in list(model.named_parameters()):
        if id(parameter) not in experts:
            path, _, last = name.rpartition(".")
            value = torch.randn(parameter.shape, generator=source) * 0.02
            setattr(model.get_submodule(path), last, torch.nn.Parameter(value, requires_grad=False))
    model.tie_weights()
    return model


def _random(hidden: int) -> Experts:
    source, found = np.random.default_rng(0), {}
    for place, site in enumerate(sites(skeleton(config(hidden)))):
        for expert in range(site.count):
            found[Key(place, expert)] = {
                name: nested(source.normal(0, 0.02, shape_of(site, name)).astype(np.float32), None, TRUNCATED)
                for name in site.names
            }
    return found


if __name__ == "__main__":
    transformers_module()
    transformers_module("torch")
    worked(main, Job)
