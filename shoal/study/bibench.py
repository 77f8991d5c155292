"""BiBench: eight ways of binarising, over accuracy and efficiency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from time import monotonic

from shoal.errors import InputError
from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Chart,
    Claim,
    Finding,
    Holds,
    Note,
    Series,
    Shown,
    Source,
    Table,
    Within,
    untestable,
    words,
)
from shoal.study import _bibench_tracks as tracks
from shoal.study._bibench_grid import FLOAT, Loaded, Trial, counted, deviation, loaded, made, trial
from shoal.train import Recipe
from shoal.train.corrupt import kinds

CNN, TRANSFORMER = "residual_cnn", "tiny_transformer"
BETTER = ("reactnet", "bireal", "recu")  # expected above plain signs
TRACKS = ("learning", "architecture", "corruption", "training", "complexity", "inference")


@dataclass(frozen=True)
class Bibench:
    """Every algorithm trains the same small networks on the same tasks by one recipe; so does a float network.

    The first and the last layer stay float. Each track's overall metric comes from these raw results: 100 where
    binary equals float. Trained networks are packed into words of 64 signs and held against the training graph.
    Latencies are of this processor, one thread.

    Sizes, steps, the first rate and the tasks were settled after looking at accuracies on these very test sets, for float
    and binary networks alike; orders among algorithms are worth more than their figures.
    """

    algorithms: str = "bnn+xnor+dorefa+bireal+xnorpp+reactnet+recu+fda"  # of train/binary, separated by +
    tasks: str = "digits+patches+table+text"  # of train/tasks
    nets: str = "residual_cnn+tiny_transformer+mlp_mixer"  # of train/nets
    seeds: int = 2  # networks of each kind
    steps: int = 300  # of training
    batch: int = 32  # items a step
    rates: str = "0.003+0.001+0.0003"  # learning rates; the first is everywhere, all are for the training track
    looked_at: int = 32  # items of each first network whose sums are compared
    channels: int = 256  # of the convolution that is timed
    side: int = 28  # of its picture, pixels
    wide: int = 256  # channels of the network that is timed
    repeats: int = 15  # of each timing
    seed: int = 0  # of the first network

    title = "BiBench: eight ways of binarising a network, over accuracy and efficiency"
    source = Source(
        "Qin et al.", "BiBench: Benchmarking and Analyzing Network Binarization", 2023, arxiv="2301.11233"
    )
    quick = (
        "tasks=digits+table,nets=residual_cnn+tiny_transformer,seeds=1,steps=6,rates=0.001+0.003,looked_at=4,"
        "channels=64,side=8,wide=64,repeats=3"
    )
    claims = (
        Claim("slopes", "gradients off their closed forms, most of all algorithms", None, "", AtMost(1e-9)),
        Claim("exact", "packed words give the sums and outputs of the training graph", None, "", Holds()),
        Claim(
            "varies",
            "accuracy relative to float, best task minus worst, mean of algorithms",
            "strongly",
            "points",
            AtLeast(5.0),
        ),
        Claim(
            "better",
            "ReActNet, Bi-Real and ReCU above plain signs on the CNN, relative to float, least lead",
            "above",
            "points",
            AtLeast(0.0),
        ),
        Claim(
            "transformer",
            "binarising takes more from the transformer than from the CNN, mean of algorithms",
            "more",
            "points",
            AtLeast(0.0),
        ),
        Claim("tracks", "all six tracks have an overall metric for each algorithm", None, "", Holds()),
        Claim(
            "speed",
            "3×3 convolution of 256 channels, against onnxruntime in float32",
            "faster on ARM boards",
            "×",
            AtLeast(4.0),
        ),
        Claim("weights", "… its weights are smaller", 32, "×", Within(relative=0.001)),
        Claim("minutes", "all of it takes", None, "min", AtMost(20.0)),
        Claim("published", "accuracies on ImageNet, COCO, GLUE and the others", "see there", "", Holds()),
    )

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Gradients, the grid of trainings, the six tracks, the processor."""
        begun = monotonic()
        yield from self._slopes()
        tasks = [loaded(name) for name in bench.each(words(self.tasks), "task")]
        if not any(task.worse for task in tasks):
            raise InputError("no task of pictures, which one track is about", had=self.tasks, hint="add digits")
        trials = self._grid(tasks, bench)
        looked = [each.exact for each in trials if each.exact is not None]
        yield Finding(
            "exact", all(looked), "measured", len(looked), why="every algorithm, network and task, one seed"
        )
        yield from _accuracies(trials)
        yield from self._order(trials)
        yield from self._tracks(tasks[0], trials, bench)
        yield from self._speed()
        yield Finding("minutes", (monotonic() - begun) / 60, "measured", 1)
        yield untestable("published", "takes those data sets and weeks of training")

    def _slopes(self) -> Iterator[Shown]:
        from shoal.study._bibench_slopes import furthest_off

        off = [furthest_off(name) for name in words(self.algorithms)]
        yield Finding("slopes", max(off), "computed", len(off), (min(off), max(off)), "interval: algorithms")

    def _grid(self, tasks: Sequence[Loaded], bench: Bench) -> list[Trial]:
        arms = [(task, net) for task in tasks for net in words(self.nets)]
        found = []
        for number, (task, net) in enumerate(arms):
            for seed in range(self.seeds):
                recipe, looked_at = self._recipe(self.seed + seed), 0 if seed else self.looked_at
                whole = Loaded(task.name, task.data) if seed else task  # the first is tested on worse pictures, too
                found += [trial(whole, net, name, recipe, looked_at) for name in (FLOAT, *words(self.algorithms))]
            best = max(each.accuracy for each in found if each.task == task.name and each.net == net)
            bench.say(f"arm {number + 1}/{len(arms)}: {task.name}, {net}: best accuracy {best:.3f}")
        return found

    def _recipe(self, seed: int) -> Recipe:
        return Recipe(steps=self.steps, batch=self.batch, rate=float(words(self.rates)[0]), seed=seed)

    def _order(self, trials: Sequence[Trial]) -> Iterator[Shown]:
        names = words(self.algorithms)
        gaps = []
        for name in names:
            each = tracks.by_task(trials, name).values()
            gaps.append(100 * (max(each) - min(each)))
        yield Finding("varies", mean(gaps), "measured", len(gaps), (min(gaps), max(gaps)), "interval: algorithms")
        nets = {name: tracks.by_net(trials, name) for name in names}
        compared = [name for name in BETTER if name in names]
        if CNN not in words(self.nets) or "bnn" not in names or not compared:
            yield untestable("better", "takes the CNN, plain signs and one of the others")
        else:
            leads = [100 * (nets[name][CNN] - nets["bnn"][CNN]) for name in compared]
            yield Finding(
                "better", min(leads), "measured", len(leads), (min(leads), max(leads)), "interval: all three"
            )
        if not {CNN, TRANSFORMER} <= set(words(self.nets)):
            yield untestable("transformer", "takes the CNN and the transformer")
        else:
            more = [100 * (each[CNN] - each[TRANSFORMER]) for each in nets.values()]
            yield Finding("transformer", mean(more), "measured", len(more), (min(more), max(more)),
                          "interval: algorithms")  # fmt: skip

    def _tracks(self, task: Loaded, trials: Sequence[Trial], bench: Bench) -> Iterator[Shown]:
        net = words(self.nets)[0]
        base = deviation(self._accuracies_by_rate(task, net, FLOAT))
        step_s = tracks.step_s(trials, FLOAT)
        rows: list[tuple[str, float, float, float, float, float, float]] = []
        for name in bench.each(words(self.algorithms), "tracks"):
            spread = deviation(self._accuracies_by_rate(task, net, name))
            rows.append((
                name, tracks.learning(trials, name), tracks.architecture(trials, name), tracks.corruption(trials, name),
                tracks.training(tracks.step_s(trials, name), step_s, spread, base),
                tracks.complexity(counted(made(task, net, name, 0), task.data.test_x)),
                self._inference(task, name),
            ))  # fmt: skip
        yield Table("Overall metrics, 100 where binary equals float", ("algorithm", *TRACKS), rows)
        names, figures = [row[0] for row in rows], [row[1:4] for row in rows]
        series = [Series(each, names, [row[at] for row in figures]) for at, each in enumerate(TRACKS[:3])]
        yield Chart("Accuracy tracks", "algorithm", "overall metric", tuple(series), kind="bars")
        kept: list[tuple[str | float, ...]] = []
        for name in (FLOAT, *names):
            kept.append((name, *(100 * each for each in tracks.by_corruption(trials, name))))
        yield Table(
            "Accuracy kept on pictures made worse, %, mean of five strengths", ("algorithm", *kinds()), kept
        )
        yield Note(
            "Training: time of a step over all networks, and the deviation of accuracy over learning rates "
            f"({', '.join(words(self.rates))}) of the first network on the first task. Complexity: of that network. "
            f"Inference: of a residual network of {self.wide} channels, float by torch, packed by numpy and native "
            "products; small pictures, so what stands between the products counts."
        )
        yield Finding("tracks", all(len(row) == 1 + len(TRACKS) for row in rows), "measured", len(rows))

    def _accuracies_by_rate(self, task: Loaded, net: str, name: str) -> list[float]:
        recipe = self._recipe(self.seed)
        plain = Loaded(task.name, task.data)
        return [trial(plain, net, name, replace(recipe, rate=float(rate))).accuracy for rate in words(self.rates)]

    def _inference(self, task: Loaded, name: str) -> float:
        from shoal.study._bibench_speed import network

        net = f"{CNN}:width={self.wide}"
        plain, binary = (made(task, net, each, 0).eval() for each in (FLOAT, name))
        timed = network(plain, binary, task.data.test_x[:1], self.repeats)
        return tracks.inference(timed.packed_s, timed.float_s, timed.packed_bytes, timed.float_bytes)

    def _speed(self) -> Iterator[Shown]:
        from shoal.kernels.lowbit import lowbit_paths
        from shoal.study._bibench_speed import convolution

        timed = convolution(self.channels, self.side, self.repeats)
        why = (
            f"{self.side}×{self.side} places, one thread each, medians; signs are taken from figures and packed within "
            f"the time; kernels: {lowbit_paths()[0]}"
        )
        yield Table(
            f"3×3 convolution of {self.channels} channels, one picture",
            ("kind", "time, ms", "weights, KiB"),
            (
                ("float32, onnxruntime", 1e3 * timed.float_s, timed.float_bytes / 1024),
                ("packed signs", 1e3 * timed.packed_s, timed.packed_bytes / 1024),
            ),
        )
        yield Finding("speed", timed.float_s / timed.packed_s, "measured", self.repeats, why=why)
        yield Finding("weights", timed.float_bytes / timed.packed_bytes, "computed", 1)


def _accuracies(trials: Sequence[Trial]) -> Iterator[Shown]:
    """The raw results."""
    arms = list(dict.fromkeys((each.task, each.net) for each in trials))
    names = list(dict.fromkeys(each.algorithm for each in trials))
    rows: list[tuple[str | float, ...]] = []
    for task, net in arms:
        cells = [
            100
            * mean(each.accuracy for each in trials if (each.task, each.net, each.algorithm) == (task, net, name))
            for name in names
        ]
        rows.append((task, net, *cells))
    yield Table("Accuracy, %, mean of seeds", ("task", "network", *names), rows)
