"""Who waits for whom between a host and its accelerator, after SKIP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.study import AtLeast, AtMost, Bench, Claim, Holds, Shown, Source, Within, untestable, words


@dataclass(frozen=True)
class Skip:
    """Traces of operators, launches and kernels; where launches stop to set the pace; what fusion is worth.

    A process that executes calls of PyTorch in the order in which another one sends them is a launch queue with true
    times. Its kernels are made longer until they outlast the interval of launches; then chains of a real decode that
    always follow one another are sent as one. What is not here is simulated: kernels from Llama-3.2-1B's shapes, times
    by roofline, boards from the catalog. What an operator takes a host is an input.
    """

    models: str = "llama+minilm+gemma3"  # profiled here
    tokens: int = 128  # of their prefill
    loads: str = "1+4+16+32+64+128+256+512+1024"  # rows of the queue's products
    count: int = 64  # launches of a pass
    width: int = 256  # of the products
    emit_us: float = 400.0  # µs between the queue's launches
    rounds: int = 9  # of everything that is timed
    steps: int = 3  # tokens of the decode that is fused
    seen: int = 32  # tokens before it
    batches: str = "1+2+3+4+6+8+12+16+24+32+64+128"  # of the simulated prefill
    prompt: int = 512  # tokens of it
    operator_us: float = 15.0  # µs of an operator on the Intel host, Python around it included
    hosts: str = "1.5+2+2.5"  # times as long that an operator may take on Grace

    title = "SKIP: operators, launches and kernels; who waits for whom"
    source = Source(
        "Vellaisamy et al.",
        "Characterizing and Optimizing LLM Inference Workloads on CPU-GPU Coupled Architectures",
        2025,
        arxiv="2504.11750",
        venue="ISPASS 2025",
    )
    quick = (
        "models=llama,tokens=16,loads=1+32+256,count=16,rounds=2,steps=2,seen=4,batches=1+4+16,prompt=64,hosts=2"
    )
    claims = (
        Claim("consistent", "real traces: called operators take no longer than callers, nor threads than the whole", None,
              "", Holds()),
        Claim("no_queue", "of work on a CPU no launch and queuing time is told", None, "", Holds()),
        Claim("refused", "files lacking launches or correlations, or of two clocks, are refused; whole ones are exact",
              None, "", Holds()),
        Claim("flat", "TKLQT while kernels are shorter than the interval of launches: most over least",
              "flat", "×", AtMost(2.0)),
        Claim("square", "power of the number of launches with which TKLQT grows beyond", 2.0, "", Within(absolute=0.2)),
        Claim("knee", "steps of the sweep between the knee of TKLQT and where kernels outlast the interval",
              "the transition", "", AtMost(1.0)),
        Claim("simulated", "TKLQT of the simulated queue over that of the real one, beyond the knee", None, "×",
              Within(relative=0.1, target=1.0)),
        Claim("fusion_gain", "chains of a real decode sent as one, launches setting the pace: times as fast",
              "up to 2.7–6.8, idealised", "×", AtLeast(1.0)),
        Claim("fusion_bound", "that gain over the idealised one", None, "×", AtMost(1.0)),
        Claim("fusion_same", "fused and unfused outputs are equal", None, "", Holds()),
        Claim("fusion_ideal", "idealised gain of chains, prefill of Llama-3.2-1B's shapes", "2.7–6.8", "×", AtLeast(2.7)),
        Claim("fusion_close", "batch 1: GH200 with chains fused over the H100 without", "mitigates its slower host", "×",
              AtMost(1.0)),
        Claim("faster_least", "largest batch: GH200 against the nearer PCIe board", 1.9, "×", Within(relative=0.25)),
        Claim("faster_most", "largest batch: GH200 against the other PCIe board", 2.7, "×", Within(relative=0.25)),
        Claim("slower_at_one", "batch 1: latency of GH200 over that of the H100", "slower", "×", AtLeast(1.0)),
        Claim("knee_later", "batch up to which launches set the pace, GH200 over PCIe boards", "up to 4", "×",
              Within(absolute=1.0, target=3.0)),
        Claim("latency_after", "power of the batch with which latency grows beyond the knee, the farthest from 1",
              "linear", "", Within(absolute=0.15, target=1.0)),
        Claim("gpus", "the same on an A100, an H100 and a GH200", "measured", "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Traces, the real queue, its fusion, and the boards that are not here."""
        from shoal.llm.launches import calls_of, decode, prefill_work
        from shoal.llm.tiny import tiny
        from shoal.study import _skip_coupled as coupled
        from shoal.study import _skip_traces as traces
        from shoal.study._skip_queue import QueueLab, fused
        from shoal.train.library import torch_threads

        with torch_threads():
            names = bench.each(words(self.models), "model")
            yield from traces.shown([traces.seen(name, 1, self.tokens, self.rounds) for name in names])
            bench.say("queue")
            loads = [int(each) for each in words(self.loads)]
            lab = QueueLab(loads, self.count, self.width, self.emit_us * 1e-6, self.rounds)
            yield from lab.shown(bench.scratch)
            bench.say("fusion")
            work = calls_of(decode(tiny("llama").module(), self.seen, self.steps))
            yield from fused(work, self.emit_us * 1e-6, self.rounds)
            batches = [int(each) for each in words(self.batches)]
            works = [prefill_work(coupled.LLAMA, batch, self.prompt) for batch in bench.each(batches, "batch")]
        operator_s = self.operator_us * 1e-6
        yield from coupled.fused(works[0], self.prompt, operator_s)
        yield from coupled.shown(batches, coupled.swept(batches, works, self.prompt, operator_s))
        hosts = [float(each) for each in words(self.hosts)]
        yield coupled.slower_hosts(hosts, batches, works, self.prompt, operator_s)
        yield untestable("gpus", "no such device is here")
