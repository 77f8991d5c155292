"""The trained network in fixed point, and the functions that are done in another way there. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from shoal.machines import Fixed
from shoal.machines.edge_moe import Answered, FixedVit, GeluTable, gelu, single_pass, two_pass
from shoal.study._edge_moe_net import VisionExperts
from shoal.study._edge_moe_task import CLASS, TURN, Turned, right
from shoal.study._edge_moe_trained import TINY, answered
from shoal.study.contract import Finding, Shown, Table, untestable

FEATURES = Fixed(32, 10)


def fixed(model: VisionExperts) -> FixedVit:
    """The network as the accelerator has it."""
    return FixedVit(TINY, {name: each.detach().numpy() for name, each in model.state_dict().items()}, FEATURES)


def answers(model: VisionExperts, tested: Turned) -> list[Answered]:
    """Of both tasks."""
    return [fixed(model).run(tested.x, task) for task in (CLASS, TURN)]


def shown(model: VisionExperts, tested: Turned, found: Sequence[Answered]) -> Iterator[Shown]:
    """Against float, with few bits, and with an exact GELU."""
    floats, alike = _floats(model, tested, found)
    count = len(tested.x)
    for key, task in (("fixed_class", CLASS), ("fixed_turn", TURN)):
        lost = right(floats[task], tested.y, task) - right(found[task].outputs, tested.y, task)
        yield Finding(key, lost, "measured", count)
    outputs = [each.outputs for each in found]
    yield Finding("fixed_error", 100 * _off(outputs, floats), "measured", count)
    yield _alike(outputs, floats, alike)
    exact = [replace(fixed(model), activation="exact").run(tested.x, task).outputs for task in (CLASS, TURN)]
    off = 100 * _off(outputs, exact)
    yield Finding("exact_gelu", off, "measured", count,
                  why="the table takes one product and two entries; erfc to this precision a polynomial and an exponential")  # fmt: skip
    rows: list[tuple[str, float, float, float]] = []
    for bits in (32, 28, 24, 20, 16):
        narrow = replace(fixed(model), features=Fixed(bits, 10))
        coarse = [narrow.run(tested.x[:100], task).outputs for task in (CLASS, TURN)]
        read, told = (right(each, tested.y[:100], task) for task, each in enumerate(coarse))
        rows.append((str(narrow.features), 100 * _off(coarse, [each[:100] for each in floats]), read, told))
    yield Table("Features in fewer bits", ("format", "largest difference, %", "digits, %", "variance of turns, %"), rows,
                note="of the largest output; 100 digits at most")  # fmt: skip


def _floats(
    model: VisionExperts, tested: Turned, found: Sequence[Answered]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What the network gives in float for both tasks, and for which images all tokens have the same experts there."""
    outputs, alike = [], []
    for task, fixed_answer in zip((CLASS, TURN), found, strict=True):
        outputs.append(answered(model, tested.x, task))
        same = [np.sort(mine) == np.sort(other.numpy())
                for mine, other in zip(fixed_answer.chosen, model.choices(), strict=True)]  # fmt: skip
        alike.append(np.all(same, axis=(0, 2, 3)))
    return outputs, alike


def _alike(outputs: Sequence[np.ndarray], floats: Sequence[np.ndarray], alike: Sequence[np.ndarray]) -> Finding:
    most = [np.abs(each).max() for each in floats]
    off = [np.abs(a - b)[same] / top for a, b, same, top in zip(outputs, floats, alike, most, strict=True)]
    count = sum(int(each.sum()) for each in alike)
    if not count:
        return untestable("fixed_alike", "in each image a token has another expert")
    worst = max(float(each.max(initial=0)) for each in off)
    return Finding("fixed_alike", 100 * worst, "measured", count, why="n of all images, both tasks")


def functions(seed: int) -> Iterator[Shown]:
    """Softmax in one pass, GELU by table, and what becomes of large scores."""
    rows = np.random.default_rng(seed).standard_normal((2000, 129)) * 10
    (one, one_sum), (two, two_sum) = single_pass(rows), two_pass(rows)
    shares = [
        np.exp(rows - most[:, None]) * reciprocal[:, None] for most, reciprocal in ((one, one_sum), (two, two_sum))
    ]
    yield Finding("softmax", float(np.abs(shares[0] - shares[1]).max()), "computed", len(rows))
    values = np.linspace(-9, 9, 200_001)
    off = np.abs(FEATURES.decoded(GeluTable(FEATURES).of(FEATURES.coded(values))) - gelu(values))
    yield Finding(
        "gelu", float(off.max()), "computed", len(values), why=f"{len(GeluTable(FEATURES).entries)} entries"
    )
    yield Finding("saturates", _saturates(), "computed")


def _saturates() -> bool:
    """64 products of 20 with 20 are 25600: a score that stays below 512, and one that comes round."""
    row = FEATURES.coded(np.full((1, 64), 20.0))
    held, wrapped = (
        float(form.decoded(form.product(row, row.T, form.fraction))[0, 0])
        for form in (FEATURES, replace(FEATURES, overflow="wrap"))
    )
    return held == FEATURES.decoded(np.array(FEATURES.most)) and wrapped == (25600 + 512) % 1024 - 512


def _off(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
    """The largest difference over the largest output, the worse task."""
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, wanted, strict=True))
