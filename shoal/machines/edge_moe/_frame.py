"""An image through the whole network: what the accelerator does one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from shoal.errors import InputError
from shoal.machines.accelerators.contract import Ran
from shoal.machines.edge_moe import _units as units
from shoal.machines.edge_moe._experts import Chosen, best, queues
from shoal.machines.edge_moe._resources import Part, linear_unit, parts
from shoal.machines.edge_moe._schedules import Name, schedule
from shoal.machines.edge_moe._shape import Shape
from shoal.machines.edge_moe._stages import Stage

if TYPE_CHECKING:
    from shoal.machines.accelerators.edge_moe import EdgeMoe


@dataclass(frozen=True)
class Ways:
    """The ideas that can be left out."""

    order: Literal["experts", "tokens"] = "experts"  # tokens: each fetches its experts
    attention: Name = "skewed"
    single_pass: bool = True  # else scores are read once more, for the sums


def drawn_choices(shape: Shape, seed: int = 0) -> list[Chosen]:
    """Choices of a gate with random weights for random tokens, for each layer with experts."""
    source = np.random.default_rng(seed)
    found = []
    for _ in range(shape.layers // 2):
        scores = source.standard_normal((shape.tokens, shape.width)) @ source.standard_normal(
            (shape.width, shape.experts)
        )
        found.append(best((scores * 2**20).astype(np.int64), shape.chosen))
    return found


def frame(machine: EdgeMoe, shape: Shape, chosen: Sequence[Chosen], ways: Ways | None = None) -> Ran:
    """One image and one task: cycles, energy, trace; no values.

    Args:
        machine: with its sizes.
        shape: of the network.
        chosen: the choices of each layer with experts, (tokens, experts of a token).
        ways: which ideas are used; none: all.

    Raises:
        InputError: a head that makes no whole words, or choices that do not fit the network or the queues.
        LimitError: weights that do not fit into a buffer.
    """
    return machine.ran(tuple(stages(machine, shape, chosen, ways or Ways())), {})


def stages(machine: EdgeMoe, shape: Shape, chosen: Sequence[Chosen], ways: Ways) -> list[Stage]:
    """The parts of an image's work in order; raises as `frame`."""
    _check(machine, shape, chosen)
    found = units.linear(machine, "embed", shape.patches, shape.patch_features, shape.width)
    routed = iter(chosen)
    for name, experts in shape.of_layers():
        found.append(units.norm(machine, f"{name}.norm1", shape.tokens, shape.width))
        found += _attention(machine, shape, name, ways)
        found.append(units.norm(machine, f"{name}.norm2", shape.tokens, shape.width))
        if experts:
            found.append(units.gate(machine, f"{name}.gate", shape.tokens, shape.width, shape.experts))
            found += _experts(machine, shape, name, next(routed), ways)
        else:
            found += _perceptron(machine, name, shape.tokens, shape.width, shape.hidden)
    return [*found, units.norm(machine, "norm", 1, shape.width)]


def port_words(rows: int, keys: int, slots: int, name: str) -> tuple[int, int]:
    """The most words a cycle that queries and keys of a schedule need, and results: rows a step, a word of each a cycle."""
    fetched, keys_met, ended = schedule(name, rows, keys, slots).new_rows()
    return int((fetched + keys_met).max()), int(ended.max())


def separate(machine: EdgeMoe, shape: Shape) -> list[Part]:
    """What the device would have to hold with a linear unit for each kind of layer, with buffers of its size."""
    width = shape.width
    sizes = {
        "embedding": shape.patch_features * width, "queries, keys, values": 3 * width * width, "projection": width * width,
        "perceptron": width * shape.hidden, "experts": width * shape.expert_hidden,
    }  # fmt: skip
    made = [
        linear_unit(machine, f"linear: {name}", size * machine.weight_bits // 8) for name, size in sizes.items()
    ]
    return [*made, *(each for each in parts(machine) if each.name != "linear")]


def _perceptron(machine: EdgeMoe, name: str, tokens: int, width: int, hidden: int) -> list[Stage]:
    return [
        *units.linear(machine, f"{name}.first", tokens, width, hidden),
        *units.linear(machine, f"{name}.second", tokens, hidden, width),
    ]


def _attention(machine: EdgeMoe, shape: Shape, name: str, ways: Ways) -> list[Stage]:
    tokens, heads, width = shape.tokens, shape.heads, shape.width
    found = units.linear(machine, f"{name}.qkv", tokens, width, 3 * width)
    found.append(units.scores(machine, f"{name}.scores", tokens, shape.head, tokens, heads, ways.attention))
    if not ways.single_pass:
        found.append(units.summed(machine, f"{name}.sums", tokens * tokens * heads))
    found.append(units.mixed(machine, f"{name}.values", tokens, tokens, shape.head, heads, ways.attention))
    return [*found, *units.linear(machine, f"{name}.project", tokens, width, width)]


def _experts(machine: EdgeMoe, shape: Shape, name: str, chosen: Chosen, ways: Ways) -> list[Stage]:
    """Each non-empty expert with all its tokens; or each token with its experts, which are fetched for it alone."""
    if ways.order == "experts":
        counts = [(expert, len(tokens)) for expert, (tokens, _) in queues(chosen).items()]
    else:
        counts = [(int(expert), 1) for expert in chosen.reshape(-1)]
    found: list[Stage] = []
    for expert, tokens in counts:
        found += _perceptron(machine, f"{name}.expert {expert}", tokens, shape.width, shape.expert_hidden)
    return found


def _check(machine: EdgeMoe, shape: Shape, chosen: Sequence[Chosen]) -> None:
    if shape.head % machine.port_features:
        raise InputError("a head that makes no whole words of the port", where="edge_moe",
                         needed=f"a multiple of {machine.port_features} features", had=str(shape.head))  # fmt: skip
    if shape.tokens > machine.queue_entries // shape.experts:
        raise InputError("more tokens than an expert's queue holds", where="edge_moe",
                         needed=str(shape.tokens), had=str(machine.queue_entries // shape.experts))  # fmt: skip
    fits = [
        each.shape == (shape.tokens, shape.chosen) and 0 <= each.min() <= each.max() < shape.experts
        for each in chosen
    ]
    if len(fits) != shape.layers // 2 or not all(fits):
        raise InputError("choices of experts that are not of this network", where="edge_moe",
                         needed=f"{shape.layers // 2} × ({shape.tokens}, {shape.chosen}), below {shape.experts}",
                         had=f"{len(fits)} × {chosen[0].shape if fits else ()}")  # fmt: skip
