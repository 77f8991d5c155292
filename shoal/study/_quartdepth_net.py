"""A small network that tells depth from one picture: convolutions down, sums with what was seen on the way up, exp.

Nothing in it is normalised, as in decoders that give depth in metres: that is where activations have outliers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import cache
from shoal.errors import WorkError
from shoal.study._quartdepth_scenes import SIDE, Scenes, scenes

F32 = NDArray[np.float32]
Node = tuple[str, list[str], str, dict[str, Any]]
USUAL = 4.0  # metres: what the network says before it is trained
RECIPE = 1  # raise it when nets, scenes or training change: networks kept under another one are not used


@dataclass(frozen=True)
class Training:
    """Sizes of the network and of its training."""

    width: int = 16  # channels at half of the picture's side; more below it
    scenes: int = 3000
    steps: int = 2400
    batch: int = 16
    rate: float = 3e-3
    seed: int = 0


def trained(recipe: Training, threads: int = 1) -> Path:
    """The network's file, trained once by so many of torch's threads, and kept.

    Raises:
        MissingExtra: torch, scikit-learn or Pillow is not installed.
        WorkError: the loss is not finite.
    """
    key = hashlib.sha256(repr((RECIPE, sorted(asdict(recipe).items()))).encode()).hexdigest()[:16]
    place = cache.entry("models", f"depth-{key}", lambda folder: _train(recipe, folder / "depth.onnx", threads))
    return place / "depth.onnx"


def _train(recipe: Training, path: Path, threads: int) -> None:
    """Adam on the mean |log depth − log true depth|, half of the pictures mirrored."""
    from shoal.compress.gradients import Differentiable
    from shoal.graph import load
    from shoal.train.fit import seeded
    from shoal.train.library import torch_module, torch_threads

    torch, data, weights = torch_module(), scenes(recipe.scenes, recipe.seed), _weights(recipe)
    _save(path, recipe.width, weights)
    network = Differentiable(load(path))
    leaves = {name: network.weights[name].requires_grad_(True) for name in weights}
    adam = torch.optim.Adam(leaves.values(), lr=recipe.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, recipe.rate, total_steps=recipe.steps)
    source = np.random.default_rng(recipe.seed)
    with torch_threads(threads), seeded(recipe.seed):
        for step in range(recipe.steps):
            adam.zero_grad()
            loss = _loss(torch, network, data[source.integers(0, recipe.scenes, recipe.batch)], step % 2 == 1)
            if not np.isfinite(loss.item()):
                raise WorkError("the loss is not finite", where=f"depth, step {step}", hint="a smaller rate")
            loss.backward()
            torch.nn.utils.clip_grad_norm_(leaves.values(), 1.0)
            adam.step()
            schedule.step()
    _save(path, recipe.width, {name: each.detach().numpy().copy() for name, each in leaves.items()})


def _loss(torch: Any, network: Any, batch: Scenes, mirrored: bool) -> Any:
    pictures, depths = (
        torch.from_numpy(np.ascontiguousarray(each[..., ::-1] if mirrored else each))
        for each in (batch.pictures, batch.depths)
    )
    found = network({"x": pictures}, ["up_log"])["up_log"]
    return (found - depths.log()).abs().mean()


def _layers(width: int) -> dict[str, tuple[int, ...]]:
    """The kernels' shapes by op: at a half, a quarter, an eighth and a sixteenth of the side, and up again."""
    a, b, c, d = width, 2 * width, 4 * width, 6 * width
    found: dict[str, tuple[int, ...]] = {"down1": (a, 1, 5, 5)}
    for number, (few, many) in enumerate(((a, b), (b, c), (c, d)), 2):
        found[f"down{number}"] = (many, few, 3, 3)
        found[f"first{number}"] = found[f"second{number}"] = (many, many, 3, 3)
    for number, (many, few) in ((3, (d, c)), (2, (c, b)), (1, (b, a))):
        found[f"up{number}_narrow"] = (few, many, 1, 1)
        found[f"up{number}_fuse"] = found[f"up{number}_smooth"] = (few, few, 3, 3)
    return found | {"up_head": (1, a, 3, 3)}


def _weights(recipe: Training) -> dict[str, F32]:
    """As He has them; what is added to a sum begins small."""
    source = np.random.default_rng(recipe.seed)
    found: dict[str, F32] = {}
    for name, shape in _layers(recipe.width).items():
        small = 0.25 if name.startswith("second") or name == "up_head" else 1.0
        spread = small * (2 / np.prod(shape[1:])) ** 0.5
        found[f"{name}.w"] = (source.standard_normal(shape) * spread).astype(np.float32)
        found[f"{name}.b"] = np.zeros(shape[0], np.float32)
    found["up_head.b"] += np.float32(np.log(USUAL))
    return found


def _nodes() -> list[Node]:
    nodes = _convolution("down1", "x", "level1", 2)
    for number in (2, 3, 4):
        nodes += _convolution(f"down{number}", f"level{number - 1}", f"start{number}", 2)
        nodes += _convolution(f"first{number}", f"start{number}", f"middle{number}")
        nodes += _convolution(f"second{number}", f"middle{number}", f"level{number}", added=f"start{number}")
    low = "level4"
    for number in (3, 2, 1):
        nodes += _convolution(f"up{number}_narrow", low, f"up{number}_few")
        nodes.append(("Resize", [f"up{number}_few", "", "twice"], f"up{number}_wide", {
            "mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor",
        }))  # fmt: skip
        nodes.append(("Add", [f"up{number}_wide", f"level{number}"], f"up{number}_sum", {}))
        nodes += _convolution(f"up{number}_fuse", f"up{number}_sum", f"up{number}_fused")
        low = f"up{number}_out"
        nodes += _convolution(f"up{number}_smooth", f"up{number}_fused", low, added=f"up{number}_sum")
    return [*nodes, *_convolution("up_head", low, "up_log", bent=False), ("Exp", ["up_log"], "depth", {})]


def _convolution(
    name: str, given: str, out: str, stride: int = 1, added: str = "", bent: bool = True
) -> list[Node]:
    """A convolution whose output has the size of its input over the stride; a sum; an activation function."""
    side = {"down1": 5}.get(name, 1 if name.endswith("narrow") else 3)
    options = {"kernel_shape": [side] * 2, "pads": [side // 2] * 4, "strides": [stride] * 2}
    whole = out if not (added or bent) else f"{name}.y"
    nodes: list[Node] = [("Conv", [given, f"{name}.w", f"{name}.b"], whole, options)]
    if added:
        nodes.append(("Add", [whole, added], f"{name}.sum", {}))
    return [*nodes, ("Relu", [nodes[-1][2]], out, {})] if bent else nodes


def _save(path: Path, width: int, weights: Mapping[str, F32]) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    twice = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice")
    half = SIDE // 2
    graph = helper.make_graph(
        [helper.make_node(kind, given, [out], name=out, **options) for kind, given, out, options in _nodes()],
        f"depth{width}",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, SIDE, SIDE))],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, (1, 1, half, half))],
        [*(numpy_helper.from_array(each, name) for name, each in weights.items()), twice],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
