"""The study of SKIP: prefill of a language model on boards that differ in how host and accelerator hang together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from shoal.fleet import board
from shoal.measure.queue import Work
from shoal.measure.trace import Fusion, best, fusions, knee, queue_metrics, slope
from shoal.sim import LaunchSystem, launch_system
from shoal.study.contract import Chart, Finding, Series, Shown, Table

CLOSE = "gh200-96gb"
LOOSE = ("a100-80gb", "h100-80gb-pcie")
LLAMA = {
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": True,
}  # the configuration of Llama-3.2-1B as far as kernels depend on it
SYMBOL_BYTES = 8


@dataclass(frozen=True)
class Sweep:
    """One board over all batches."""

    name: str
    latency_s: tuple[float, ...]
    tklqt_s: tuple[float, ...]
    knee: float  # batch
    balance: float  # batch from which kernels take longer than launches

    @classmethod
    def of(
        cls, name: str, system: LaunchSystem, batches: Sequence[int], works: Sequence[Sequence[Work]], tokens: int
    ) -> Sweep:
        """The simulated prefills."""
        found = [
            queue_metrics(system.run(work, batch * tokens * SYMBOL_BYTES))
            for batch, work in zip(batches, works, strict=True)
        ]
        tklqt = tuple(each.tklqt_s for each in found)
        bend = knee(batches, tklqt)
        busy = [sum(map(system.kernel_s, work)) for work in works]
        each_s = median(one / batch for one, batch in zip(busy, batches, strict=True))
        return cls(name, tuple(each.latency_s for each in found), tklqt, bend.at if bend else float(batches[-1]),
                   len(works[-1]) * system.host_s / each_s)  # fmt: skip


def swept(
    batches: Sequence[int], works: Sequence[Sequence[Work]], tokens: int, operator_s: float
) -> dict[str, Sweep]:
    """All boards, by name."""
    return {
        name: Sweep.of(name, launch_system(board(name), operator_s=operator_s), batches, works, tokens)
        for name in (*LOOSE, CLOSE)
    }


def shown(batches: Sequence[int], found: Mapping[str, Sweep]) -> Iterator[Shown]:
    """Findings and pictures of the sweep."""
    close, loose = found[CLOSE], [found[name] for name in LOOSE]
    faster = sorted(each.latency_s[-1] / close.latency_s[-1] for each in loose)
    yield Finding("faster_least", faster[0], "simulated", 1)
    yield Finding("faster_most", faster[-1], "simulated", 1)
    h100 = found["h100-80gb-pcie"]
    yield Finding("slower_at_one", close.latency_s[0] / h100.latency_s[0], "simulated", 1, why="against the H100")
    later = [close.knee / each.knee for each in loose]
    yield Finding("knee_later", max(later), "simulated", len(later), (min(later), max(later)),
                  "the interval is over both boards; by kernels against launches: "
                  + ", ".join(f"{close.balance / each.balance:.1f}" for each in loose))  # fmt: skip
    rows = [(batch, *(each.latency_s[at] * 1e3 for each in found.values())) for at, batch in enumerate(batches)]
    yield _linear(batches, list(found.values()))
    yield Table("Simulated prefill, ms", ("batch", *found), rows)
    yield Table("Where launches cease to set the pace", ("board", "knee of TKLQT, batch", "kernels as long as launches, batch"),
                [(each.name, each.knee, each.balance) for each in found.values()])  # fmt: skip
    for title, pick in (
        ("Simulated latency of a prefill", "latency_s"),
        ("Simulated TKLQT of a prefill", "tklqt_s"),
    ):
        lines = (
            Series(each.name, list(batches), [s * 1e3 for s in getattr(each, pick)]) for each in found.values()
        )
        yield Chart(title, "batch", "ms", tuple(lines), log_x=True, log_y=True)


def _linear(batches: Sequence[int], found: Sequence[Sweep]) -> Finding:
    """How latency grows where kernels set the pace."""
    powers = []
    for each in found:
        beyond = [at for at, batch in enumerate(batches) if batch > each.knee]
        if len(beyond) > 1:
            powers.append(slope([batches[at] for at in beyond], [each.latency_s[at] for at in beyond]))
    if not powers:
        return Finding("latency_after", None, why="no two batches are beyond a knee")
    return Finding("latency_after", max(powers, key=lambda each: abs(each - 1)), "simulated", len(powers))


def slower_hosts(
    times: Sequence[float], batches: Sequence[int], works: Sequence[Sequence[Work]], tokens: int, operator_s: float
) -> Table:
    """What the host of the closely coupled board changes."""
    system = launch_system(board(CLOSE), operator_s=operator_s)
    rows = []
    for slower in times:
        coupling = replace(system.coupling, host_speed=1 / slower)
        found = Sweep.of(CLOSE, replace(system, coupling=coupling), batches, works, tokens)
        rows.append((slower, found.knee, found.balance, found.latency_s[0] * 1e3, found.latency_s[-1] * 1e3))
    return Table("The closely coupled board with other hosts",
                 ("operator takes × as long", "knee, batch", "balance, batch", "first batch, ms", "last batch, ms"), rows)  # fmt: skip


def chained(work: Sequence[Work]) -> Fusion:
    """The chains that leave fewest kernels of a prefill.

    A device has a kernel of its own for each size of a product, so kernels are told apart by op and size.
    """
    return best(fusions([f"{each.name} {each.flop:g} {each.moved_bytes:g}" for each in work]))


def fused(work: Sequence[Work], tokens: int, operator_s: float) -> Iterator[Finding]:
    """What chains could gain at batch 1: at most, where launches alone take time, and on the close board."""
    found = chained(work)
    plain = best(fusions([each.name for each in work]))
    yield Finding("fusion_ideal", found.ideal_speedup, "computed", len(work), why=(
        f"chains of {found.length} kernels, told apart by op and size; by op alone {plain.ideal_speedup:.2f} ×. "
        "The published figures are of other models and of the names of CUDA's kernels"
    ))  # fmt: skip
    close, h100 = (launch_system(board(name), operator_s=operator_s) for name in (CLOSE, "h100-80gb-pcie"))
    copied = tokens * SYMBOL_BYTES
    after_s, before_s, other_s = (
        queue_metrics(trace).latency_s
        for trace in (close.run(work, copied, found.groups()), close.run(work, copied), h100.run(work, copied))
    )
    yield Finding(
        "fusion_close", after_s / other_s, "simulated", 1, why=f"{before_s / after_s:.2f} × faster by fusion"
    )
