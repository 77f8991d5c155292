"""A small model with experts decoding from a throttled store, by engines of one program."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.llm.library import transformers_module
from shoal.llm.offload.experts import Budget, offload
from shoal.llm.offload.records import write_experts
from shoal.llm.routes import recorded
from shoal.llm.tiny import tiny
from shoal.sim.storage import replayed
from shoal.store import POLICIES, FileTier, Key, Policy, RoutingTrace, TierFigures, Told

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

PLACES = 128
I64 = NDArray[np.int64]
ANY = TierFigures("any", 1e9)  # reads are counted, not timed


@dataclass(frozen=True)
class Engine:
    """A way of running a model with experts."""

    name: str
    slots: int = 0  # experts of float32 that the memory holds; 0: one token's of one layer, as they are stored
    form: str = ""  # of the experts in the store
    policy: str = "lru"
    predictor: str = ""
    pinned: bool = False  # the most popular experts never leave
    memory: bool = False  # no store at all


@dataclass(frozen=True)
class Ran:
    """A decoded text."""

    tokens_per_s: float
    logits: Tensor
    told: Told | None


@dataclass(frozen=True, eq=False)
class Lab:
    """A model, text to learn routes from and text to decode. `lab` makes one."""

    model: PreTrainedModel
    learned: RoutingTrace
    symbols: I64  # (1, tokens)
    folder: Path
    preloaded: int  # experts of the next layer

    @property
    def experts(self) -> list[Key]:
        """All."""
        return [Key(at, each) for at in range(self.learned.layers) for each in range(self.learned.experts)]

    def file(self, form: str = "") -> tuple[Path, int]:
        """A store of the experts, and the bytes of its largest record."""
        path = self.folder / f"experts-{form or 'float32'}"
        if not path.exists():
            write_experts(self.model, path, dict.fromkeys(self.experts, form) if form else None)
        tier = FileTier(path)
        tier.close()
        return path, max(each.bytes for each in tier.records.values())

    def read_how(self) -> str:
        """What keeps the system's cache from answering in the file's place."""
        tier = FileTier(self.file()[0])
        tier.close()
        return (
            "read past the system's cache"
            if tier.direct
            else "its pages dropped from the system's cache after each read"
        )

    def ran(self, engine: Engine, read_bytes_per_s: float, uses: Sequence[Key] | None = None) -> Ran:
        """Decode the text, one token after another."""
        if engine.memory:
            return Ran(*_decoded(self.model, self.symbols), None)
        path, record = self.file(engine.form)
        room = (engine.slots or self.learned.per_token) * record
        pinned = self._popular(engine.slots - self.learned.per_token) if engine.pinned else ()
        budget = Budget(
            room, engine.policy, engine.predictor, self.preloaded, pinned, read_bytes_per_s=read_bytes_per_s
        )
        out = offload(self.model, path, budget, self.learned, uses)
        try:
            rate, logits = _decoded(self.model, self.symbols)
            return Ran(rate, logits, out.store.told())
        finally:
            out.undo()

    def _popular(self, count: int) -> tuple[Key, ...]:
        shares = self.learned.loads()
        return tuple(sorted(self.experts, key=lambda key: -shares[key.layer, key.part])[:count])


def lab(kind: str, rows: int, tokens: int, folder: Path, preloaded: int = 2) -> Lab:
    """A trained small model; routes of text that it was trained on, text that it was not to decode."""
    from shoal.train.language import corpus, stretches

    learned, held = corpus()
    model = tiny(kind).module()
    every = stretches(learned, PLACES).x
    spread = every[np.linspace(0, len(every) - 1, rows).astype(int)]
    trace = recorded(model, spread)
    model.set_experts_implementation("eager")
    return Lab(model, trace, held[:tokens][None].astype(np.int64), folder, preloaded)


def uses_of(told: Told) -> list[Key]:
    """All keys in the order in which they were asked for."""
    return [key for use in told.uses for key in use.keys]


def reads_by_policy(told: Told) -> dict[str, int]:
    """Records that each policy reads for the same uses without preloads, replayed."""
    bare = replace(told, uses=tuple(replace(use, then=None) for use in told.uses), preloads=())
    found: dict[str, int] = {}
    for name in catalog.names(POLICIES):
        policy: Policy = catalog.make(POLICIES, name)
        found[name] = replayed(bare, policy, ANY).records_read
    return found


def overlapped(told: Told) -> float:
    """Of the time in which preloads are read, the share in which nobody waits."""
    waits = [(use.asked_s, use.ready_s) for use in told.uses if use.ready_s > use.asked_s]
    read_s = waited_s = 0.0
    for read in told.reads:
        if not read.demanded:
            read_s += read.ended_s - read.begun_s
            waited_s += sum(max(0.0, min(read.ended_s, end) - max(read.begun_s, begin)) for begin, end in waits)
    return 1 - waited_s / read_s if read_s else 0.0


def _decoded(model: PreTrainedModel, symbols: I64) -> tuple[float, Any]:
    """Tokens a second, and the logits of all places."""
    torch = transformers_module("torch")
    cache, logits, given = None, [], torch.from_numpy(symbols)
    begun_s = time.perf_counter()
    with torch.no_grad():
        for at in range(symbols.shape[1]):
            answer = model(given[:, at : at + 1], past_key_values=cache, use_cache=True)
            cache = answer.past_key_values
            logits.append(answer.logits)
    return symbols.shape[1] / (time.perf_counter() - begun_s), torch.cat(logits, 1)
