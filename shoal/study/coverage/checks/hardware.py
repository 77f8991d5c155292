"""Machines that are not here, by models of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from shoal.study.coverage.checks.architecture import SMALL

BOARDS = '[default_link]\nbandwidth = "1 Gbit/s"\nlatency = "100 us"\n'


def _decoded(*boards: str, width: int = 1024) -> tuple[float, Mapping[str, float]]:
    """Seconds a token, simulated, and joules a token by device, of a decoder of 16 layers over boards by their data sheets."""
    from shoal import fleet
    from shoal.llm.planning import plan_entry
    from shoal.plan import Wishes
    from shoal.run.simulated import simulated

    devices = "".join(f'[devices.{name}]\nboard = "{name}"\n' for name in boards)
    config = SMALL | {"hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": 16,
                      "num_attention_heads": width // 64, "num_key_value_heads": width // 64}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="shoal-check-") as folder:
        path = Path(folder, "config.json")
        path.write_text(json.dumps(config))
        plan = plan_entry(path, "decode:context=256", fleet.loads(devices + BOARDS), Wishes()).plan
        return simulated(plan, 40).period_s, plan.prediction.energy_j


def phone() -> dict[str, float]:
    """Tokens a second and joules a token on a board with a phone's chip (Exynos 5422), simulated."""
    period_s, joules = _decoded("odroid-xu4")
    return {"tokens_per_s": 1 / period_s, "joules_a_token": sum(joules.values())}


def tiles() -> dict[str, float]:
    """Products of a decoder's layer on an engine of tiles, in four bits over eight: cycles and bytes."""
    from shoal.machines.tiles.contract import Group, Widths, Work
    from shoal.machines.tiles.tile_engine import TileEngine

    places, sizes = 64, ((192, 576), (192, 192), (192, 512), (512, 192))
    groups = [
        Group((Work(f"p{at}", "MatMul", {f"x{at}": places * inner}, {f"y{at}": places * rows}, inner * rows, rows, inner,
                    places),))
        for at, (inner, rows) in enumerate(sizes)
    ]  # fmt: skip
    eight, four = (TileEngine().run(groups, Widths(bits, bits)) for bits in (8, 4))
    return {"cycles_share": four.cycles / eight.cycles, "dram_share": four.dram_bytes / eight.dram_bytes,
            "joules_share": four.joules / eight.joules}  # fmt: skip


def near_memory() -> dict[str, float]:
    """Attention over pages on tiles bonded to their DRAM: seconds where heads are placed by their work, over dealt pages."""
    from shoal.machines.hybrid_bonded import HeadShape, HybridBonded, Reading, co_placed, interleaved

    machine, shape, source = (
        HybridBonded(),
        HeadShape(head=128, queries=1, page=16, value_bytes=2),
        np.random.default_rng(0),
    )
    readings = [
        Reading(1024, np.sort(source.choice(1024, 64, replace=False)), scored=True) if head % 4 == 0
        else Reading(20, np.arange(20))
        for head in range(32)
    ]  # fmt: skip
    near = machine.attention(shape, readings, co_placed(readings, machine.mesh, shape))
    dealt = machine.attention(shape, readings, interleaved(readings, machine.mesh))
    return {"time_share": near.seconds / dealt.seconds, "joules_share": near.joules / dealt.joules,
            "seconds": near.seconds}  # fmt: skip


def light() -> dict[str, float]:
    """Scores of attention through cores of light with noise: how far off, and how few sums take the large converters."""
    from shoal.machines.accelerators import Call, Operand
    from shoal.machines.accelerators.photonic_attention import PhotonicAttention

    machine, source = PhotonicAttention(encoding_noise=0.01), np.random.default_rng(0)
    inputs = (Operand("q", "float32", (64, 32)), Operand("k", "float32", (32, 64)))
    task = machine.compiled(Call("scores", "MatMul", inputs, (Operand("scores", "float32", (64, 64)),)))
    data = {each.name: source.standard_normal(each.shape).astype(np.float32) for each in inputs}
    ran, exact = machine.run(task, data), data["q"] @ data["k"]
    off = ran.outputs["scores"] - exact
    return {"off": float(off.std() / exact.std()), "large_share": ran.counters["queue"] / machine.results(task)}


def arrays() -> dict[str, float]:
    """A loop of products on Plaid's array: that what moved through it is right, cycles an iteration over the least, switches."""
    from shoal.machines.cgra import configuration_bits, conventional, executed, greedy, kernel, mapped, plaid

    loop = kernel("gemm")
    graph, memory = loop.graph(unroll=2), loop.drawn()
    wanted, mapping = loop.expected(memory)["c"].ravel(), mapped(graph, plaid(), greedy(graph))
    for scalars in loop.entries():
        executed(mapping, memory, scalars)
    return {"right": bool(np.array_equal(memory["c"], wanted)), "cycles_share": mapping.ii / mapping.least,
            "bits_share": configuration_bits(plaid()) / configuration_bits(conventional())}  # fmt: skip


def mixed() -> dict[str, float]:
    """A decoder over a GPU's board and a CPU's, simulated: how much more often a token comes than from the first alone."""
    (both_s, _), (alone_s, _) = _decoded("jetson-nano", "raspberry-pi-5-8gb"), _decoded("jetson-nano")
    return {"times_alone": alone_s / both_s, "tokens_per_s": 1 / both_s}


def joules() -> dict[str, float]:
    """Joules a token of a decoder on two boards, from stated power and predicted time."""
    period_s, found = _decoded("raspberry-pi-5-8gb", "raspberry-pi-4b-8gb")
    return {"joules_a_token": sum(found.values()), "devices": len(found), "tokens_per_s": 1 / period_s}
