"""Tokens a second of Gemma-3 270M: one device beside llama.cpp and transformers, one core beside two.

`python -m bench.decoding` · rounds of all rivals in turn; medians of rounds, lowest and highest beside them. llama.cpp reads
the same GGUF file (llama-cpp-python, where it is installed); shoal takes its blocks of five and eight bits as they are and
codes those of four and six anew in eight (see docs/talking.md). What is counted is decode: tokens after the first, by time
since the first. Of sequences at once: all tokens of the time in which every sequence goes on.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from examples.models import gemma3
from shoal import fleet
from shoal.graph.load import read
from shoal.llm.checkpoint import Kept, Wanted, as_module, prepared
from shoal.llm.service import Generator, Placed, Request, Room, generating, placed

PROMPT = "The history of the city begins with"
NEW, ROUNDS, CONTEXT = 96, 5, 1024
HERE = '[devices.here]\nboard = "this-machine"\n'
ONE = '[devices.left]\nboard = "this-machine"\ncores = [0]\n'
TWO = (
    ONE
    + '[devices.right]\nboard = "this-machine"\ncores = [1]\n[default_link]\nbandwidth = "8 GB/s"\nlatency = "50 us"\n'
)
Rival = Callable[[], float]  # tokens a second of one round


def main() -> None:
    """Both tables, or the one that is named: single, cores."""
    path, only = gemma3.file(), set(sys.argv[1:])
    if not only or "single" in only:
        _single(path)
    if not only or "cores" in only:
        _cores(path)


def _single(path: Path) -> None:
    """One sequence, all cores."""
    with ExitStack() as stack:
        rivals: dict[str, Rival] = {}
        for weights in ("stored", "int4"):
            kept = prepared(path, Wanted(weights, CONTEXT))
            generator = stack.enter_context(_ready(kept, HERE, Room(1)))
            rivals[f"shoal, {weights}"] = lambda kept=kept, generator=generator: _rate(generator, kept, 1)
        llama = _llama(path)
        if llama is not None:
            rivals["llama.cpp"] = llama
        rivals["transformers, float32"] = _transformers(prepared(path, Wanted("stored", CONTEXT)))
        _table("one sequence, two threads", rivals, against="llama.cpp")
        _limit(path)


def _cores(path: Path) -> None:
    """Several sequences at once on one core, and on two."""
    kept = prepared(path, Wanted("stored", CONTEXT, 16))
    with ExitStack() as stack:
        rivals: dict[str, Rival] = {}
        for name, where, rows in (
            ("one core, 4 sequences", ONE, 4), ("one core, 8 sequences", ONE, 8), ("two cores, 8 sequences", TWO, 8), ("two cores, 16 sequences", TWO, 16),
        ):  # fmt: skip
            generator = stack.enter_context(_ready(kept, where, Room(rows)))
            rivals[name] = lambda generator=generator, rows=rows: _rate(generator, kept, rows)
        _table("sequences at once", rivals, against="one core, 4 sequences")


@contextmanager
def _ready(kept: Kept, where: str, room: Room) -> Iterator[Generator]:
    def places(lost: frozenset[str]) -> Placed:
        found = placed(kept, fleet.loads(where), room, exclude=lost, measure=True)
        groups = found.plan.replicas[0].groups
        print(f"  predicted {found.plan.prediction.period_s * 1e3:.3g} ms a step:",
              ", ".join(f"{len(each.ops)} ops on {each.unit} by {each.engine}" for each in groups))  # fmt: skip
        return found

    with generating(places, kept.facts.context) as generator:
        yield generator


def _rate(generator: Generator, kept: Kept, sequences: int) -> float:
    """Tokens a second while all sequences go on."""
    times: list[list[float]] = [[] for _ in range(sequences)]
    tokens = tuple(kept.text.tokens(PROMPT))
    streams = [
        generator.ask(Request(tokens, NEW), lambda came, own=own: own.append(time.perf_counter())) for own in times
    ]
    while any(len(own) < NEW for own in times):
        time.sleep(0.01)
    del streams
    began, ended = max(own[0] for own in times), min(own[NEW - 1] for own in times)
    return sum(began < at <= ended for own in times for at in own[:NEW]) / (ended - began)


def _llama(path: Path) -> Rival | None:
    try:
        from llama_cpp import Llama
    except ImportError:
        print("llama-cpp-python is not installed: not compared")
        return None
    model = Llama(str(path), n_ctx=CONTEXT, n_threads=2, n_threads_batch=2, verbose=False)

    def rate() -> float:
        times = []
        tokens = model.tokenize(PROMPT.encode())
        for _ in model.generate(tokens, temp=0.0):
            times.append(time.perf_counter())
            if len(times) == NEW:
                break
        return (NEW - 1) / (times[-1] - times[0])

    return rate


def _transformers(kept: Kept) -> Rival:
    import torch

    model, tokens = as_module(kept, "sdpa"), torch.tensor([kept.text.tokens(PROMPT)])
    few = NEW // 4  # it is slow

    def rate() -> float:
        times = []
        for new in (1, few):
            began = time.perf_counter()
            with torch.no_grad():
                model.generate(tokens, min_new_tokens=new, max_new_tokens=new, do_sample=False, pad_token_id=0)
            times.append(time.perf_counter() - began)
        return (few - 1) / (times[1] - times[0])

    return rate


def _limit(path: Path) -> None:
    """What memory allows: every weight is read once a token."""
    data = np.ones(1 << 25)
    rates = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(np.sum, np.array_split(data, 2)))
        rates.append(data.nbytes / (time.perf_counter() - began))
    for weights in ("stored", "int4"):
        held = read(prepared(path, Wanted(weights, CONTEXT)).model).graph.initializers
        size = sum(value.const_value.nbytes for name, value in held.items()
                   if value.const_value is not None and not name.startswith(("embed_tokens", "places")))  # fmt: skip
        print(
            f"  memory's limit, {weights:10} {max(rates) / size:6.1f}: {size / 1e6:.0f} MB at {max(rates) / 1e9:.1f} GB/s"
        )


def _table(title: str, rivals: dict[str, Rival], against: str) -> None:
    against = against if against in rivals else next(reversed(rivals))
    found: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(ROUNDS):
        for name, rate in rivals.items():
            found[name].append(rate())
    print(f"{title}: tokens/s, median of {ROUNDS} rounds (lowest…highest)")
    for name, rates in found.items():
        ratio = [own / other for own, other in zip(rates, found[against], strict=True)]
        print(f"  {name:28} {statistics.median(rates):6.1f} ({min(rates):.1f}…{max(rates):.1f})"
              f"  × {against}: {statistics.median(ratio):.2f} ({min(ratio):.2f}…{max(ratio):.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
