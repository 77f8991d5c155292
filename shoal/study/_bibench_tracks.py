"""BiBench's six tracks: an overall metric of each from raw results, 100 where binary equals float.

OM is the root of the mean of squares; all accuracies are relative to those of the float network of the same kind,
task and seed. Source: arXiv 2301.11233.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import mean, median

from shoal.errors import InputError
from shoal.study._bibench_grid import FLOAT, Trial
from shoal.train.corrupt import STRENGTHS


def om(values: Iterable[float]) -> float:
    """The root of the mean of squares.

    Raises:
        InputError: there is no value.
    """
    squares = [value * value for value in values]
    if not squares:
        raise InputError("no values to take a mean of")
    return math.sqrt(mean(squares))


def relative(trials: Sequence[Trial], algorithm: str, task: str, net: str) -> float:
    """Accuracy over that of the float network, mean of seeds."""
    return _accuracy(trials, algorithm, task, net) / _accuracy(trials, FLOAT, task, net)


def by_task(trials: Sequence[Trial], algorithm: str) -> dict[str, float]:
    """Of each task, the mean over networks."""
    nets = _all(trials, "net")
    return {task: mean(relative(trials, algorithm, task, net) for net in nets) for task in _all(trials, "task")}


def by_net(trials: Sequence[Trial], algorithm: str) -> dict[str, float]:
    """Of each network, the mean over tasks."""
    tasks = _all(trials, "task")
    return {net: mean(relative(trials, algorithm, task, net) for task in tasks) for net in _all(trials, "net")}


def learning(trials: Sequence[Trial], algorithm: str) -> float:
    """Track 1: over tasks."""
    return 100 * om(by_task(trials, algorithm).values())


def architecture(trials: Sequence[Trial], algorithm: str) -> float:
    """Track 2: over architectures."""
    return 100 * om(by_net(trials, algorithm).values())


def corruption(trials: Sequence[Trial], algorithm: str, strengths: int = STRENGTHS) -> float:
    """Track 3: over kinds, what is kept of the accuracy (mean of strengths) relative to what a float network keeps."""
    kept, usual = (by_corruption(trials, name, strengths) for name in (algorithm, FLOAT))
    return 100 * om(ours / theirs for ours, theirs in zip(kept, usual, strict=True))


def by_corruption(trials: Sequence[Trial], algorithm: str, strengths: int = STRENGTHS) -> list[float]:
    """Of each kind: accuracy over that on clean pictures, mean over strengths and networks."""
    shares = [
        [each / trial.accuracy for each in trial.corrupted]
        for trial in trials
        if trial.algorithm == algorithm and trial.corrupted and trial.accuracy
    ]
    if not shares:
        raise InputError("no trial on pictures", where=algorithm)
    means = [mean(each) for each in zip(*shares, strict=True)]
    return [mean(means[at : at + strengths]) for at in range(0, len(means), strengths)]


def training(step_s: float, float_step_s: float, deviation: float, float_deviation: float) -> float:
    """Track 4: time of training, and how far accuracy depends on its settings."""
    return 100 * om((float_step_s / step_s, float_deviation / deviation))


def complexity(counts: tuple[int, int, int, int]) -> float:
    """Track 5: weights in a 32nd, operations in a 64th; see `counted` for the counts."""
    weights, weights_left, products, products_left = counts
    stored = weights / ((weights - weights_left) / 32 + weights_left)
    done = products / ((products - products_left) / 64 + products_left)
    return 100 * om((stored, done))


def inference(seconds: float, float_seconds: float, stored: int, float_stored: int) -> float:
    """Track 6: latency and bytes."""
    return 100 * om((float_seconds / seconds, float_stored / stored))


def step_s(trials: Sequence[Trial], algorithm: str) -> float:
    """Time of a training step, the mean over tasks and networks of the median over seeds."""
    return mean(
        median(each.step_s for each in _of(trials, algorithm, task, net))
        for task in _all(trials, "task")
        for net in _all(trials, "net")
    )


def _accuracy(trials: Sequence[Trial], algorithm: str, task: str, net: str) -> float:
    return mean(each.accuracy for each in _of(trials, algorithm, task, net))


def _of(trials: Sequence[Trial], algorithm: str, task: str, net: str) -> list[Trial]:
    found = [each for each in trials if (each.algorithm, each.task, each.net) == (algorithm, task, net)]
    if not found:
        raise InputError("no such trial", where=f"{algorithm}, {task}, {net}")
    return found


def _all(trials: Sequence[Trial], field: str) -> list[str]:
    return list(dict.fromkeys(getattr(trial, field) for trial in trials))
