"""What pages, co-placement and balance gain on the machine, step by step and tile by tile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from shoal.machines import energy
from shoal.machines.hybrid_bonded import HybridBonded, Ran
from shoal.study._h2eal_machine_asked import LONG, Asked, short
from shoal.study._h2eal_machine_sweep import BALANCED, OWN, PAGES, PLACED, SPREAD, WAYS, Token
from shoal.study.contract import Chart, Finding, Series, Shown, Table

LEAST, MOST = 5.20, 48.21  # the published speed-up


def gains(asked: Asked, tokens: Mapping[int, Token]) -> Iterator[Shown]:
    """Speed and energy against both baselines."""
    speeds = [token.speed(BALANCED) for token in tokens.values()]
    joules = [token.energy(BALANCED) for token in tokens.values()]
    yield _least("machine_speed_least", speeds, asked.why(min(tokens)))
    yield _most("machine_speed_most", speeds, asked.why(max(tokens)))
    yield _least("machine_speed_spread", [token.speed(BALANCED, SPREAD) for token in tokens.values()])
    overlap = min(speeds) <= MOST and max(speeds) >= LEAST
    yield Finding(
        "machine_overlap", overlap, "simulated", len(speeds), why=f"{min(speeds):.2f} to {max(speeds):.2f}"
    )
    yield Finding("machine_grows", speeds == sorted(speeds), "simulated", len(speeds))
    yield _least("machine_energy_least", joules, asked.why(min(tokens)))
    yield _most("machine_energy_most", joules, asked.why(max(tokens)))
    above = all(joule > speed for joule, speed in zip(joules, speeds, strict=True))
    yield Finding(
        "machine_energy_above", above, "simulated", len(joules), why=_parts(tokens[LONG].attention[BALANCED])
    )
    yield Finding("machine_whole", tokens[LONG].speed(BALANCED, whole=True), "simulated", 1,
                  why="a token in decoding; prefill is as it was")  # fmt: skip
    heads = ("context", "base", "attention, ×", "its energy, ×", "whole token, ×", "its energy, ×")
    yield Table("Gain of pages, co-placed and balanced", heads, [
        (context, base, token.speed(BALANCED, base), token.energy(BALANCED, base),
         token.speed(BALANCED, base, whole=True), token.energy(BALANCED, base, whole=True))
        for context, token in tokens.items() for base in (OWN, SPREAD)
    ], "Llama of 7B, 32 heads of keys, fp16, 4 × 4 tiles; bandwidth only: these tiles do not hold it")  # fmt: skip


def steps(asked: Asked, tokens: Mapping[int, Token]) -> Iterator[Shown]:
    """Pages alone, then co-placed, then balanced."""
    taken = {way: [token.attention[way].seconds * 1e3 for token in tokens.values()] for way in WAYS}
    order = [taken[way] for way in (SPREAD, PAGES, PLACED, BALANCED)]
    never = all(after <= before for pair in pairwise(order) for before, after in zip(*pair, strict=True))
    yield Finding("machine_steps", never, "simulated", len(tokens), why="from all tokens at interleaved addresses")
    yield Finding("machine_balance", tokens[LONG].speed(BALANCED, PLACED), "simulated", asked.sampled)
    loads = {way: [_load(asked, way, context) for context in tokens] for way in (OWN, PLACED, BALANCED)}
    yield _most("machine_load", loads[BALANCED], "in a layer, mean of layers; interval: all contexts")
    heads = ("", *map(short, tokens))
    yield Table("Attention of one token, ms", heads, [(way, *taken[way]) for way in WAYS], "of all 32 layers")
    yield Table("Busiest tile over the mean, in a layer", heads, [(way, *each) for way, each in loads.items()],
                "in seconds that a tile is busy; mean of the layers that were run")  # fmt: skip
    yield Table("Use of DRAM and mesh, % of the time", heads, [
        (f"{what}: {way}", *(100 * share(token.attention[way]) for token in tokens.values()))
        for what, share in (("all banks", _banks), ("busiest link", _link)) for way in WAYS
    ], "banks: what is read over what all tiles' banks could give meanwhile")  # fmt: skip
    yield Chart("Attention of one token", "context, tokens", "time, ms",
                tuple(Series(way, tuple(tokens), taken[way]) for way in WAYS), log_x=True, log_y=True)  # fmt: skip


def tiles(asked: Asked) -> Iterator[Shown]:
    """The mesh before and after balance, in one layer."""
    replay, readings = asked.replay(), asked.scaled(LONG).layer(0)
    ran = {way: replay.attended(way, readings) for way in (PLACED, BALANCED)}
    mesh = replay.machine.mesh
    for way, run in ran.items():
        share = np.array(run.busy_s).reshape(mesh.rows, mesh.columns) / np.mean(run.busy_s)
        yield Table(f"Load of each tile over the mean: {way}", ("row", *map(str, range(mesh.columns))),
                    [(str(row), *loads) for row, loads in enumerate(share.tolist())],
                    f"one layer at {short(LONG)} tokens, tiles as they lie in the mesh")  # fmt: skip
    yield Chart("Tiles of one layer", "tile", "busy, µs", tuple(
        Series(way, [str(tile) for tile in range(mesh.tiles)], [each * 1e6 for each in run.busy_s])
        for way, run in ran.items()
    ), kind="bars")  # fmt: skip


def energies(tokens: Mapping[int, Token]) -> Iterator[Shown]:
    """Where the energy goes."""
    token = tokens[LONG]
    parts = {part for run in token.attention.values() for part, joules in run.energy_j.items() if joules}
    rows: list[tuple[str | float, ...]] = [
        (part, *(run.energy_j.get(part, 0.0) * 1e3 for run in token.attention.values())) for part in sorted(parts)
    ]
    rows.append(("all", *(run.joules * 1e3 for run in token.attention.values())))
    pins_j = 8 * energy("lpddr5", "read", 1, 7).energy_j
    rows.append(("dram, were it LPDDR5", *(run.counts["dram"] * pins_j * 1e3 for run in token.attention.values())))
    yield Table(f"Energy of attention of one token at {short(LONG)} tokens, mJ", ("", *token.attention), rows,
                "logic at 7 nm, DRAM at 25 nm: rows of machines/energy.csv, some of them from memory or assumed")  # fmt: skip


def _load(asked: Asked, way: str, context: int) -> float:
    replay, scaled = asked.replay(), asked.scaled(context)
    if way == OWN:
        return replay.attended(way, scaled.full()).load
    return float(np.mean([replay.attended(way, scaled.layer(at), at).load for at in range(replay.sampled)]))


def _least(key: str, figures: Sequence[float], why: str = "interval: all contexts") -> Finding:
    return Finding(key, min(figures), "simulated", len(figures), (min(figures), max(figures)), why)


def _most(key: str, figures: Sequence[float], why: str = "interval: all contexts") -> Finding:
    return Finding(key, max(figures), "simulated", len(figures), (min(figures), max(figures)), why)


def _link(run: Ran) -> float:
    return max(run.links_s.values(), default=0.0) / run.seconds


def _banks(run: Ran) -> float:
    return run.counts["dram"] / (run.seconds * HybridBonded().dram_bytes_per_s * len(run.busy_s))


def _parts(run: Ran) -> str:
    parts = sorted(run.energy_j.items(), key=lambda part: -part[1])
    return "of its energy " + ", ".join(f"{joules / run.joules:.0%} {name}" for name, joules in parts[:4])
