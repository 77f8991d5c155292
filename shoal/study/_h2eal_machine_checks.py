"""What must hold of the machine whatever its figures are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from shoal.machines.hybrid_bonded import (
    HeadShape,
    HybridBonded,
    Reading,
    best_pages,
    co_placed,
    interleaved,
    one_head_one_tile,
    stores,
)
from shoal.study._h2eal_machine_asked import Asked
from shoal.study._h2eal_machine_scaled import Scaled
from shoal.study._h2eal_machine_sweep import OWN, SPREAD, WAYS, Replay
from shoal.study.contract import Finding


def identities(asked: Asked) -> Iterator[Finding]:
    """Findings about bytes, the mesh, bandwidth and values."""
    contexts = asked.contexts[: 1 if asked.quick else None]
    found = conserved(asked.replay(), [asked.scaled(context) for context in contexts])
    yield Finding("machine_bytes", found.bytes_exact, "computed", found.cases)
    yield Finding("machine_identities", found.one_tile_free and found.never_slower, "simulated", found.cases)
    shape = HeadShape(16, 2, asked.record.page)
    yield Finding("machine_exact", exact(HybridBonded(), shape, 5), "computed", 3, why="three layouts, 5 heads")


@dataclass(frozen=True)
class Conserved:
    """What came out."""

    bytes_exact: bool  # DRAM gives the bytes of what is read, no more and no less
    one_tile_free: bool  # with one tile nothing is spent on the mesh
    never_slower: bool  # with twice the bandwidth of DRAM, or of links
    cases: int


def conserved(replay: Replay, every: Iterable[Scaled]) -> Conserved:
    """Check one layer at each context, in every way."""
    machine, exact_, free, faster, cases = replay.machine, True, True, True, 0
    alone = replace(replay, machine=replace(machine, columns=1, rows=1))
    better = [replace(replay, machine=replace(machine, **{name: 2 * getattr(machine, name)}))
              for name in ("dram_bytes_per_s", "link_bytes_per_s")]  # fmt: skip
    for scaled in every:
        for way in WAYS:
            readings = scaled.full() if way in (OWN, SPREAD) else scaled.layer(0)
            run = replay.attended(way, readings)
            exact_ &= run.counts["dram"] == sum(each.bytes(replay.decoder.shape) for each in readings)
            free &= alone.attended(way, readings).energy_j.get("noc", 0.0) == 0
            faster &= all(each.attended(way, readings).seconds <= run.seconds for each in better)
            cases += 1
    return Conserved(exact_, free, faster, cases)


def exact(machine: HybridBonded, shape: HeadShape, heads: int, seed: int = 0) -> float:
    """The largest difference between attention on the tiles, in all layouts, and in one go; some heads choose of 64 pages."""
    source = np.random.default_rng(seed)
    queries = source.normal(size=(heads, shape.queries, shape.head))
    keys, values = source.normal(size=(2, heads, 64 * shape.page, shape.head))
    readings = [
        Reading(4, np.arange(4))
        if head % 2
        else Reading(64, best_pages(queries[head], keys[head], shape.page, 24), True)
        for head in range(heads)
    ]
    mesh, worst = machine.mesh, 0.0
    for laid in (one_head_one_tile(readings, mesh), interleaved(readings, mesh), co_placed(readings, mesh, shape)):
        held = stores(laid, queries, keys, values, shape.page, mesh.tiles)
        machine.attention(shape, readings, laid, held)
        for head, reading in enumerate(readings):
            tokens = (reading.chosen[:, None] * shape.page + np.arange(shape.page)).ravel()
            scores = queries[head] @ keys[head, tokens].T / np.sqrt(shape.head)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            wanted = weights @ values[head, tokens] / weights.sum(axis=1, keepdims=True)
            worst = max(worst, float(np.abs(held[laid[head].home]["out", head] - wanted).max()))
    return worst
