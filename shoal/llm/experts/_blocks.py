"""Where a model's experts are: a router and stacked matrices in each layer that has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal.errors import ModelError
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import Tensor, nn

    from shoal.llm.experts._handle import Handle

VALUE_BITS = 16  # of a weight that nothing was done to
MATRICES = ("gate_up_proj", "down_proj")


@dataclass(frozen=True, eq=False)
class Block:
    """The experts of one layer.

    The router gives (logits (n, count), weights (n, chosen), indices (n, chosen)); the experts have `gate_up_proj`
    (count, 2 hidden, width) and `down_proj` (count, width, hidden).
    """

    layer: int
    router: Any
    experts: Any

    @property
    def count(self) -> int:
        """Experts there are."""
        return int(self.experts.num_experts)

    @property
    def bits(self) -> int:
        """What the experts take as they are stored; float16 where nobody says."""
        plain = sum(getattr(self.experts, name).numel() for name in MATRICES) * VALUE_BITS
        return int(getattr(self.experts, "kept_bits", plain))

    def shares(self, logits: Tensor) -> Tensor:
        """What the router thinks of each expert, (n, count), in all 1 a token."""
        if hasattr(self.router, "e_score_correction_bias"):
            scores = logits.sigmoid()
            return scores / scores.sum(-1, keepdim=True)
        return logits.softmax(-1)

    def outputs(self, x: Tensor) -> Tensor:
        """Of every expert for each of (n, width): (count, n, width)."""
        torch = transformers_module("torch")
        gate, up = torch.einsum("nw,ehw->enh", x, self.experts.gate_up_proj).chunk(2, dim=-1)
        found: Tensor = torch.einsum("enh,ewh->enw", self.experts.act_fn(gate) * up, self.experts.down_proj)
        return found

    def set(self, handle: Handle, gate_up: Tensor, down: Tensor, bits: int | None = None) -> None:
        """Exchange the matrices; `bits` is what the new ones take, none: in proportion to their size."""
        torch = transformers_module("torch")
        had, before = self.bits, self.experts.gate_up_proj.numel()
        for name, value in zip(MATRICES, (gate_up, down), strict=True):
            made = torch.nn.Parameter(value.detach().clone(), requires_grad=False)
            handle.replace(self.experts, name, made)
        handle.replace(self.experts, "num_experts", len(gate_up))
        handle.replace(self.experts, "kept_bits", had * gate_up.numel() // before if bits is None else bits)


def blocks(model: nn.Module) -> list[Block]:
    """The layers that have experts.

    Raises:
        ModelError: there is none.
    """
    found = []
    for at, layer in enumerate(getattr(getattr(model, "model", model), "layers", ())):
        inside = getattr(layer, "mlp", None)
        experts = getattr(inside, "experts", None)
        if inside is not None and hasattr(inside, "gate") and all(hasattr(experts, name) for name in MATRICES):
            found.append(Block(at, inside.gate, experts))
    if not found:
        raise ModelError("no layer of the model has experts", needed="router 'gate' and 'experts' in layers' 'mlp'")
    return found


def ungrouped(model: nn.Module, technique: str) -> list[Block]:
    """The layers that have experts, whose routers choose among all of them alike.

    Raises:
        ModelError: there is none, or a router is of another kind.
    """
    found = blocks(model)
    if any(hasattr(each.router, "e_score_correction_bias") for each in found):
        raise ModelError(f"'{technique}' knows routers with one softmax over all experts only",
                         where=type(found[0].router).__name__)  # fmt: skip
    return found


def stored_bits(model: nn.Module) -> int:
    """What all experts of the model take."""
    return sum(each.bits for each in blocks(model))
