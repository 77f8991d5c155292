"""Tensors paged by schedule between small local memory and a shared pool that adds: real on this machine, and simulated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Shown, Source, Within, untestable


@dataclass(frozen=True)
class Fenghuang:
    """A decoder runs within less and less memory of its own, its weights in a file that is held to a rate (emulated).

    The order of layers is known, so what leaves is what comes back last; that is held against least recently used, and the
    time of a step against a model of the schedule that knows only a resident run. Keys and values are paged out and in by
    blocks of tokens. A server process owns memory that adds what others write; sums, gathers and exchanges through it are
    checked, and timed against a ring on sockets. Processes that have a small model together, each a part of every matrix,
    add through it and answer as one. The published machines do not exist: they are simulated, operation by operation, and
    all that is put in is printed.
    """

    model: str = "gemma3-270m"  # or a small one that comes with shoal: "llama"
    tile_kb: int = 24576  # of a tile of it
    shares: str = "100+75+50+25+10"  # budgets, per cent of the weights
    tokens: int = 192  # of a step against the clock
    steps: int = 2  # of it, beside the first
    workers: int = 4  # processes that exchange
    parallel: str = "2+4"  # processes that have a small model together
    largest_mb: int = 64  # of what they exchange, in MiB
    rounds: int = 9  # of each size
    batch: int = 8  # sequences at once on the simulated machines
    local_gb: float = 20.0  # memory of a simulated device
    remote_tb: float = 4.8  # TB/s of its port
    window: int = 4  # operations ahead there
    seed: int = 0  # of what is summed

    title = "FengHuang: tensors paged between little local memory and a pool that adds"
    source = Source("FengHuang's authors", "FengHuang: Next-Generation Memory Orchestration for AI Inferencing", 2025,
                    "2511.10753")  # fmt: skip
    quick = "model=llama,tile_kb=256,shares=100+50,tokens=16,steps=1,workers=2,parallel=2,largest_mb=4,rounds=2"
    claims = (
        Claim("same", "logits in every budget are those of the resident run, to the bit", None, "", Holds()),
        Claim("held", "memory of records over the budget, the most", 1.0, "×", AtMost()),
        Claim("least", "smallest budget found over the one foreseen", 1.0, "×", Within(absolute=0)),
        Claim("short", "a page less is refused, and the bytes needed are said", None, "", Holds()),
        Claim("schedule", "bytes read by last use over those by schedule, least of all budgets", None, "×", AtLeast(1.0)),
        Claim("layer_ahead", "… with the next record fetched ahead by both", None, "×", AtLeast(1.0)),
        Claim("lru", "layers that last use finds there, of a cyclic order", 0, "%", AtMost(1.0)),
        Claim("model", "a step's time off the schedule's model, most of all budgets", None, "%", AtMost(20)),
        Claim("kv", "logits with keys and values in a file, block by block, are those of memory, to the bit", None, "", Holds()),
        Claim("kv_held", "… memory of blocks over their budget, the most", 1.0, "×", AtMost()),
        Claim("sums", "sums through the pool and around the ring, off numpy's", None, "", AtMost(1e-6)),
        Claim("ordered", "sums of the same arrays have the same bits again, by every way", None, "", Holds()),
        Claim("moved", "gathers, and exchanges all to all, are the same by the pool and the ring", None, "", Holds()),
        Claim("gain_small", "small sums through the pool against the ring, here", "16 to 70", "×", AtLeast(1.0)),
        Claim("gain_large", "… the largest sum", None, "×", AtLeast(1.0)),
        Claim("chunked", "… in one piece over in chunks that are read while others are written", None, "×", AtLeast(1.0)),
        Claim("parallel", "a model in parts, logits off one process, the most of all ways to exchange", None, "", AtMost(1e-5)),
        Claim("parallel_text", "… gives the same text", None, "", Holds()),
        Claim("missing", "a writer that does not come is named when time is up", None, "", Holds()),
        Claim("twice", "two writers of a tensor that does not add are refused", None, "", Holds()),
        Claim("shared", "4 × the local memory against 8 × 141 GB: less by", 93, "%", Within(absolute=1)),
        Claim("memory", "GPT-3 on four devices, chat: less local memory at 5 % more time", 90, "%", AtLeast()),
        Claim("slowdown", "… time that the published local memory costs", None, "%", AtMost(5)),
        Claim("small", "simulated sum over eight, ring over pool: 1 KB", 70, "×", Within(relative=0.05)),
        Claim("large", "… 100 MB", 16, "×", Within(relative=0.05)),
        Claim("four", "four devices of 1.5 × local bandwidth over eight: time of text, the worst model and mix", "equal", "×",
              AtMost(1.15)),
        Claim("four_twice", "… of 2 ×", "equal", "×", AtMost(1.15)),
        Claim("knee", "remote bandwidth where a token stops gaining, over the formula's", None, "×",
              Within(relative=0.1, target=1.0)),
        Claim("over_layer", "simulated token, a layer ahead with nothing kept over by schedule", None, "×", AtLeast(1.0)),
        Claim("over_lru", "… on demand, by last use", None, "×", AtLeast(1.0)),
        Claim("over_host", "… from the host over PCIe, a layer ahead", None, "×", AtLeast(1.0)),
        Claim("gpus", "GPUs saved on a running system", 50, "%", AtLeast()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Simulated machines, real paging, the real pool."""
        from shoal.study import _fenghuang_keys_values as keys_values
        from shoal.study import _fenghuang_paging as paging
        from shoal.study import _fenghuang_parallel as parallel
        from shoal.study import _fenghuang_pool as pool
        from shoal.study import _fenghuang_simulated as simulated
        from shoal.study._zero_infinity_text import subject

        bench.say("simulated machines")
        yield from simulated.simulated(self.batch, 1e9 * self.local_gb, 1e12 * self.remote_tb, self.window)
        yield from paging.paging(
            subject(self.model, self.tile_kb << 10), self.shares, self.tokens, self.steps, bench
        )
        yield from keys_values.keys_values(bench)
        yield from pool.exchanged(self.workers, self.largest_mb << 20, self.rounds, self.seed, bench)
        yield from parallel.parallel(self.parallel, bench)
        yield untestable("gpus", "takes accelerators with such a bridge; none exist")
