"""Training a small model on text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import catalog
from shoal.llm.library import transformers_module
from shoal.llm.modules import module
from shoal.llm.tiny.contract import FAMILY

if TYPE_CHECKING:
    from torch import Tensor, nn

PLACES = 128  # bytes of a stretch
EVEN = 0.01  # weight of the loss that spreads bytes over experts
CORRECTION = 0.003  # how far an expert's figure moves a step, where the model has such figures


def make(kind: str, path: Path) -> str:
    """Train a kind and write its weights; what it then reaches on text that it has not seen, in words."""
    from shoal.train import fit
    from shoal.train.language import corpus, keep, perplexity, runner, stretches
    from shoal.train.language.learn import surprise

    found = catalog.find(FAMILY, kind)
    learned, held = corpus()
    made = module(found.config, seed=found.recipe.seed)
    model, spread = answering(made), balance(made)
    fitted = fit(
        model, stretches(learned, PLACES, PLACES // 2), found.recipe, loss=surprise, penalty=spread, arm=kind
    )
    checksum = keep(found.written(_own(made)), path)
    reached = perplexity(runner(model), stretches(held[: 200 * PLACES], PLACES))
    return f"{fitted.duration_s:.0f} s; perplexity a byte {reached:.3f}; {checksum}"


def answering(made: nn.Module) -> nn.Module:
    """The model as a module of symbols, (batch, places) → logits."""
    torch = transformers_module("torch")

    class Answering(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch is known only here
        def __init__(self) -> None:
            super().__init__()
            self.inner = made

        def forward(self, symbols: Tensor) -> Tensor:
            logits: Tensor = self.inner(symbols, use_cache=False).logits
            return logits

    found: nn.Module = Answering()
    return found


def balance(made: nn.Module) -> Callable[[Any, int], Tensor | None]:
    """A penalty that spreads bytes over the experts: the share of choices times the mean share of the router.

    [Fedus et al., "Switch Transformers", 2021, eq. 4] Where the router has a figure for each expert, that is moved
    instead, and nothing is added. [DeepSeek-AI, "DeepSeek-V3", 2024, §2.1.2]
    """
    spread = _Spread()
    for each in made.modules():
        if type(each).__name__.endswith(("TopKRouter", "TopkRouter")):
            each.register_forward_hook(spread.listen)
    return spread.penalty


class _Spread:
    """What routers have chosen since the last step."""

    def __init__(self) -> None:
        self._shares: list[Tensor] = []

    def listen(self, router: Any, given: Any, found: tuple[Tensor, Tensor, Tensor]) -> None:
        """Of a forward pass in training."""
        if not router.training:
            return
        logits, _, chosen = found
        load = chosen.flatten().bincount(minlength=logits.shape[-1]) / chosen.numel()
        figure = getattr(router, "e_score_correction_bias", None)
        if figure is None:
            self._shares.append(len(load) * (load * logits.softmax(-1).mean(0)).sum())
        else:
            figure += CORRECTION * (load.mean() - load).sign()

    def penalty(self, _: Any, step: int) -> Tensor | None:
        """Of all layers together."""
        found, self._shares = self._shares, []
        return EVEN * transformers_module("torch").stack(found).sum() if found else None


def _own(made: nn.Module) -> dict[str, Any]:
    """The weights by name; of tied ones the first."""
    tied: set[str] = set(getattr(made, "all_tied_weights_keys", None) or ())
    return {name: each.detach().numpy() for name, each in made.state_dict().items() if name not in tied}
