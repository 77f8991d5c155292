"""What is replayed: a record at the contexts of the sweep, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shoal.kv.selections import Selections
from shoal.machines.hybrid_bonded import HybridBonded
from shoal.study._h2eal_machine_scaled import Scaled, streaming_share
from shoal.study._h2eal_machine_sweep import LLAMA_7B, Decoder, Replay, Token
from shoal.study.contract import Note

CONTEXTS = (4096, 16_384, 65_536, 262_144)
LEAST_TOKENS = 1024  # that are chosen at least: what a budget of pages is at long contexts
LONG = 65_536  # at which parameters are changed and tiles are shown


@dataclass(frozen=True)
class Asked:
    """A record, and how much of the sweep is wanted."""

    record: Selections
    quick: bool  # fewer layers and contexts

    @property
    def contexts(self) -> tuple[int, ...]:
        """Tokens, ascending."""
        return (CONTEXTS[0], LONG) if self.quick else CONTEXTS

    @property
    def sampled(self) -> int:
        """Layers that are run."""
        return 1 if self.quick else 8

    def replay(self, machine: HybridBonded | None = None, config: Mapping[str, Any] = LLAMA_7B) -> Replay:
        """A machine with a model, as described if not said otherwise."""
        return Replay(machine or HybridBonded(), Decoder.of(config, self.record.page), self.sampled)

    def scaled(self, tokens: int, kv_heads: int = 32) -> Scaled:
        """The record at a context."""
        return Scaled(self.record, kv_heads, tokens, least=LEAST_TOKENS)

    def tokens(self) -> dict[int, Token]:
        """One token at each context, in every way."""
        replay = self.replay()
        return {context: replay.token(self.scaled(context)) for context in self.contexts}

    def why(self, context: int) -> str:
        """What a gain at a context comes from."""
        scaled, shape = self.scaled(context), self.replay().decoder.shape
        heads = [each for at in range(self.sampled) for each in scaled.layer(at)]
        full = len(heads) * scaled.held * shape.page_bytes
        read = sum(each.bytes(shape) for each in heads)
        bounds = sum(each.stored * shape.bounds_bytes for each in heads if each.scored)
        choose = sum(each.scored for each in heads) / len(heads)
        return (f"at {short(context)} {full / read:.1f} times fewer bytes are read, {bounds / read:.0%} of them bounds of "
                f"pages; {choose:.0%} of the heads choose; interval: all contexts")  # fmt: skip

    def said(self) -> Note:
        """How the record became what is replayed."""
        record, dense = self.record, self.scaled(LONG).dense
        chosen = [len(head) for step in record.steps for layer in step for head in layer if len(head)]
        mean = sum(chosen) / len(chosen) * record.page
        return Note(
            f"Recorded: {len(record.steps)} steps at {record.context} tokens, pages of {record.page}, {record.layers} × "
            f"{record.kv_heads} heads, {streaming_share(record, dense):.0%} of them streaming, {mean:.0f} tokens chosen by the "
            f"others on average; {len(dense)} layers read all. Replayed: the same classes, drawn for the heads of each layer; "
            f"runs of chosen pages at the same relative place; as many tokens as recorded, at least {LEAST_TOKENS}. What a "
            "longer text would make a larger model choose is not known."
        )  # fmt: skip


def short(tokens: int) -> str:
    """A context as it is called: "64K"."""
    return f"{tokens // 1024}K"
