"""This processor: experts in two orders, and the published network's seconds and joules. Needs torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median

import torch

from shoal import catalog
from shoal.machines.edge_moe import Shape
from shoal.measure.meters.contract import Meter
from shoal.study._edge_moe_net import Experts, VisionExperts, by_expert, by_token
from shoal.study.contract import Finding, Note, Provenance, Shown, Table, median_of
from shoal.train import seeded


def grouped(tokens: int, rounds: int, seed: int) -> Finding:
    """The same choices of the same experts in either order, in turn."""
    shape = Shape()
    with seeded(seed), torch.no_grad():
        first = Experts(shape.experts, shape.width, shape.expert_hidden)
        second = Experts(shape.experts, shape.expert_hidden, shape.width)
        x, gate = torch.randn(tokens, shape.width), torch.randn(shape.width, shape.experts)
        shares = (x @ gate).softmax(-1)
        chosen = shares.topk(shape.chosen, dim=-1).indices
        torch.testing.assert_close(
            by_expert(x, shares, chosen, first, second), by_token(x, shares, chosen, first, second)
        )
        ratios = [
            _seconds(lambda: by_token(x, shares, chosen, first, second))
            / _seconds(lambda: by_expert(x, shares, chosen, first, second))
            for _ in range(rounds)
        ]
    return median_of("grouped", ratios, "measured", f"{tokens} tokens, {shape.experts} experts, one thread")


def efficiency(machine_j: float, rounds: int, seed: int) -> Iterator[Shown]:
    """An image of the published network in float32 here, against the machine's joules."""
    with seeded(seed), torch.no_grad():
        model, image = VisionExperts(Shape(), (19,)).eval(), torch.randn(1, Shape().patches, Shape().patch_features)
        seconds, joules, how = _metered(lambda: model.answer(image, 0), rounds)
    yield Finding("efficiency_cpu", joules / machine_j, how, rounds,
                  why=f"{seconds * 1e3:.1f} ms and {joules:.3f} J an image here, one thread; another processor than the published")  # fmt: skip
    yield Table("An image", ("device", "ms", "J", "how"), [
        ("this processor, one thread", seconds * 1e3, joules, f"seconds measured, joules {how}"),
        ("FPGA, published", 34.6, 34.6e-3 * 14.5, "from memory"),
        ("FPGA, here", None, machine_j, "simulated"),
    ])  # fmt: skip
    if how == "modelled":
        yield Note("This machine shows no energy counters: its joules are 5 W, and 5 W more for a busy core.")


def _metered(work: Callable[[], object], rounds: int) -> tuple[float, float, Provenance]:
    """Seconds and joules of one; by the processor's counters if they may be read."""
    rapl: Meter = catalog.make("measure/meters", "rapl")
    meter: Meter = rapl if rapl.available else catalog.make("measure/meters", "model")
    work()
    reading = meter.start()
    taken = [_seconds(work) for _ in range(rounds)]
    joules = reading.stop()
    assert joules is not None, "an available meter tells"
    return median(taken), joules / rounds, "measured" if rapl.available else "modelled"


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
