"""Machines for whole experts by their figures: switching, footprint, answers over hit rates and lengths, streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal import catalog
from shoal.cost.composition import (
    Expert,
    Requests,
    Split,
    answered,
    machine,
    machines,
    machines_for,
    resident,
    switch_s,
    token_s,
)
from shoal.errors import LimitError
from shoal.sim.composition import bursty, plain_hits, served, uniform, zipf
from shoal.store import POLICIES, TierFigures, Told
from shoal.study import Chart, Finding, Series, Shown, Table

HERE, A100, H100 = "sn40l", "dgx-a100", "dgx-h100"
RIVALS = ((A100, 6.6), (H100, 3.7))
HITS = tuple(at / 20 for at in range(20))
LENGTHS = (5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80, 100, 150, 200, 400, 800)


@dataclass(frozen=True)
class Settings:
    """What is asked of the machines."""

    experts: int
    prompts: int
    prompt_tokens: int
    out_tokens: int


def switching(of: Expert) -> Iterator[Shown]:
    """An expert's copy into fast memory, machine by machine."""
    here_s = switch_s(machine(HERE), of)
    yield Table("Copying an expert into the fast memory", ("machine", "ms", "times SN40L's", "experts in fast memory"),
                [(on.title, 1e3 * switch_s(on, of), switch_s(on, of) / here_s, resident(on, of))
                 for on in machines().values()])  # fmt: skip
    for name, (rival, _) in zip(("switch_a100", "switch_h100"), RIVALS, strict=True):
        yield Finding(name, switch_s(machine(rival), of) / here_s, "computed")
    refused = False
    try:
        switch_s(machine(HERE), Expert(1e12))
    except LimitError:
        refused = True
    yield Finding("too_large", refused, "computed")


def footprint(of: Expert, most: int, reserve_bytes: float) -> Iterator[Shown]:
    """Machines that never wait for a switch over the host's link, against nodes that copy."""
    counts = sorted({*range(50, most, 50), 150, most})
    rows = [(count, machines_for(machine(HERE), of, count, copied=True),
             machines_for(machine(A100), of, count, reserve_bytes, copied=False)) for count in counts]  # fmt: skip
    yield Table("Machines that hold all experts", ("experts", "SN40L nodes", "DGX, all in fast memory"), rows,
                note=f"{reserve_bytes / 1e9:g} GB of each DGX for caches of keys and values")  # fmt: skip
    yield Finding(
        "footprint", rows[-1][2] / rows[-1][1], "computed", why=f"{most} experts of {of.bytes / 1e9:.3g} GB"
    )


def overall(of: Expert, asked: Settings) -> Iterator[Shown]:
    """The whole time over hit rates and output lengths: where the published ratios are reached."""
    yield _splits(of, asked)
    reached = {name: _reached(name, target, of, asked) for name, target in RIVALS}
    yield Table("Output tokens at which the published ratio is reached", ("hit rate, %", "DGX A100: 6.6 ×", "DGX H100: 3.7 ×"),
                [(100 * hit, *(found.get(hit) for found in reached.values())) for hit in HITS],
                note="the same hit rate on both machines; nothing: the ratio is not reached at any length")  # fmt: skip
    for key, (name, target) in zip(("overall_a100", "overall_h100"), RIVALS, strict=True):
        at = {hit: tokens for hit, tokens in reached[name].items() if tokens is not None}
        hit = min(at, key=lambda each: (abs(at[each] - asked.out_tokens), each), default=0.0)
        tokens = at.get(hit) or asked.out_tokens
        yield Finding(key, ratio(name, of, asked, hit, tokens), "computed", len(HITS) * len(LENGTHS),
                      why=f"{tokens} output tokens at a hit rate of {hit:.0%}: of the points that reach {target} × "
                          f"the nearest to {asked.out_tokens} tokens")  # fmt: skip
    off, hit, tokens = min(
        (max(abs(ratio(name, of, asked, hit, tokens) / target - 1) for name, target in RIVALS), hit, tokens)
        for hit in HITS for tokens in LENGTHS
    )  # fmt: skip
    yield Finding("overall_both", 100 * off, "computed", len(HITS) * len(LENGTHS),
                  why=f"{tokens} output tokens at a hit rate of {hit:.0%}")  # fmt: skip
    yield Chart(f"DGX over SN40L, {asked.prompts} prompts, nothing in fast memory", "output tokens", "×",
                tuple(Series(machine(name).title, LENGTHS, [ratio(name, of, asked, 0.0, each) for each in LENGTHS])
                      for name, _ in RIVALS), log_x=True)  # fmt: skip


def ratio(rival: str, of: Expert, asked: Settings, hit: float, tokens: int) -> float:
    """A machine's time over SN40L's."""
    return _answered(rival, of, asked, hit, tokens).seconds / _answered(HERE, of, asked, hit, tokens).seconds


def streams(of: Expert, asked: Settings, requests: int, seed: int) -> Iterator[Shown]:
    """Requests one after another: what LRU keeps, and what copying ahead hides."""
    on, policy = machine(HERE), catalog.make(POLICIES, "lru")
    held, size = resident(on, of), round(of.bytes)
    tier = TierFigures("ddr", on.switch_bytes_per_s)
    execute_s = token_s(on, of, max(1, asked.prompt_tokens)) + asked.out_tokens * token_s(on, of)
    drawn = {
        "uniform": uniform(asked.experts, requests, seed), "Zipf": zipf(asked.experts, requests, 1.0, seed),
        "bursty": bursty(asked.experts, requests, 0.75, seed),
    }  # fmt: skip
    rows, off, hidden = [], 0.0, []
    for name, wanted in drawn.items():
        plain, ahead = (
            served(wanted, policy, tier, experts=asked.experts, expert_bytes=size, held=held, execute_s=execute_s,
                   prefetch=prefetch) for prefetch in (False, True)
        )  # fmt: skip
        counted = plain_hits(wanted, held)
        off = max(off, abs(plain.hit_rate - counted))
        hidden.append(100 * (1 - _waited(ahead) / _waited(plain)) if _waited(plain) else 100.0)
        rows.append((name, 100 * plain.hit_rate, 100 * counted, plain.stall_s / requests * 1e3,
                     ahead.stall_s / requests * 1e3, execute_s * 1e3))  # fmt: skip
    yield Table(f"{requests} requests for {asked.experts} experts, {held} in fast memory, least recently used leaves",
                ("stream", "there, %", "… counted apart, %", "waiting, ms", "… copied ahead, ms", "answer, ms"), rows)  # fmt: skip
    yield Finding("streams", 100 * off, "simulated", len(rows))
    yield Finding(
        "hidden", min(hidden), "simulated", len(rows), why="the least of the streams, after the first request"
    )


def _waited(told: Told) -> float:
    """After the first request, which nobody foresees."""
    return sum(each.ready_s - each.asked_s for each in told.uses[1:])


def _answered(name: str, of: Expert, asked: Settings, hit: float, tokens: int) -> Split:
    wanted = Requests(asked.prompts, asked.prompts, asked.prompt_tokens, tokens, hit)
    return answered(machine(name), of, wanted, router=of)


def _splits(of: Expert, asked: Settings) -> Table:
    rows = []
    for tokens in sorted({asked.out_tokens, 200}):
        for name in (HERE, A100, H100):
            each = _answered(name, of, asked, 0.0, tokens)
            rows.append((machine(name).title, tokens, 1e3 * each.router_s, 1e3 * each.switch_s, 1e3 * each.execute_s,
                         100 * each.switch_s / each.seconds))  # fmt: skip
    return Table(f"{asked.prompts} prompts to as many experts, nothing in fast memory",
                 ("machine", "output tokens", "router, ms", "switches, ms", "answers, ms", "switches, %"), rows,
                 note="every machine at its peaks")  # fmt: skip


def _reached(name: str, target: float, of: Expert, asked: Settings) -> dict[float, int | None]:
    """For each hit rate the most tokens at which the ratio is still reached; more tokens only lower it."""
    found: dict[float, int | None] = {}
    for hit in HITS:
        if ratio(name, of, asked, hit, LENGTHS[0]) < target:
            found[hit] = None
            continue
        low, high = LENGTHS[0], LENGTHS[-1]
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if ratio(name, of, asked, hit, middle) >= target else (low, middle - 1)
        found[hit] = low
    return found
