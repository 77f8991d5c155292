"""A diffusion network, how it is coded and calibrated, and how its pictures are judged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal import cache
from shoal.compress import Compressed, Recorder, compress, opened, spread
from shoal.compress.activations import telling
from shoal.compress.techniques.adaround import Adaround
from shoal.compress.techniques.rtn import Rtn
from shoal.engines import onnxruntime_form
from shoal.graph import Graph, save
from shoal.study import _digits
from shoal.study._diffusion import Sampler, Schedule, train
from shoal.study._frechet import Moments
from shoal.study._unet import ENDS, NOISE, SIDE, Unet
from shoal.train import Recipe

if TYPE_CHECKING:
    import onnx_ir as ir

    from shoal.study._bench import Bench
    from shoal.study.fp_diffusion import FpDiffusion

F32 = NDArray[np.float32]
Samples = Sequence[Mapping[str, NDArray[Any]]]
INT, FP = "int8-inputs", "fp8"  # activations
MADE = 1  # raise it when networks or their training change: those kept under another number are not used


@dataclass(frozen=True)
class Setting:
    """Formats of weights and activations."""

    weights: str
    activations: str
    learned: bool = False  # rounding; else to the nearest value

    @property
    def eight(self) -> str:
        """The format of what gets eight bits in any case."""
        return "fp8" if self.activations == FP else "int8"


SETTINGS = {
    "INT8/8": Setting("int8", INT),
    "FP8/8": Setting("fp8", FP),
    "INT4/8 nearest": Setting("int4s", INT),
    "FP4/8 nearest": Setting("fp4", FP),
    "INT4/8 learned": Setting("int4s", INT, learned=True),
    "FP4/8 learned": Setting("fp4", FP, learned=True),
    "INT4/8 affine, learned": Setting("int4as", INT, learned=True),
    "INT4/8 a tensor, learned": Setting("int4st", INT, learned=True),
    "FP4/8 a tensor, learned": Setting("fp4t", FP, learned=True),
}


def coded(
    graph: Graph, setting: Setting, samples: Samples, eight: Collection[str], steps: int, threads: int
) -> Compressed:
    """Any network in a setting.

    Args:
        graph: of which all products with weights are coded.
        setting: how.
        samples: inputs by name.
        eight: ops whose weights get eight bits.
        steps: of learning how to round.
        threads: of the runs on samples.
    """
    technique = Adaround(setting.weights, steps) if setting.learned else Rtn(setting.weights)
    formats = dict.fromkeys(eight, setting.eight)
    return compress(graph, [technique], samples, formats, activations=setting.activations, threads=threads)


@dataclass(frozen=True, eq=False)
class Judge:
    """A small classifier of digits, whose last hidden layer tells pictures apart."""

    graph: Graph
    accuracy: float  # of digits that it was not trained on
    tested: int  # how many
    data: Moments  # of all digits

    def moments(self, pictures: F32) -> Moments:
        """Of their features, 64 each; raises as `Moments.of`."""
        return Moments.of(_told(self.graph, "hr", pictures))


@dataclass(frozen=True, eq=False)
class Lab:
    """The trained network, its sampler and its judge."""

    graph: Graph
    sampler: Sampler
    judge: Judge
    batch: int  # pictures at a time
    noises: int  # pictures that are calibrated with
    points: int  # of the sampler's steps, from which samples are taken
    rounding: int  # steps of learning
    threads: int
    folder: Path

    def coded(self, setting: Setting, samples: Samples) -> Compressed:
        """The network in a setting."""
        return coded(self.graph, setting, samples, ENDS, self.rounding, self.threads)

    def samples(self, seed: int, until: float = 1.0) -> Samples:
        """What the float network is fed along the way, from noise of this seed: equally many, whatever `until`.

        Args:
            seed: of the noise.
            until: share of the steps that they are taken from, beginning at pure noise.
        """
        calls = self.sampler.steps
        chosen = spread(calls, min(self.points, round(calls * until)), until)
        rounds = -(-self.noises // self.batch) * self.points // len(chosen)
        recorder = Recorder(self._run(self.graph), calls, chosen)
        for noise in np.split(self.noise(seed, rounds * self.batch), rounds):
            self.sampler.pictures(recorder, noise)
        return recorder.samples

    def noise(self, seed: int, count: int) -> F32:
        """To draw pictures from."""
        return np.random.default_rng(seed).standard_normal((count, 1, SIDE, SIDE), np.float32)

    def pictures(self, model: Graph | ir.Model, noise: F32) -> F32:
        """What the network makes of it, through onnxruntime; so many pictures at a time that they fit."""
        run = self._run(model)
        missing = -len(noise) % self.batch
        full = np.concatenate([noise, np.zeros((missing, *noise.shape[1:]), np.float32)])
        parts = [self.sampler.pictures(run, each) for each in np.split(full, len(full) // self.batch)]
        return np.concatenate(parts)[: len(noise)]

    def _run(self, model: Graph | ir.Model) -> Callable[[Mapping[str, F32]], F32]:
        import onnxruntime

        path = self.folder / "now.onnx"
        save(model if isinstance(model, Graph) else onnxruntime_form(model.clone(), accuracy=1), path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = self.threads, 3
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return lambda feeds: np.asarray(session.run([NOISE], dict(feeds))[0], np.float32)


def lab(study: FpDiffusion, bench: Bench) -> Lab:
    """The networks, trained once and kept; raises as `train`."""
    unet = Unet(study.width, study.blocks)
    schedule = Schedule()
    recipe = Recipe(
        steps=study.steps, batch=128, rate=2e-3, warmup=0.02, clip=1.0, seed=study.seed, threads=study.threads
    )
    learned = _pictures(study.seed)

    def build(folder: Path) -> None:
        bench.say(f"training the diffusion network, {study.steps} steps")
        losses = train(folder / "unet.onnx", learned, unet, schedule, recipe)
        bench.say(f"loss of the last tenth: {np.mean(losses[-max(1, len(losses) // 10) :]):.4f}")

    place = cache.entry("models", _key("unet", unet, schedule, recipe), build)
    folder = bench.scratch / "pictures"
    folder.mkdir()
    return Lab(
        opened(place / "unet.onnx", sizes={"batch": study.batch}), Sampler(schedule, study.sampled, unet.times),
        _judge(study, bench), study.batch, study.noises, study.points, study.rounding, study.threads, folder,
    )  # fmt: skip


def _judge(study: FpDiffusion, bench: Bench) -> Judge:
    train_digits, test = _digits.digits(study.seed)

    def build(folder: Path) -> None:
        bench.say("training the judge")
        _digits.convolutional(folder / "judge.onnx", train_digits, study.epochs, study.seed)

    graph = opened(cache.entry("models", _key("judge", study.epochs, study.seed), build) / "judge.onnx")
    right = _told(graph, "y", test.images[:, 0]).argmax(axis=1) == test.labels
    data = Moments.of(_told(graph, "hr", _pictures(study.seed)))
    return Judge(graph, float(right.mean()), len(right), data)


def _pictures(seed: int) -> F32:
    """All digits, (n, 1, 8, 8)."""
    return np.concatenate([each.images[:, 0] for each in _digits.digits(seed)])


def _told(graph: Graph, name: str, pictures: F32) -> F32:
    """A tensor of the judge for each picture: (n, values)."""
    samples = [{"x": each[None]} for each in pictures]
    return np.concatenate([values for _, _, values in telling(graph, [name], samples)])


def _key(what: str, *settings: object) -> str:
    digest = hashlib.sha256(repr((MADE, *settings)).encode()).hexdigest()[:16]
    return f"study-fp_diffusion-{what}-{digest}"
