"""Small decoders trained alike in all but their products, and kept; needs torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal import cache, codec
from shoal.train import Recipe
from shoal.train.language import (
    Decoder,
    built_decoder,
    corpus,
    fit_language,
    losses,
    parameters,
    runner,
    stretches,
)
from shoal.train.ternary import FloatProducts, GatePenalty, TernaryProducts, differential, hybrid_layers

if TYPE_CHECKING:
    from torch import nn

    from shoal.train.language import Stretches

KIND, VERSION = "trained", 1  # raise it when the same settings give other weights
AFTER = 3  # a correction on its own is trained for steps / AFTER


@dataclass(frozen=True)
class Arm:
    """One way of training."""

    name: str
    products: FloatProducts | TernaryProducts
    attention: bool = False  # differential
    after: bool = False  # only the correction is trained, beside a plain ternary network that is ready

    def __str__(self) -> str:
        return self.name


FLOAT = Arm("float32", FloatProducts())
FLOAT_DIFFERENTIAL = Arm("float32, differential attention", FloatProducts(), attention=True)
TERNARY = Arm("ternary", TernaryProducts())


@dataclass(frozen=True)
class Course:
    """All that the arms have in common."""

    decoder: Decoder
    recipe: Recipe
    tested: int = 400  # stretches of held-out text
    say: Callable[[str], None] = print

    @cached_property
    def held(self) -> Stretches:
        """Text that no arm has learned from, evenly spread over all that there is."""
        text = corpus()[1]
        places = self.decoder.context
        return stretches(text, places, max(places, len(text) // self.tested))

    def trained(self, arm: Arm, seed: int) -> Trained:
        """The arm, trained now or before.

        Raises:
            MissingExtra: torch is not installed.
            WorkError: a loss is not finite; step and arm are named.
        """
        model = built(arm, self.decoder, seed)

        def build(folder: Path) -> None:
            self.say(f"training {arm.name}, width {self.decoder.width}, seed {seed}")
            found = self._fit(arm, model, seed)
            codec.save_arrays(parameters(model), folder / "weights.npz")
            np.save(folder / "losses.npy", found)

        place = cache.entry(KIND, self._key(arm, seed), build)
        with np.load(place / "weights.npz") as weights:
            _load(model, dict(weights))
        return Trained(arm, self, model.eval(), np.load(place / "losses.npy"))

    def wider(self, hidden: int) -> Course:
        """The same with another width of the gated products."""
        return replace(self, decoder=replace(self.decoder, hidden=hidden))

    def _fit(self, arm: Arm, model: nn.Module, seed: int) -> NDArray[np.float32]:
        if arm.after:
            _load(model, parameters(self.trained(TERNARY, seed).model))
            _only_corrections(model)
        recipe, penalty = self._recipe(arm, seed)
        found = fit_language(model, corpus()[0], recipe, penalty=penalty, arm=f"{arm.name}, seed {seed}")
        return np.array(found.losses, np.float32)

    def _recipe(self, arm: Arm, seed: int) -> tuple[Recipe, GatePenalty | None]:
        steps = max(1, self.recipe.steps // AFTER) if arm.after else self.recipe.steps
        hybrid = isinstance(arm.products, TernaryProducts) and arm.products.rank
        penalty = GatePenalty(steps) if hybrid else None
        return replace(self.recipe, steps=steps, seed=seed), penalty

    def _key(self, arm: Arm, seed: int) -> str:
        text = hashlib.sha256(corpus()[0].tobytes()).hexdigest()
        facts = (VERSION, arm, self.decoder, *self._recipe(arm, seed), text)
        return hashlib.sha256(repr(facts).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Trained:
    """A decoder after its training."""

    arm: Arm
    course: Course
    model: nn.Module
    losses: NDArray[np.float32]  # of each step, nats a byte

    @cached_property
    def held(self) -> float:
        """The loss of text that was held out, nats a byte."""
        return float(losses(runner(self.model), self.course.held).mean())


def corrected(rank: int, gate: Any = "scalar", **options: Any) -> Arm:
    """Ternary with a correction of this rank beside each layer.

    Args:
        rank: of the corrections.
        gate: their kind.
        options: further fields of `Arm`, or `only`: the layers that have one.
    """
    only = tuple(options.pop("only", ()))
    name = f"ternary + rank {rank}" + (", half of the layers" if only else "")
    name += (", afterwards" if options.get("after") else "") + (
        ", differential attention" if options.get("attention") else ""
    )
    return Arm(name, TernaryProducts(rank, gate, only), **options)


def tiny_ternary(steps: int = 2000, seed: int = 0, say: Callable[[str], None] = print) -> Trained:
    """A plain ternary decoder of the usual sizes, trained now or before: what studies of ternary kernels run.

    Raises:
        MissingExtra: torch is not installed.
    """
    recipe = Recipe(steps=steps, batch=16, optimiser="adamw", rate=3e-3, warmup=0.05, clip=1.0)
    return Course(Decoder(), recipe, say=say).trained(TERNARY, seed)


def built(arm: Arm, decoder: Decoder, seed: int) -> nn.Module:
    """An arm's network before its training."""
    return built_decoder(decoder, seed, arm.products.linear, differential(decoder, seed) if arm.attention else None)


def _load(model: nn.Module, weights: dict[str, NDArray[Any]]) -> None:
    """Those that are there; a correction that is not stays as it is."""
    import torch

    model.load_state_dict({name: torch.from_numpy(each) for name, each in weights.items()}, strict=False)


def _only_corrections(model: nn.Module) -> None:
    model.requires_grad_(False)
    for layer in hybrid_layers(model).values():
        for each in (layer.side_in, layer.side_out, *layer.gate.parameters()):
            each.requires_grad_(True)
