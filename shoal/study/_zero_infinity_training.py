"""Training by two processes that have half of all states each, in files, held against one process with torch's Adam."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from shoal.learn import Adam, prepare, train, train_whole
from shoal.learn.units import units
from shoal.study import Bench, Chart, Finding, Series, Shown, Table
from shoal.train.language import Decoder

MEMBERS, BATCH = 2, 8
STATES = 16  # bytes a parameter in float32: weight, gradient and Adam's two means
ADAM = Adam(rate=1e-3)


def trained(width: int, steps: int, bench: Bench) -> Iterator[Shown]:
    """Losses, bytes and memory."""
    decoder = Decoder(width=width, layers=4, heads=4, hidden=8 * width // 3 // 8 * 8, context=64)
    count = sum(each.size for each in units(decoder))
    with tempfile.TemporaryDirectory(prefix="shoal-learn-") as folder:
        bench.say(f"training in {MEMBERS} processes")
        prepare(Path(folder), decoder, MEMBERS)
        found = train(Path(folder), steps, batch=BATCH, adam=ADAM)
    bench.say("training in one process")
    whole, _ = train_whole(decoder, steps, batch=BATCH, adam=ADAM)
    halves, _ = train_whole(decoder, steps, batch=BATCH, adam=ADAM, parts=MEMBERS)
    off = max(abs(one - other) for one, other in zip(found.losses, whole, strict=True))
    yield Finding("curve", off, "measured", steps, why=f"nats; from {whole[0]:.3f} to {whole[-1]:.3f}")
    off = max(abs(one - other) for one, other in zip(found.losses, halves, strict=True))
    yield Finding("halves", off, "measured", steps, why="nats; one process adds the gradients of the same halves")
    most = max(each.file_bytes for each in found.shares)
    yield Finding(
        "share", 100 * most / (STATES * count), "measured", MEMBERS, why="the larger file, of 16 B a parameter"
    )
    yield Table(
        f"{count / 1e6:.2f} million parameters, {steps} steps",
        ("member", "states on disk, MB", "states in memory at most, MB", "sent a step, MB"),
        [(rank, each.file_bytes / 1e6, each.peak_bytes / 1e6, each.sent_bytes / steps / 1e6)
         for rank, each in enumerate(found.shares)],
        note="in memory: weights and gradients of what is in use, and three chunks of states",
    )  # fmt: skip
    steps_taken = list(range(1, steps + 1))
    yield Chart("Loss before each step", "step", "nats",
                (Series("two processes", steps_taken, found.losses), Series("one process", steps_taken, whole)))  # fmt: skip
