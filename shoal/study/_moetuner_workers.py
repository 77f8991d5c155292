"""Placements in real worker processes: what they answer, and what they send each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from shoal.llm.expert_parallel import Ways, parallel
from shoal.llm.expert_parallel.frames import Frame
from shoal.llm.expert_parallel.messages import Kind
from shoal.llm.library import transformers_module
from shoal.llm.routes import recorded
from shoal.llm.tiny import tiny
from shoal.plan.experts import ExpertPlacement, ExpertShape, flows, parcels, placed, problem
from shoal.store import RoutingTrace
from shoal.study._moetuner_fleets import Nodes
from shoal.study.contract import Finding, Shown, Table

VALUE_BYTES, COPY_BYTES = 4, 12  # float32; place, expert and gate of a copy
TOKENS = np.empty((0, 0), np.float32)
NUMBERS = np.empty(0, np.int64)
NODE_BYTES_PER_S = 1e9  # only the ratio of links counts here


def run(models: list[str], workers: int, symbols: NDArray[np.int64], profile: dict[str, RoutingTrace], time_limit_s: float) -> Iterator[Shown]:  # fmt: skip
    """Each model with experts in order, by load, and by the ILP; text is not that of the profiles."""
    torch = transformers_module("torch")
    off, rows = [], []
    for name in models:
        model = tiny(name).module()
        routes, width = recorded(model, symbols), int(model.config.hidden_size)
        with torch.no_grad():
            alone = model(torch.from_numpy(symbols), use_cache=False).logits
        for technique in ("contiguous", "lpt", f"ilp:time_limit_s={time_limit_s:g}"):
            placement = _placement(technique, profile[name], workers, width)
            with torch.no_grad(), parallel(model, placement.array, Ways(mode="shards"), workers) as there:
                found = model(torch.from_numpy(symbols), use_cache=False).logits
                sent = there.traffic.by_layer(routes.layers)[:, :-1, :-1]
            off.append(float((found - alone).abs().max() / alone.abs().max()))
            expected = foreseen_bytes(placement, routes, workers, width)
            payload = (
                2 * 4 * width * parcels(placement, routes, homes(routes.tokens, workers), workers).tokens.sum()
            )
            rows.append((name, technique.partition(":")[0], int(sent.sum()), int(expected.sum()), int(payload),
                         bool((sent == expected).all())))  # fmt: skip
    yield Finding(
        "answers", max(off), "measured", len(off), (min(off), max(off)), "interval: models and placements"
    )
    yield Finding(
        "bytes", all(row[-1] for row in rows), "measured", len(rows) * workers**2, why="each link, each layer"
    )
    columns = ("model", "placement", "B between workers", "foreseen", "of tokens and answers", "equal on each link")
    yield Table(f"{symbols.size} tokens in {workers} processes", columns, rows,
                "a token is sent once to a process that has several of its experts")  # fmt: skip


def homes(tokens: int, workers: int) -> NDArray[np.int64]:
    """The worker that each token is at: equal parts in order."""
    return np.repeat(np.arange(workers), [len(each) for each in np.array_split(np.arange(tokens), workers)])


def foreseen_bytes(placement: ExpertPlacement, routes: RoutingTrace, workers: int, width: int) -> NDArray[np.int64]:
    """(layers, from, to): frames of counts, tokens and answers of each pair of workers."""
    tokens, copies = parcels(placement, routes, homes(routes.tokens, workers), workers)
    counts = np.empty(routes.experts, np.int64)
    frames = (
        Frame(Kind.COUNTS, ()), Frame(Kind.COUNTS, (counts,)), Frame(Kind.SUMS, (TOKENS,)),
        Frame(Kind.PARCEL, (TOKENS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)),
    )  # fmt: skip
    values = tokens + tokens.swapaxes(1, 2)  # those sent, and answers to those that came
    found = sum(each.bytes for each in frames) + width * VALUE_BYTES * values + COPY_BYTES * copies
    return np.where(np.eye(workers, dtype=bool), 0, found).astype(np.int64)


def _placement(technique: str, profile: RoutingTrace, workers: int, width: int) -> ExpertPlacement:
    shape = ExpertShape.gated(width, 2 * width, VALUE_BYTES)
    fleet = Nodes(1, NODE_BYTES_PER_S, workers).fleet(shape, profile.layers * profile.experts)
    return placed(technique, problem(flows(profile, workers), fleet, shape)).placement
