"""The depth network in few bits: how good its depths are, what compensation does layer by layer, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress import Seen, Technique, Work, ends, layers_of, weights_of
from shoal.compress.calibrate import Calibration
from shoal.compress.inputs import Inputs
from shoal.compress.pipeline import Early, compress
from shoal.compress.rewrite import CodedLayer
from shoal.compress.techniques.adaround import Adaround
from shoal.compress.techniques.compensate import Compensate
from shoal.compress.techniques.gptq import Gptq
from shoal.compress.techniques.polish import Polish
from shoal.compress.techniques.reconstruct import Reconstruct
from shoal.compress.techniques.rtn import Rtn
from shoal.compress.techniques.smoothquant import Smoothquant
from shoal.errors import InputError
from shoal.formats import make

if TYPE_CHECKING:
    from shoal.graph import Graph
    from shoal.study._quartdepth_scenes import Scenes

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Samples = Sequence[Mapping[str, NDArray[Any]]]
FOUR, EIGHT = "int4", "int8"
SEARCHED = "int4s"  # scales with the least squared error, as the method has them before rounding is learned
RTN, POLISH, COMPENSATION, RECONSTRUCTION = LADDER = (
    "nearest values", "+ polishing", "+ compensation", "+ reconstruction",
)  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One way to fewer bits."""

    techniques: tuple[Technique | Early, ...]
    correct: bool = False  # biases too


def ladder(bits: int, learning: int) -> dict[str, Way]:
    """The method's steps, each with those before it; activations of so many bits, so many steps of learning."""
    polish, compensate = Polish(bits), Compensate()
    learned = Reconstruct(SEARCHED, steps=learning, relative=True)
    return {
        RTN: Way((Polish(bits, grid="equal", narrow=False), Rtn(FOUR))),
        POLISH: Way((polish, Rtn(FOUR))),
        COMPENSATION: Way((polish, compensate, Rtn(FOUR)), correct=True),
        RECONSTRUCTION: Way((polish, compensate, learned), correct=True),
    }


def rivals(bits: int, learning: int) -> dict[str, Way]:
    """What else there is, with as many bits."""
    equal, polish, compensate = Polish(bits, grid="equal"), Polish(bits), Compensate()
    return {
        "nearest, ranges searched": Way((equal, Rtn(FOUR))),
        "SmoothQuant, ranges searched": Way((Smoothquant(), equal, Rtn(FOUR))),
        "all steps, GPTQ instead of learning": Way((polish, compensate, Gptq(SEARCHED)), correct=True),
        "all steps, AdaRound: outputs count alike": Way((polish, compensate, Adaround(SEARCHED, learning)), correct=True),
    }  # fmt: skip


def smaller(graph: Graph, way: Way, samples: Samples) -> Any:
    """The network so, its first and last layer in eight bits."""
    return compress(graph, way.techniques, samples, ends(graph, EIGHT), correct=way.correct)


@dataclass(frozen=True)
class Quality:
    """Of depths, against true ones; metres as they are, nothing is aligned."""

    near: float  # share within a quarter: δ1, per cent
    relative: float  # mean |d − d*| / d*: AbsRel, per cent
    rms_m: float


def quality(found: Sequence[F32], scenes: Scenes) -> Quality:
    """Of one answer for each scene."""
    depths = np.concatenate(list(found)).astype(np.float64)
    true = scenes.depths.astype(np.float64)
    ratio = np.maximum(depths / true, true / np.maximum(depths, 1e-9))
    return Quality(
        100 * float((ratio < 1.25).mean()), 100 * float((np.abs(depths - true) / true).mean()),
        float(np.sqrt(((depths - true) ** 2).mean())),
    )  # fmt: skip


@dataclass(frozen=True)
class Tails:
    """How far the activations that a layer reads go beyond what is usual."""

    op: str
    tensor: str
    worst: float  # the largest magnitude over the deviation, of the channel where that is most
    usual: float  # of the median channel
    kurtosis: float  # of all values; 3 for normal ones


def tails(graph: Graph, samples: Samples, part: str) -> list[Tails]:
    """Of the layers whose op's name begins with `part`."""
    from shoal.compress.activations import telling

    layers = {layer.input: layer.op for layer in layers_of(graph) if layer.op.startswith(part)}
    kept: dict[str, list[F32]] = {name: [] for name in layers}
    for name, _, x in telling(graph, list(layers), samples):
        kept[name].append(x[0].reshape(x.shape[1], -1))
    found = []
    for name, op in layers.items():
        values = np.concatenate(kept[name], axis=1).astype(np.float64)
        spread = values.std(axis=1)
        far = np.abs(values).max(axis=1)[spread > 0] / spread[spread > 0]
        centred = values - values.mean()
        kurtosis = float((centred**4).mean() / max((centred**2).mean() ** 2, 1e-30))
        found.append(Tails(op, name, float(far.max()), float(np.median(far)), kurtosis))
    return found


@dataclass(frozen=True, eq=False)
class Walked:
    """What compensation did, layer by layer, and what the network so coded answers."""

    layers: tuple[str, ...]
    seen: tuple[float, ...]  # error taken off the outputs on the calibration samples, over their energy, per cent
    fresh: tuple[float, ...]  # the same on others
    answers: tuple[F32, ...]  # to those others, computed with rounded values in float32


def compensated(graph: Graph, polish: Polish, samples: Samples, others: Samples) -> Walked:
    """Walk the network on both sets at once: inputs polished, weights compensated, then at their nearest values."""
    layers, formats = layers_of(graph), ends(graph, EIGHT)
    inputs = Inputs(graph, layers, polish)
    walks = [Calibration(graph, some, inputs=inputs) for some in (samples, others)]
    gains: list[tuple[float, float]] = []
    for (together, seen), (_, fresh) in zip(*(walk.walk(layers) for walk in walks), strict=True):
        for layer in together:
            own = weights_of(graph, layer)
            work = Compensate().apply(Work(own, wanted=own), seen, 0)
            gains.append((_gain(own, work.weights, seen), _gain(own, work.weights, fresh)))
            name = formats.get(layer.op, FOUR)
            coded = Rtn(name).apply(work, seen, 0).coded
            assert coded is not None
            for walk in walks:
                walk.replace(CodedLayer(layer, name, make(name), (coded,)))
    answers = tuple(each[graph.outputs[0]] for each in walks[1].answers())
    on_seen, on_fresh = zip(*gains, strict=True)
    return Walked(tuple(layer.op for layer in layers), on_seen, on_fresh, answers)


def _gain(own: F32, changed: F32, seen: Seen) -> float:
    """By how much ‖W·x − Ŵ·x̂‖² is less for the changed weights, x of the float network; per cent of ‖W·x̂‖²."""
    less = _error(own, own, seen) - _error(own, changed, seen)
    return 100 * less / max(seen.energy(own, 0), 1e-30)


def _error(wanted: F32, made: F32, seen: Seen) -> float:
    """The mean of ‖W·x − Ŵ·x̂‖², but for ‖W·x‖², which does not depend on Ŵ."""
    cross = np.einsum("ri,ij,rj->", wanted, seen.cross[0], made, optimize=True)
    return seen.energy(made, 0) - 2 * float(cross)


def refusals(graph: Graph, samples: Samples) -> dict[str, bool]:
    """What cannot be done, and whether it is said so."""
    way = ladder(4, 1)[COMPENSATION].techniques
    name = graph.inputs[0]
    plain = samples[0][name]
    broken = plain.copy()
    broken.flat[0] = np.nan
    wrong, few = np.full((1, 3, 8), np.nan, np.float32), Seen(8)
    few.add(np.ones((1, 3, 8), np.float32), np.ones((1, 3, 8), np.float32))
    asked: dict[str, Callable[[], object]] = {
        "no calibration samples": lambda: compress(graph, way, ()),
        "a constant one": lambda: compress(graph, way, [{name: np.full_like(plain, 0.5)}]),
        "NaN": lambda: compress(graph, way, [{name: broken}]),
        "no inverse without damping": lambda: Compensate(0.0).apply(Work(np.ones((2, 8), np.float32)), few, 0),
        "NaN within": lambda: Seen(8).add(wrong, wrong),
        "one bit": lambda: Polish(bits=1),
    }
    return {what: _refused(act) for what, act in asked.items()}


def _refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except InputError:
        return True
    return False
