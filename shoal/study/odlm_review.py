"""A review's taxonomy of language models on devices, as a map of checks that run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.study import AtLeast, AtMost, Bench, Claim, Finding, Holds, Shown, Source, Table, untestable, words

if TYPE_CHECKING:
    from shoal.study.contract import Cell
    from shoal.study.coverage import Judged


@dataclass(frozen=True)
class OdlmReview:
    """Every technique of the review is a leaf that names what does it here, and a check that measures it on a small model.

    A check runs in a process of its own with limits of time and memory; a leaf is covered if what it names imports and
    its figures are within what it expects. Leaves by a machine model are counted, and are no supported hardware. Mutations
    put a quantiser and a cache that do nothing in the place of the real ones, and their leaves have to fail. Advice is
    built and timed in a process of its own.
    """

    leaves: str = "all"  # ids separated by +
    jobs: int = 2  # checks at once
    advice: bool = True  # build and time ways for a device of 300 MB and 50 ms a token

    title = "On-device language models: a review's taxonomy as checks that run"
    source = Source("Xu et al.", "On-Device Language Models: A Comprehensive Review", 2024, arxiv="2409.00088")
    quick = "leaves=C4+R4+H3+H5,advice=false"
    claims = (
        Claim("minutes", "checks of all leaves, two at once", None, "min", AtMost(10)),
        Claim("held", "every leaf that is claimed gives figures within what it expects", None, "", Holds()),
        Claim("covered", "leaves covered by execution or by a named machine model", None, "%", AtLeast(70)),
        Claim("reasons", "every leaf that is not covered says why", None, "", Holds()),
        Claim("four_bits_gone", "a four-bit quantiser that does nothing makes its leaf fail", None, "", Holds()),
        Claim("pages_gone", "a cache that reads all pages makes the leaf of pages fail", None, "", Holds()),
        Claim("advice", "for 300 MB and 50 ms a token the way advised was built and meets both, or the nearest is named",
              None, "", Holds()),
        Claim("systems", "systems that are named, at a leaf or beyond language models, none at both", None, "", AtLeast(75)),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Check the leaves, break two of them, ask for advice."""
        from shoal.study import coverage

        found = coverage.leaves()
        asked = found.leaves if self.leaves == "all" else [found.leaf(each) for each in words(self.leaves)]
        bench.say(f"{len(asked)} leaves")
        begun = time.monotonic()
        judged = coverage.every(asked, self.jobs)
        took_s = time.monotonic() - begun
        part = "" if self.leaves == "all" else f"{self.leaves} alone"
        yield Finding("minutes", took_s / 60, "measured", len(judged), why=part)
        faults = [f"{each.leaf.id}: {fault}" for each in judged for fault in each.faults]
        yield Finding("held", not faults, "measured", len(judged), why="; ".join(faults)[:400])
        yield self._covered(judged, part)
        yield Finding("reasons", all(each.leaf.why for each in judged if each.leaf.state != "covered"), "computed")
        yield Table("Leaves", ("", "technique", "state", "measured, or why not"), _rows(judged), found.source)
        yield from self._mutations()
        yield from self._advice(bench)
        named = {each.lower() for leaf in found.leaves for each in leaf.systems}
        beyond = {each.lower() for each in found.beyond} - named
        yield Finding("systems", len(named) + len(beyond), "computed", why=f"{len(named)} at leaves")
        yield self._cases()

    def _covered(self, judged: Sequence[Judged], part: str) -> Finding:
        whole = [each for each in judged if each.state == "covered"]
        models = sum(each.leaf.by == "machine model" for each in whole)
        some = sum(each.state == "partly" for each in judged)
        why = (
            f"{len(whole)} of {len(judged)}, {models} of them by a machine model; {some} partly, which do not count"
        )
        return Finding(
            "covered", 100 * len(whole) / len(judged), "measured", len(judged), why=f"{why}. {part}".strip(". ")
        )

    def _mutations(self) -> Iterator[Finding]:
        from unittest.mock import patch

        from shoal.kv.policies.full import Whole
        from shoal.llm.decoder import Product
        from shoal.study.coverage import judged, leaves, run

        found = leaves()
        for key, leaf, target, broken in (
            ("four_bits_gone", "C1", "shoal.llm.checkpoint.kept.coded", lambda matrix, bits: Product(matrix)),
            ("pages_gone", "R1", "shoal.kv.policies.pages.Pages.store", lambda policy, layer: Whole()),
        ):
            before = judged(found.leaf(leaf), run)
            with patch(target, broken):
                after = judged(found.leaf(leaf), run)
            yield Finding(key, not before.faults and bool(after.faults), "measured", why="; ".join(after.faults))

    def _advice(self, bench: Bench) -> Iterator[Shown]:
        from shoal.llm.tiny import save_folder, tiny
        from shoal.study.coverage import Limits, advise
        from shoal.study.coverage.checks._lab import held

        if not self.advice:
            yield untestable("advice", "advice was not asked for")
            return
        bench.say("ways built for a device of 300 MB")
        with tempfile.TemporaryDirectory(prefix="shoal-advice-") as folder:
            model = str(save_folder(tiny("llama"), Path(folder, "small")))
            found = advise(model, Limits(300e6, 0.05), text=held())
        told = found.best or found.nearest
        ok = found.best is None or told.beyond(found.limits) <= 1
        how = "taken" if found.best else "nothing fits, the nearest is"
        why = f"{how}: {told.way.weights}, {told.way.context} places, {told.built.peak_bytes / 1e6:.0f} MB resident"
        yield Finding(
            "advice", ok, "measured", len(found.tried), why=f"{why}, {told.built.token_s * 1e3:.2f} ms a token"
        )
        rows: list[tuple[Cell, ...]] = [
            (
                each.way.weights,
                float(each.way.context),
                each.built.peak_bytes / 1e6,
                each.built.token_s * 1e3,
                each.loss_nats,
            )
            for each in found.tried
        ]
        yield Table("Ways for a device of 300 MB and 50 ms a token", ("weights", "places", "resident, MB", "a token, ms",
                    "loss, nats"), rows, "each in a process of its own, Python and libraries included")  # fmt: skip

    def _cases(self) -> Table:
        from shoal import fleet
        from shoal.study.coverage import cases

        boards = ("raspberry-pi-zero-2w", "raspberry-pi-5-4gb", "jetson-orin-nano-8gb")
        where = fleet.loads("".join(f'[devices.{each}]\nboard = "{each}"\n' for each in boards))
        rows: list[tuple[Cell, ...]] = [
            (
                each.name,
                each.by,
                each.parameters,
                each.bits,
                each.weights_bytes / 1e9,
                ", ".join(each.fits(where)),
                each.source,
            )
            for each in cases()
        ]
        columns = ("model", "by", "weights, 10⁹", "bits", "GB", "weights fit", "source")
        return Table(
            "Models that others put on devices", columns, rows, "by their weights alone; none of them was run here"
        )


def _rows(judged: Sequence[Judged]) -> list[tuple[Cell, ...]]:
    from shoal.study.coverage import figures

    return [(each.leaf.id, each.leaf.title, each.state, figures(each)) for each in judged]
