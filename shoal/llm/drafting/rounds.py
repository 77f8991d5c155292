"""What drafting would bring on two boards: the drafter on one, the target on another, by the roofline of each."""

from __future__ import annotations

from dataclasses import dataclass, field

from shoal.cost.models.roofline import Roofline
from shoal.cost.reach import peak_flop_per_s
from shoal.fleet import Device, board
from shoal.llm.architecture import Architecture

FORMAT, VALUE_BYTES = "float16", 2
NODE_BYTES = 8  # of a drafted token on the link: itself and its parent
OPS = 10  # calls of an engine a layer: norms, products, attention


@dataclass(frozen=True)
class Two:
    """A target on a slow board with room for it, a head that drafts on a fast one with little."""

    target: Architecture
    on: str = "desktop-ryzen-7700x"  # the target's board
    blocks: int = 1  # of the head, like the target's layers
    draft_on: str = "rtx-3060-12gb"  # its board
    link_bytes_per_s: float = 12e9  # between them: PCI Express 4, eight lanes and more, as it is reached
    link_s: float = 20e-6  # latency, each way
    seen: int = 512  # tokens of the text
    roofline: Roofline = field(default_factory=Roofline)

    def target_s(self, tokens: int) -> float:
        """t_T: one pass of the target over so many tokens."""
        weights = self.target.active_parameters - self._embedding
        macs = tokens * self.target.macs(self.seen + tokens)
        return self._pass_s(
            self.on, macs, weights, self.target.cache_bytes(self.seen, VALUE_BYTES), len(self.target.layers)
        )

    def draft_s(self, levels: int, top_k: int = 1) -> float:
        """t_D: so many passes of the head, of `top_k` tokens each."""
        width, layer = self.target.width, self.target.layers[0]
        ends = 4 * width**2 + self.target.vocabulary * width  # what fuses, and the target's head
        parts = [part for part in (layer.mixer, layer.product) if part is not None]
        weights = ends + self.blocks * sum(part.parameters(width) for part in parts)
        macs = ends + self.blocks * (layer.mixer.macs(width, self.seen) if layer.mixer else 0)
        macs += self.blocks * (layer.product.macs(width) if layer.product else 0)
        cached = self.blocks * (layer.mixer.cached(self.seen) if layer.mixer else 0) * VALUE_BYTES
        return levels * self._pass_s(self.draft_on, top_k * macs, weights, cached, self.blocks + 2)

    def between_s(self, tokens: int, accepted: float) -> float:
        """t_link: a tree one way; accepted tokens and their features the other."""
        if self.on == self.draft_on:
            return 0.0
        moved = NODE_BYTES * tokens + (accepted + 1) * (4 + VALUE_BYTES * self.target.width)
        return 2 * self.link_s + moved / self.link_bytes_per_s

    def speedup(self, length: float, tokens: int, levels: int | None = None, top_k: int = 1) -> float:
        """Over the target alone, where `length` (τ) tokens of so many are accepted a round."""
        return (length + 1) * self.target_s(1) / self.round_s(tokens, length, levels, top_k)

    def round_s(self, tokens: int, length: float, levels: int | None = None, top_k: int = 1) -> float:
        """Of one round, as in `speedup`."""
        return self.draft_s(levels or tokens, top_k) + self.between_s(tokens, length) + self.target_s(tokens + 1)

    @property
    def _embedding(self) -> int:
        """Weights of the table of inputs, of which a token reads one row."""
        return 0 if self.target.tied else self.target.vocabulary * self.target.width

    def _pass_s(self, name: str, macs: int, weights: int, cached_bytes: float, layers: int) -> float:
        device = board(name)
        unit = device.units[0]
        peak = peak_flop_per_s(_called(device), unit, unit.engines[0], FORMAT)
        compute_s = 2 * macs / (peak * self.roofline.compute_efficiency)
        moved = weights * VALUE_BYTES + cached_bytes
        memory_s = moved / (unit.memory_bytes_per_s * self.roofline.memory_efficiency)
        return max(compute_s, memory_s) + layers * OPS * self.roofline.op_overhead_s


def _called(device: Device) -> str:
    return f"{device.name}/{device.units[0].name}"
