"""Networks with what they are fed: trained ones on real text and photos, light ones on normal values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import MissingExtra
from shoal.study._prose import passages
from shoal.study._repository import beside

if TYPE_CHECKING:
    from shoal.graph import Graph
    from shoal.study._bench import Bench

TRAINED = ("minilm", "efficientnet_lite0")
TOKENS = 64


@dataclass(frozen=True, eq=False)
class Network:
    """A network bound to its shapes, and items for it."""

    name: str
    graph: Graph
    samples: tuple[Mapping[str, NDArray[Any]], ...]
    fed: str  # with what: "real text"


def network(bench: Bench, name: str, items: int) -> Network:
    """One of `TRAINED`, or a light model with seeded weights.

    Raises:
        InputError: there is no such network, or it is built by the repository's examples, which are not here.
        MissingExtra: photos need Pillow.
    """
    if name == "minilm":
        return _minilm(name, items)
    if name == "efficientnet_lite0":
        return _efficientnet(name, items)
    graph = bench.model(name).graph
    source = np.random.default_rng(bench.seed)
    shapes = {each: graph.tensors[each].shape for each in graph.inputs}
    samples = tuple(
        {each: source.standard_normal(shape, np.float32) for each, shape in shapes.items()} for _ in range(items)
    )
    return Network(name, graph, samples, "normal values, seeded weights")


def _minilm(name: str, items: int) -> Network:
    from shoal.graph import load

    model = _example(name)
    graph = load(model.model(), sizes={"batch": 1, "tokens": TOKENS})
    samples = tuple(model.encode([text], TOKENS) for text in passages(items))
    return Network(name, graph, samples, f"{items} passages of {TOKENS} tokens")


def _efficientnet(name: str, items: int) -> Network:
    from shoal.graph import load

    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("Pillow", "photos") from None
    model, photos = _example(name), _example("photos").photos()[:items]
    samples = tuple({"image": model.preprocess(Image.open(each.path))} for each in photos)
    return Network(name, load(model.model()), samples, f"{len(photos)} photos")


def _example(name: str) -> Any:
    """A module of the repository's examples."""
    return beside(f"examples.models.{name}")
