"""The published machines in simulation: little local memory, a shared pool, fewer devices. None of them exists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf

from shoal.cost.pooled import Exchange, PoolPorts, RingLinks
from shoal.llm.architecture import Architecture, Layer
from shoal.llm.parts import Attention, Dense, Experts
from shoal.llm.step_ops import Load, step_ops
from shoal.sim.paging import Op, Xpu, least_bytes, paged
from shoal.sim.paging_reactive import reactive
from shoal.study import Chart, Finding, Note, Series, Shown, Table

H200_BYTES = 141e9  # data sheet
REMOTES = (4.0e12, 4.8e12, 5.6e12, 6.4e12)  # bytes a second; the publication's sweep
SIZES = tuple(10.0**exponent for exponent in range(3, 9))  # 1 KB to 100 MB
FASTER = {"four": 1.5, "four_twice": 2.0}  # local bandwidth, by claim; the publication's
SLOWER = 1.05  # than all resident: what is allowed
HOST = Xpu(remote_bytes_per_s=63e9, remote_s=10e-6)  # PCIe 5.0 with 16 lanes, each way; what a copy costs: choice
LAYER = 2  # operations of one
WORDS = {"over_layer": "a layer ahead, none kept", "over_lru": "on demand, by last use",
         "over_host": "from the host over PCIe, a layer ahead"}  # by claim  # fmt: skip
MIXES = {"chat": (4096, 1024), "reasoning": (512, 16384)}  # tokens in and out

# GPT-3's product is not gated: two matrices to four times the width are as many weights as three to 8/3 of it. Its biases
# and places are left out. [Brown et al., 2020, table 2.1; xAI, Grok-1's released configuration, 2024; Qwen Team, Qwen3, 2025]
MODELS = {
    "GPT-3 175B": Architecture(
        "gpt3", 50257, 12288, (Layer(Attention(96, 96, 128), Dense(32768), 2),) * 96, 2048, tied=True
    ),
    "Grok-1": Architecture(
        "grok-1", 131072, 6144, (Layer(Attention(48, 8, 128), Experts(8, 2, 32768), 4),) * 64, 8192, tied=True
    ),
    "Qwen3-235B": Architecture(
        "qwen3_moe", 151936, 4096,
        (Layer(Attention(64, 4, 128, normed=True), Experts(128, 8, 1536), 2),) * 94, 40960, tied=False,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class System:
    """Devices alike, and how they exchange."""

    devices: int
    xpu: Xpu
    exchange: Exchange
    local_bytes: float = float("inf")  # of each
    window: int = 1

    def step_s(self, ops: tuple[Op, ...]) -> float:
        """Of a step."""
        return paged(ops, self.xpu, self.local_bytes, self.window, self.exchange, self.devices).seconds

    def first_s(self, model: Architecture, batch: int, given: int) -> float:
        """Until the first token."""
        return self.step_s(step_ops(model, Load(batch, 0, given, self.devices)))

    def token_s(self, model: Architecture, batch: int, seen: int) -> float:
        """Of a token of each sequence after so many."""
        return self.step_s(step_ops(model, Load(batch, seen, 1, self.devices)))

    def text_s(self, model: Architecture, batch: int, mix: tuple[int, int]) -> float:
        """Of prompt and answer; a token halfway stands for all, since time grows evenly."""
        given, out = mix
        return self.first_s(model, batch, given) + out * self.token_s(model, batch, given + out // 2)


def baseline() -> System:
    """Eight H200 and a switch."""
    return System(8, Xpu(), RingLinks())


def pool(remote: float, faster: float = 1.0, local_bytes: float = float("inf"), window: int = 1) -> System:
    """Four devices on a pool."""
    xpu = Xpu(local_bytes_per_s=Xpu.local_bytes_per_s * faster, remote_bytes_per_s=remote)
    return System(4, xpu, PoolPorts(remote, remote), local_bytes, window)


def simulated(batch: int, local_bytes: float, remote: float, window: int) -> Iterator[Shown]:
    """All of it."""
    yield from _machines(batch, local_bytes, remote, window)
    yield from _memory(batch, local_bytes, remote, window)
    yield from _exchanges()
    yield from _fewer(batch, local_bytes, remote, window)
    yield from _knee(batch, local_bytes, window)
    yield from _baselines(batch, local_bytes, remote, window)


def _machines(batch: int, local_bytes: float, remote: float, window: int) -> Iterator[Shown]:
    """What is put in."""
    xpu, ring, ports = Xpu(), RingLinks(), PoolPorts(remote, remote)
    rows = [
        ("compute, bfloat16", xpu.flops_per_s / 1e12, "TFLOP/s, times", xpu.flops_share),
        ("local memory", xpu.local_bytes_per_s / 1e12, "TB/s, times", xpu.local_share),
        ("pool's port", remote / 1e12, "TB/s, after µs", xpu.remote_s * 1e6),
        ("pool's notification", ports.access_s * 1e6, "µs", None),
        ("ring's link", ring.link_bytes_per_s / 1e9, "GB/s, after µs", ring.hop_s * 1e6),
        ("local memory kept", local_bytes / 1e9, "GB; window, operations", window),
        ("sequences at once", batch, "", None),
    ]
    yield Table("Figures put in", ("what", "figure", "unit", "and"), rows,
                note="of machines of which only the H200 and its links exist; all of them are inputs")  # fmt: skip


def _memory(batch: int, local_bytes: float, remote: float, window: int) -> Iterator[Shown]:
    """The least local memory at which text takes 5 % longer at most."""
    model, mix = MODELS["GPT-3 175B"], MIXES["chat"]
    yield Finding("shared", 100 * (1 - 4 * local_bytes / (8 * H200_BYTES)), "computed")
    rows, findings = [], []
    for each in (1, batch, 4 * batch):
        for rate in (remote / 2, remote):
            system = replace(pool(rate), window=window)
            whole = _held(model, each, mix)
            least = _least(system, model, each, mix, whole)
            rows.append((each, rate / 1e12, whole / 1e9, least / 1e9, 100 * (1 - least / whole),
                         100 * (1 - 4 * least / (8 * H200_BYTES))))  # fmt: skip
            if (each, rate) == (batch, remote):
                kept = pool(rate, local_bytes=local_bytes, window=window).text_s(model, each, mix)
                slower = 100 * (kept / system.text_s(model, each, mix) - 1)
                why = f"batch {batch}, {remote / 1e12:g} TB/s remote, against all resident on the same four"
                findings = [Finding("memory", 100 * (1 - least / whole), "simulated", why=why),
                            Finding("slowdown", slower, "simulated", why=f"{local_bytes / 1e9:g} GB each; {why}")]  # fmt: skip
    yield from findings
    yield Table(
        "GPT-3 175B on four devices, chat: least local memory at which text takes 5 % longer at most",
        ("sequences", "remote, TB/s", "all resident, GB each", "least, GB each", "less, %", "less than 8 × 141 GB, %"),
        rows,
    )  # fmt: skip


def _held(model: Architecture, batch: int, mix: tuple[int, int]) -> float:
    """Bytes of each of four devices when nothing is paged: at the text's end, or while the prompt is read."""
    loads = (Load(batch, sum(mix) - 1, 1, 4), Load(batch, 0, mix[0], 4))
    return max(least_bytes(ops, len(ops)) for ops in (step_ops(model, load) for load in loads))


def _least(system: System, model: Architecture, batch: int, mix: tuple[int, int], whole: float) -> float:
    """By bisection to a thousandth of all."""
    limit_s = SLOWER * system.text_s(model, batch, mix)
    loads = (Load(batch, mix[0] + mix[1] // 2, 1, 4), Load(batch, 0, mix[0], 4))
    low, high = max(least_bytes(step_ops(model, load), 0) for load in loads), whole
    if replace(system, local_bytes=low).text_s(model, batch, mix) <= limit_s:
        return low
    while high - low > 1e-3 * whole:
        middle = (low + high) / 2
        quick = replace(system, local_bytes=middle).text_s(model, batch, mix) <= limit_s
        low, high = (low, middle) if quick else (middle, high)
    return high


def _exchanges() -> Iterator[Shown]:
    """Eight devices add up a tensor."""
    ring, ports = RingLinks(), PoolPorts()
    ways = {"chunked": ports, "whole": replace(ports, chunk_bytes=inf)}
    gains = {
        name: [ring.all_reduce_s(size, 8) / way.all_reduce_s(size, 8) for size in SIZES]
        for name, way in ways.items()
    }
    yield Finding("small", max(gains["chunked"]), "modelled", len(SIZES), why="1 KB")
    yield Finding("large", min(gains["chunked"]), "modelled", len(SIZES),
                  why=f"100 MB; {min(gains['whole']):.3g} where reading waits for all writing")  # fmt: skip
    yield Chart("Sum over eight devices: ring over pool", "tensor, bytes", "times quicker",
                tuple(Series(name, SIZES, each) for name, each in gains.items()), log_x=True, log_y=True)  # fmt: skip
    rows = [
        (
            size / 1e3,
            ring.all_reduce_s(size, 8) / ports.all_reduce_s(size, 8),
            ring.all_gather_s(size, 8) / ports.all_gather_s(size, 8),
            ring.all_gather_s(size, 8) / ports.reduce_scatter_s(size, 8),
            ring.all_to_all_s(size, 8) / ports.all_to_all_s(size, 8),
        )
        for size in SIZES
    ]
    yield Table("Exchanges of eight devices in chunks: ring over pool",
                ("tensor, KB", "sum, ×", "gather, ×", "scattered sum, ×", "all to all, ×"), rows)  # fmt: skip


def _fewer(batch: int, local_bytes: float, remote: float, window: int) -> Iterator[Shown]:
    """Four on a pool against eight with a switch."""
    rows = []
    worst = dict.fromkeys(FASTER.values(), 0.0)
    for name, model in MODELS.items():
        for mix, tokens in MIXES.items():
            eight = baseline()
            eight_s = eight.text_s(model, batch, tokens)
            first_s = eight.first_s(model, batch, tokens[0])
            for faster in FASTER.values():
                for rate in REMOTES:
                    four = pool(rate, faster, local_bytes, window)
                    ratio = four.text_s(model, batch, tokens) / eight_s
                    rows.append(
                        (name, mix, faster, rate / 1e12, four.first_s(model, batch, tokens[0]) / first_s, ratio)
                    )
                    if rate == remote:
                        worst[faster] = max(worst[faster], ratio)
    for key, faster in FASTER.items():
        best = min(row[-1] for row in rows if row[2] == faster)
        yield Finding(key, worst[faster], "simulated", len(MODELS) * len(MIXES),
                      why=f"the worst model and mix at {remote / 1e12:g} TB/s; the best of all at any: {best:.3g}")  # fmt: skip
    yield Table(
        f"Four devices on a pool over eight with a switch, {batch} sequences: time",
        ("model", "mix", "local bandwidth, ×", "remote, TB/s", "first token, ×", "text, ×"),
        rows,
    )


def _knee(batch: int, local_bytes: float, window: int) -> Iterator[Shown]:
    """A token's time over remote bandwidth, and where it stops falling."""
    ratios, lines = [], []
    for name, model in MODELS.items():
        seen = MIXES["chat"][0] + MIXES["chat"][1] // 2
        ops = step_ops(model, Load(batch, seen, 1, 4))
        free = paged(ops, Xpu(), local_bytes, window, PoolPorts(), 4)
        formula = free.fetched_bytes / (SLOWER * free.working_s)
        rates = [formula * 2 ** (step / 4) for step in range(-12, 13)]
        times = [_token_s(ops, rate, local_bytes, window) for rate in rates]
        ratios.append(_bent(ops, local_bytes, window, SLOWER * free.working_s, rates) / formula)
        lines += [Series(name, [rate / 1e12 for rate in rates], [1e3 * each for each in times]),
                  Series(f"{name}: formula", [rate / 1e12 for rate in rates],
                         [1e3 * max(free.working_s, free.fetched_bytes / rate) for rate in rates], name)]  # fmt: skip
    yield Finding("knee", ratios[0], "simulated", 1, why="GPT-3 175B; all its tensors are foreseen")
    yield Note("With experts, which are fetched after their router has spoken, the knee comes later: "
               + ", ".join(f"{name} × {ratio:.3g}" for name, ratio in list(zip(MODELS, ratios, strict=True))[1:]) + ".")  # fmt: skip
    yield Chart(f"A token over remote bandwidth, {local_bytes / 1e9:g} GB local", "remote, TB/s", "ms", tuple(lines),
                log_x=True, log_y=True, note="exchanges stay as they are")  # fmt: skip


def _token_s(ops: tuple[Op, ...], rate: float, local_bytes: float, window: int) -> float:
    return paged(ops, Xpu(remote_bytes_per_s=rate), local_bytes, window, PoolPorts(), 4).seconds


def _bent(ops: tuple[Op, ...], local_bytes: float, window: int, limit_s: float, rates: list[float]) -> float:
    """The least bandwidth of which a token takes no longer than the limit, by bisection; infinite where none does."""
    low, high = rates[0], 64 * rates[-1]
    if _token_s(ops, high, local_bytes, window) > limit_s:
        return float("inf")
    while high > 1.001 * low:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if _token_s(ops, middle, local_bytes, window) <= limit_s else (middle, high)
    return high


def _baselines(batch: int, local_bytes: float, remote: float, window: int) -> Iterator[Shown]:
    """A token on four devices: tensors by schedule, and by what else there is."""
    xpu, ports = Xpu(remote_bytes_per_s=remote), PoolPorts(remote, remote)
    seen = MIXES["chat"][0] + MIXES["chat"][1] // 2
    rows, over = list[tuple[str, str, float, float, float]](), dict[str, list[float]]()
    for name, model in MODELS.items():
        ops = step_ops(model, Load(batch, seen, 1, 4))
        ways = {
            "all resident": paged(ops, xpu, inf, window, ports, 4),
            "by schedule": paged(ops, xpu, local_bytes, window, ports, 4),
            "over_layer": paged(ops, xpu, local_bytes, LAYER, ports, 4, pinned=False),
            "over_lru": reactive(ops, xpu, local_bytes, ports, 4),
            "over_host": paged(ops, HOST, local_bytes, LAYER, RingLinks(), 4, pinned=False),
        }
        scheduled_s = ways["by schedule"].seconds
        for key, way in ways.items():
            rows.append(
                (name, WORDS.get(key, key), 1e3 * way.seconds, way.fetched_bytes / 1e9, way.seconds / scheduled_s)
            )
            over.setdefault(key, []).append(way.seconds / scheduled_s)
    for key in WORDS:
        yield Finding(key, min(over[key]), "simulated", len(MODELS), (min(over[key]), max(over[key])),
                      "the least of the models; interval: all of them")  # fmt: skip
    yield Table(f"A token on four devices of {local_bytes / 1e9:g} GB, {batch} sequences, by what pages",
                ("model", "tensors", "token, ms", "fetched, GB", "over schedule, ×"), rows,
                note="the host sums around a ring of links")  # fmt: skip
