"""Small networks trained on handwritten digits: real data, seconds to train, accuracy that can be lost."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.train.tasks._files import of_scikit_learn

TRAINED = 1200  # of 1797; the others are for testing
F32 = NDArray[np.float32]
Weight = NDArray[np.float32] | NDArray[np.int64]  # whole numbers are shapes, which nothing learns
Disturbed = Callable[[F32, np.random.Generator], F32]
Node = tuple[str, list[str], str, dict[str, Any]]  # operator, inputs, output, attributes


@dataclass(frozen=True, eq=False)
class Digits:
    """Images of (1, 1, 8, 8), from −1 to 1, and what they show."""

    images: F32
    labels: NDArray[np.int64]

    def samples(self, count: int = 0) -> list[dict[str, F32]]:
        """The first so many as inputs; 0: all."""
        return [{"x": image} for image in self.images[: count or None]]


def digits(seed: int = 0, tested: int = 597) -> tuple[Digits, Digits]:
    """To train with, and at most so many others to test with.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    with gzip.open(of_scikit_learn("data/digits.csv.gz"), "rt", encoding="ascii") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    order = np.random.default_rng(seed).permutation(len(table))
    images = (table[order, :64] / 8 - 1).reshape(-1, 1, 1, 8, 8).astype(np.float32)
    labels = table[order, 64].astype(np.int64)
    return Digits(images[:TRAINED], labels[:TRAINED]), Digits(
        images[TRAINED : TRAINED + tested], labels[TRAINED : TRAINED + tested]
    )


def convolutional(path: Path, data: Digits, epochs: int, seed: int = 0) -> Path:
    """A trained network of ten layers, two residual sums and a depthwise convolution among them, written to `path`.

    Raises:
        MissingExtra: torch is not installed.
    """
    source = np.random.default_rng(seed)
    weights: dict[str, F32] = {}
    nodes: list[Node] = []
    for name, given, shape, options in (
        ("c0", "x", (16, 1, 3, 3), {}), ("c1", "r0", (16, 16, 3, 3), {}), ("c2", "r1", (16, 16, 3, 3), {"add": "r0"}),
        ("c3", "r2", (32, 16, 3, 3), {"strides": [2, 2]}), ("c4", "r3", (32, 32, 3, 3), {}),
        ("c5", "r4", (32, 32, 3, 3), {"add": "r3"}), ("c6", "r5", (32, 1, 3, 3), {"group": 32}),
        ("c7", "r6", (64, 32, 1, 1), {}),
    ):  # fmt: skip
        weights |= _drawn(source, name, shape)
        nodes += _convolution(name, given, shape, dict(options))
    weights |= _drawn(source, "d0", (64, 1024)) | _drawn(source, "d1", (10, 64))
    nodes += [("Flatten", ["r7"], "f", {}), *_dense("d0", "f", "h"), *_dense("d1", "hr", "y")[:1]]
    return trained(path, nodes, weights, data, epochs, seed)


def dense(path: Path, data: Digits, epochs: int, width: int, seed: int = 0) -> Path:
    """A trained perceptron of three layers, 64 → width → width → 10, written to `path`; raises as `convolutional`."""
    source = np.random.default_rng(seed)
    weights: dict[str, F32] = {}
    for name, shape in (("d0", (width, 64)), ("d1", (width, width)), ("d2", (10, width))):
        weights |= _drawn(source, name, shape)
    nodes = [
        ("Flatten", ["x"], "f", {}),
        *_dense("d0", "f", "a"),
        *_dense("d1", "ar", "b"),
        *_dense("d2", "br", "y")[:1],
    ]
    return trained(path, nodes, weights, data, epochs, seed)


def accuracy(logits: Sequence[F32], labels: NDArray[np.int64]) -> float:
    """The share that is right."""
    return float(np.mean(np.concatenate(list(logits)).argmax(axis=1) == labels))


def surprise(logits: Sequence[F32], labels: NDArray[np.int64]) -> float:
    """The mean cross-entropy, nats."""
    rows = np.concatenate(list(logits)).astype(np.float64)
    logs = rows - rows.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    return float(-logs[np.arange(len(labels)), labels].mean())


def _drawn(source: np.random.Generator, name: str, shape: tuple[int, ...]) -> dict[str, F32]:
    """Weights as He has them, and biases of zero."""
    spread = (2 / np.prod(shape[1:])) ** 0.5
    return {
        f"{name}.w": (source.standard_normal(shape) * spread).astype(np.float32),
        f"{name}.b": np.zeros(shape[0], np.float32),
    }


def _convolution(name: str, given: str, shape: tuple[int, ...], options: dict[str, Any]) -> list[Node]:
    """A convolution, a residual sum if there is one, and an activation function: r0 follows c0."""
    added, side = options.pop("add", ""), shape[2] // 2
    options |= {"kernel_shape": list(shape[2:]), "pads": [side] * 4}
    nodes: list[Node] = [("Conv", [given, f"{name}.w", f"{name}.b"], name, options)]
    if added:
        nodes.append(("Add", [name, added], f"{name}.s", {}))
    return [*nodes, ("Relu", [nodes[-1][2]], f"r{name[1:]}", {})]


def _dense(name: str, given: str, out: str) -> list[Node]:
    weights = [given, f"{name}.w", f"{name}.b"]
    return [("Gemm", weights, out, {"transB": 1}), ("Relu", [out], f"{out}r", {})]


def shifted(images: F32, source: np.random.Generator) -> F32:
    """All by the same pixel, or none."""
    return np.roll(images, tuple(source.integers(-1, 2, 2)), axis=(2, 3))


def noisy(images: F32, source: np.random.Generator) -> F32:
    """Every pixel by itself: for networks that cut images into patches, to which a shift is another image."""
    return images + 0.4 * source.standard_normal(images.shape).astype(np.float32)


def trained(
    path: Path, nodes: Sequence[Node], weights: Mapping[str, Weight], data: Digits, epochs: int, seed: int,
    disturbed: Disturbed = shifted, items: int = 1,
) -> Path:  # fmt: skip
    """Nodes from `x` to `y` with their weights fitted to the digits, written to `path`.

    Args:
        path: of the file.
        nodes: in order.
        weights: as they begin.
        data: what is learned.
        epochs: how often all of it.
        seed: of the order of images and their disturbance.
        disturbed: what is done to the images of each step.
        items: images that the file takes at once.

    Raises:
        MissingExtra: torch is not installed.
    """
    import onnx

    _save(path, nodes, weights)
    found = _fitted(path, data, epochs, seed, disturbed)
    _save(path, nodes, found, items)
    onnx.checker.check_model(str(path))
    return path


def _save(path: Path, nodes: Sequence[Node], weights: Mapping[str, Weight], items: int = 1) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node(kind, given, [out], name=out, **options) for kind, given, out, options in nodes],
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (items, 1, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (items, 10))],
        [numpy_helper.from_array(each, name) for name, each in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


def _fitted(path: Path, data: Digits, epochs: int, seed: int, disturbed: Disturbed) -> dict[str, Weight]:
    """The file's weights after so many epochs of Adam on the cross-entropy."""
    from shoal.compress.gradients import Differentiable
    from shoal.graph import load
    from shoal.train.library import torch_module

    library, network = torch_module(), Differentiable(load(path))
    library.manual_seed(seed)
    source = np.random.default_rng(seed)
    leaves = [each.requires_grad_(True) for each in network.weights.values() if each.is_floating_point()]
    steps = epochs * -(-len(data.images) // 64)
    adam = library.optim.Adam(leaves, lr=2e-3)
    schedule = library.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(epochs):
        for chosen in np.array_split(source.permutation(len(data.images)), -(-len(data.images) // 64)):
            images = disturbed(data.images[chosen, 0], source)
            adam.zero_grad()
            logits = network({"x": library.from_numpy(images)}, ["y"])["y"]
            library.nn.functional.cross_entropy(logits, library.from_numpy(data.labels[chosen])).backward()
            adam.step()
            schedule.step()
    return {name: each.detach().numpy().copy() for name, each in network.weights.items()}
