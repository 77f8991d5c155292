"""How quickly a language model can answer at best: what links and drafts allow, from its configuration.

Source: Zhao et al., "Insights into DeepSeek-V3: Scaling Challenges and Reflections on Hardware for AI Architectures", 2025,
sections 2.3.2 and 2.3.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from shoal.errors import InputError
from shoal.llm.architecture import Architecture
from shoal.llm.parts import Experts

EXCHANGES = 2  # of a layer: tokens go to their experts, answers come back
STREAMS = 2  # half the batch computes while the other half is under way


@dataclass(frozen=True)
class ExpertParallel:
    """Decoding with the experts of each layer on as many devices: how long links take, whatever devices compute.

    Two halves of a batch take turns, so that a layer lasts at least as long as what both of them exchange.
    """

    tokens: int  # of each half batch, on each device
    met: int  # experts of a token, those that are for all included
    width: int  # values of a token
    layers: int  # that exchange
    link_bytes_per_s: float  # of one device
    out_bytes: float = 1  # of a value on its way to experts: FP8
    back_bytes: float = 2  # and back: BF16

    def __post_init__(self) -> None:
        least = min(self.tokens, self.met, self.width, self.layers, self.link_bytes_per_s)
        if least <= 0 or self.out_bytes < 0 or self.back_bytes < 0:
            raise InputError("no exchange between experts", needed="everything above 0", had=str(self))

    @property
    def exchanged_bytes(self) -> float:
        """What a device sends in one layer for half a batch, both ways."""
        return (self.out_bytes + self.back_bytes) * self.tokens * self.met * self.width

    @property
    def exchange_s(self) -> float:
        """Seconds of that."""
        return self.exchanged_bytes / self.link_bytes_per_s

    @property
    def token_s(self) -> float:
        """The least time between two tokens of a sequence."""
        return STREAMS * self.exchange_s * self.layers

    @property
    def tokens_per_s(self) -> float:
        """Of one sequence, at most."""
        return 1 / self.token_s


def expert_parallel(
    model: Architecture, link_bytes_per_s: float, tokens: int = 32, *, width: int = 0, layers: int = 0
) -> ExpertParallel:
    """The limit of a model whose experts are spread, one a device.

    Args:
        model: with experts.
        link_bytes_per_s: what each device's link takes.
        tokens: of each half batch, on each device.
        width: other than the model's; the publication rounds 7168 to 7000. 0: the model's.
        layers: other than those with experts; the publication counts all. 0: those with experts.

    Raises:
        InputError: it has no experts.
    """
    found = [layer.product for layer in model.layers if isinstance(layer.product, Experts)]
    if not found:
        raise InputError("a model without experts exchanges nothing between them", where=model.kind)
    met = found[0].chosen + found[0].shared // found[0].hidden
    return ExpertParallel(tokens, met, width or model.width, layers or len(found), link_bytes_per_s)


def drafted_speed(acceptance: float, cost: float = 0.0, drafted: int = 1) -> float:
    """How many times as quick generation gets by drafts, at most.

    Args:
        acceptance: share of drafted tokens that hold, each if those before it did.
        cost: of drafting one token, as a share of a step of the model itself.
        drafted: tokens between two steps; 1 is the module of DeepSeek-V3 that foresees the token after the next.

    Raises:
        InputError: no share, a negative cost, or nothing drafted.
    """
    if not 0 <= acceptance <= 1 or cost < 0 or drafted < 1:
        raise InputError("no draft", needed="acceptance from 0 to 1, cost at least 0, drafted at least 1",
                         had=f"{acceptance:g}, {cost:g}, {drafted}")  # fmt: skip
    return sum(acceptance**at for at in range(drafted + 1)) / (1 + drafted * cost)
