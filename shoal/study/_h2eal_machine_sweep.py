"""A token of a language model on the hybrid-bonded machine: attention under five ways to read and lay pages, and the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shoal.errors import InputError
from shoal.llm import Attention, Dense, architecture
from shoal.machines.hybrid_bonded import (
    HeadShape,
    HybridBonded,
    Laid,
    Ran,
    Reading,
    co_placed,
    interleaved,
    one_head_one_tile,
    together,
)
from shoal.study._h2eal_machine_scaled import Scaled

OWN, SPREAD, PAGES, PLACED, BALANCED = WAYS = (
    "all tokens, one head on one tile", "all tokens, interleaved", "pages, interleaved", "pages, one head on one tile",
    "pages, co-placed and balanced",
)  # fmt: skip
LLAMA_7B: Mapping[str, Any] = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}  # fmt: skip
LLAMA_8B: Mapping[str, Any] = {
    **LLAMA_7B, "intermediate_size": 14336, "num_key_value_heads": 8, "vocab_size": 128256,
    "max_position_embeddings": 8192,
}  # fmt: skip


@dataclass(frozen=True)
class Decoder:
    """What the machine has to know of a language model."""

    layers: int
    kv_heads: int
    shape: HeadShape
    products: tuple[tuple[int, int], ...]  # of one layer: inputs and outputs
    last: tuple[int, int]  # the answers
    weights_bytes: int

    @classmethod
    def of(cls, config: Mapping[str, Any], page: int, value_bytes: int = 2) -> Decoder:
        """The decoder of a configuration, all of whose layers are alike.

        Raises:
            InputError: layers of other kinds than attention with a gated product.
        """
        found = architecture(config)
        mixer, dense = found.layers[0].mixer, found.layers[0].product
        if not isinstance(mixer, Attention) or not isinstance(dense, Dense):
            raise InputError("only decoders of attention and gated products are known here", had=found.kind)
        asked, kept = mixer.heads * mixer.head, 2 * mixer.kv_heads * mixer.head
        products = ((found.width, asked + kept), (asked, found.width), (found.width, 2 * dense.hidden),
                    (dense.hidden, found.width))  # fmt: skip
        shape = HeadShape(mixer.head, mixer.heads // mixer.kv_heads, page, value_bytes)
        return cls(len(found.layers), mixer.kv_heads, shape, products, (found.width, found.vocabulary),
                   found.parameters * value_bytes)  # fmt: skip


@dataclass(frozen=True)
class Token:
    """What one token takes."""

    attention: Mapping[str, Ran]  # of all layers, by way
    rest: Ran  # of all products with weights, the same for all ways

    def speed(self, way: str, base: str = OWN, whole: bool = False) -> float:
        """How often `way` is as fast as `base`: attention alone, or the whole token."""
        return self._ratio([run.seconds for run in (self.attention[base], self.attention[way], self.rest)], whole)

    def energy(self, way: str, base: str = OWN, whole: bool = False) -> float:
        """How many times less energy `way` takes than `base`."""
        return self._ratio([run.joules for run in (self.attention[base], self.attention[way], self.rest)], whole)

    def _ratio(self, figures: Sequence[float], whole: bool) -> float:
        base, own, rest = figures
        return (base + rest) / (own + rest) if whole else base / own


@dataclass(frozen=True)
class Replay:
    """A machine and a model; layers that read all are run once."""

    machine: HybridBonded
    decoder: Decoder
    sampled: int  # layers that are run; the others are taken to be like them
    kept: dict[Any, Ran] = field(default_factory=dict, init=False, compare=False)  # runs that come again

    def token(self, scaled: Scaled, ways: Sequence[str] = WAYS) -> Token:
        """One token at the context of `scaled`."""
        return Token({way: self._attention(way, scaled) for way in ways}, self.rest())

    def _attention(self, way: str, scaled: Scaled) -> Ran:
        if way in (OWN, SPREAD):
            return self.all_read(way, scaled.full(), self.decoder.layers)

        def run(at: int) -> Ran:
            return self.attended(way, scaled.layer(at), at)

        return self.layers(scaled, way, run)

    def layers(self, scaled: Scaled, way: str, run: Callable[[int], Ran]) -> Ran:
        """All layers: those that read all, and the others, of which some are run."""
        dense = len(scaled.dense)
        others = times(together(map(run, range(self.sampled))), (self.decoder.layers - dense) / self.sampled)
        return together([others, self.all_read(_full(way), scaled.full(), dense)]) if dense else others

    def attended(self, way: str, readings: Sequence[Reading], first: int = 0) -> Ran:
        """One layer's attention."""
        return self.machine.attention(self.decoder.shape, readings, self.laid(way, readings, first))

    def laid(self, way: str, readings: Sequence[Reading], first: int = 0) -> list[Laid]:
        """Where a layer's pages lie; layers begin with another tile each, so that all tiles hold alike much."""
        mesh = self.machine.mesh
        first = first * len(readings) % mesh.tiles
        if way in (OWN, PLACED):
            return one_head_one_tile(readings, mesh, first)
        if way in (SPREAD, PAGES):
            return interleaved(readings, mesh, first)
        return co_placed(readings, mesh, self.decoder.shape, first)

    def all_read(self, way: str, full: Sequence[Reading], layers: int) -> Ran:
        """Layers that read all pages."""
        key = (way, full[0].stored)
        if key not in self.kept:
            self.kept[key] = self.attended(way, full)
        return times(self.kept[key], layers)

    def rest(self) -> Ran:
        """All products with weights."""
        if "rest" not in self.kept:
            layer = together([self.machine.product(*each) for each in self.decoder.products])
            self.kept["rest"] = together(
                [times(layer, self.decoder.layers), self.machine.product(*self.decoder.last)]
            )
        return self.kept["rest"]

    def held_bytes(self, way: str, scaled: Scaled) -> list[float]:
        """What each tile holds of all layers and weights."""
        found = [self.decoder.weights_bytes / self.machine.mesh.tiles] * self.machine.mesh.tiles
        for at in range(self.decoder.layers):
            full = way in (OWN, SPREAD) or at < len(scaled.dense)
            readings = scaled.full() if full else scaled.layer(at)
            held = self.machine.held_bytes(self.decoder.shape, readings, self.laid(way, readings, at))
            found = [have + more for have, more in zip(found, held, strict=True)]
        return found


def times(run: Ran, count: float) -> Ran:
    """`run`, so often."""

    def all_of(some: Mapping[Any, float]) -> dict[Any, float]:
        return {name: value * count for name, value in some.items()}

    return Ran(run.seconds * count, all_of(run.counts), all_of(run.energy_j),
               tuple(each * count for each in run.busy_s), all_of(run.links_s))  # fmt: skip


def _full(way: str) -> str:
    """How a layer that reads all is laid where the others are laid in this way; balanced layers are balanced too."""
    return {PAGES: SPREAD, PLACED: OWN}.get(way, way)
