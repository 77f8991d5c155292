"""A step of a language model as operations that page their tensors, each device's part of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.errors import InputError
from shoal.llm.architecture import Architecture, Layer
from shoal.llm.parts import Experts
from shoal.sim.paging import Op, Tensor


@dataclass(frozen=True)
class Load:
    """What is asked of a model at once."""

    batch: int  # sequences
    seen: int  # tokens of each before the step
    new: int = 1  # tokens of each in the step: one in decode, the prompt in prefill
    devices: int = 1  # that share every matrix and all heads
    value_bytes: float = 2  # of a weight and of what is kept: bfloat16

    def __post_init__(self) -> None:
        if min(self.batch, self.new, self.devices) < 1 or self.seen < 0 or self.value_bytes <= 0:
            raise InputError("a step has sequences, tokens and devices", had=str(self))

    @property
    def tokens(self) -> int:
        """Of all sequences."""
        return self.batch * self.new


def step_ops(model: Architecture, load: Load) -> tuple[Op, ...]:
    """Operations in order: mixer and product of each layer, then the answers of each sequence's last token.

    Two sums over devices a layer. Experts are those that tokens meet if a router chooses evenly; the mean of what is seen
    stands for all places of a prompt, which is exact where attention is not windowed.
    """
    head = model.vocabulary * model.width
    return (
        *(op for at, layer in enumerate(model.layers) for op in _layer(model.width, at, layer, load)),
        Op("head", 2.0 * load.batch * head / load.devices, (_weights(head, load),)),
    )


def _layer(width: int, at: int, layer: Layer, load: Load) -> Iterator[Op]:
    crossed = load.tokens * width * load.value_bytes
    if layer.mixer:
        seen = load.seen + (load.new + 1) // 2
        flops = 2.0 * load.tokens * layer.mixer.macs(width, seen) / load.devices
        tensors = (_weights(layer.mixer.parameters(width), load), _cache(layer, load))
        yield Op(f"{at}/mixer", flops, tensors, 2 * crossed, crossed)
    if layer.product:
        flops = 2.0 * load.tokens * layer.product.macs(width) / load.devices
        yield Op(f"{at}/product", flops, _product(width, layer, load), 2 * crossed, crossed)


def _product(width: int, layer: Layer, load: Load) -> tuple[Tensor, ...]:
    assert layer.product is not None
    all_, product = layer.product.parameters(width), layer.product
    if not isinstance(product, Experts):
        return (_weights(all_, load),)
    one = 3 * width * product.hidden
    always = _weights(all_ - product.count * one, load)
    # where all but all are met they are fetched without asking the router
    met = 1 - (1 - product.chosen / product.count) ** load.tokens
    size = product.count * one * load.value_bytes / load.devices
    return always, Tensor(size, met * size, foreseen=met > 0.99, pieces=max(1, round(met * product.count)))


def _weights(count: int, load: Load) -> Tensor:
    size = count * load.value_bytes / load.devices
    return Tensor(size, size)


def _cache(layer: Layer, load: Load) -> Tensor:
    """Keys and values: what was kept is read, what is new is written."""
    assert layer.mixer is not None
    each = load.batch * load.value_bytes / load.devices
    before, after = (layer.mixer.cached(tokens) * each for tokens in (load.seen, load.seen + load.new))
    return Tensor(
        after, before if load.seen else 0.0, written_bytes=min(after, load.new * layer.mixer.cached(1) * each)
    )
