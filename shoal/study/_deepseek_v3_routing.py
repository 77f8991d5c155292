"""Experts of a token on few nodes: how many, what crosses between nodes, what the model loses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.llm.routing import Routing
from shoal.study._deepseek_v3_exchange import Exchanged, Trip, exchanged
from shoal.study._deepseek_v3_numbers import F32, logits_of
from shoal.study._deepseek_v3_worker import coded_rows, decoded
from shoal.study.contract import Finding, Shown, Table
from shoal.train.language import Stretches, losses

if TYPE_CHECKING:
    from shoal.llm.tiny import Tiny

F64 = NDArray[np.float64]
EXPERTS, CHOSEN, NODES, MOST = 256, 8, 8, 4


WAYS = {  # nodes of a token at most; one copy a node, or one an expert
    "unlimited, once an expert": (NODES, False), "unlimited, once a node": (NODES, True),
    "limited, once a node": (MOST, True),
}  # fmt: skip


def crossing(folder: Path, tokens: int, width: int, ranks: int, seed: int) -> Iterator[Shown]:
    """Tokens with drawn affinities go to experts in `NODES · ranks` processes and back."""
    source, count = np.random.default_rng(seed), tokens * NODES * ranks
    x = source.standard_normal((count, width)).astype(np.float32)
    scores = 1 / (1 + np.exp(-source.standard_normal((count, EXPERTS))))
    trips = {name: _trip(scores, *way) for name, way in WAYS.items()}
    found = exchanged(NODES, ranks, EXPERTS, x, list(trips.values()), folder)
    rows = [(name, *_counted(trip, made)) for (name, trip), made in zip(trips.items(), found, strict=True)]
    columns = (
        "routing",
        "most nodes",
        "mean",
        "copies that cross, of a token",
        "B between nodes, a token",
        "B inside",
    )
    yield Table(f"{count} tokens of {width} values, {EXPERTS} experts, {NODES * ranks} processes on {NODES} nodes", columns,
                rows, "counted at sockets: E4M3 there, float16 back, with what says who is wanted")  # fmt: skip
    each_expert, each_node, limited_ = (row[4] for row in rows)
    yield Finding("nodes", rows[-1][1], "measured", count)
    why = "affinities are drawn; copies to a token's own node cross nothing"
    yield Finding("between", limited_ / each_expert, "measured", count, why=why)
    yield Finding("between_nodes", limited_ / each_node, "measured", count)
    off = 100 * max(_off(each.made, x, trip) for each, trip in zip(found, trips.values(), strict=True))
    yield Finding("answers", off, "measured", len(trips) * count, why="of the largest; float16 on the way back")


def _counted(trip: Trip, found: Exchanged) -> tuple[int, float, float, float, float]:
    """Most and mean nodes of a token; copies of it that cross, bytes between nodes and inside, a token."""
    count = len(trip.chosen)
    used = [len(set(each)) for each in trip.chosen // (EXPERTS // NODES)]
    homes = np.repeat(np.arange(NODES), count // NODES)
    copies = Routing(EXPERTS, CHOSEN, NODES, NODES).crossings(trip.chosen, homes, once=trip.once)
    between, inside = found.between_bytes / count, found.inside_bytes / count
    return max(used), float(np.mean(used)), copies / count, between, inside


def limited(trained: Tiny, held: Stretches) -> Iterator[Shown]:
    """The trained model's loss by how many groups of experts a token may use."""
    model = trained.module()
    routers = [each for each in model.modules() if type(each).__name__ == "DeepseekV3TopkRouter"]
    groups, rows = int(trained.config["n_group"]), []
    for most in range(1, groups + 1):
        for router in routers:
            router.topk_group = most
        rows.append((most, float(losses(logits_of(model), held).mean())))
    learned = int(trained.config["topk_group"])
    best = rows[learned - 1][1]
    yield Table("Cross-entropy by the groups of experts that a token may use", ("groups", "nats a byte", "more, %"),
                [(most, each, 100 * (each / best - 1)) for most, each in rows],
                f"of {groups}; trained with {learned}")  # fmt: skip
    yield Finding("limit_loss", 100 * (best / rows[-1][1] - 1), "measured", held.x.size,
                  why=f"{learned} of {groups} groups, as it was trained, over all {groups}")  # fmt: skip


def _trip(scores: F64, most: int, once: bool) -> Trip:
    chosen = Routing(EXPERTS, CHOSEN, NODES, most).choose(scores)
    shares = np.take_along_axis(scores, chosen, axis=1).astype(np.float16).astype(np.float32)
    return Trip(chosen, shares, once)


def _off(made: F32, x: F32, trip: Trip) -> float:
    """Expert e multiplies what it gets, in E4M3, by e + 1."""
    wanted = decoded(coded_rows(x), x.shape[1]) * (trip.shares * (trip.chosen + 1)).sum(axis=1)[:, None]
    return float(np.abs(made - wanted).max() / np.abs(wanted).max())
