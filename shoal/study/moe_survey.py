"""A survey's taxonomy of inference with experts, as a map of what is here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Chart,
    Claim,
    Finding,
    Holds,
    Note,
    Series,
    Shown,
    Source,
    Table,
    untestable,
    words,
)

if TYPE_CHECKING:
    from shoal.study._moe_survey_bench import Row
    from shoal.study.contract import Cell
    from shoal.study.taxonomy import Judged, Registry

MODEL, SYSTEM = ("model.compress", "model.algo"), ("system.ep", "system.offload")


@dataclass(frozen=True)
class MoeSurvey:
    """The tree of the survey as a registry: what is here is told by imports, by tests that ran and by a try of each technique.

    Techniques on experts are applied to two small trained models, of 8 experts with 2 a token and of 16 with 4, calibrated
    on text that these were trained on and judged on text held out: loss, bytes of the experts, experts that a token goes
    through, exactness. What is compared with one another takes the same bytes. Weights of public models are recomputed
    from their shapes.
    """

    models: str = "mixtral+experts16"  # small trained models with experts, separated by +
    calibration: int = 32  # stretches of 128 bytes that techniques learn from
    stretches: int = 48  # held out, that loss is taken over
    seeds: int = 6  # of random choices that others are held against
    tests: bool = True  # run the tests that the registry names; without, only what an earlier run has shown counts

    title = "MoE inference: a survey's taxonomy as a coverage map"
    source = Source(
        "Liu et al.", "A Survey on Inference Optimization Techniques for Mixture of Experts Models", 2024,
        arxiv="2412.14219",
    )  # fmt: skip
    quick = "models=mixtral,calibration=4,stretches=4,seeds=2,tests=false"
    claims = (
        Claim("map", "nothing that the registry claims is broken: imports, tests that ran, tries on a small model", None,
              "", Holds()),
        Claim("gone", "an entry whose implementation is deleted turns absent, and the check fails", None, "", Holds()),
        Claim("model_leaves", "leaves under model.compress and model.algo with a working entry", None, "%", AtLeast(100)),
        Claim("system_leaves", "leaves under system.ep and system.offload with a working entry", None, "%", AtLeast(100)),
        Claim("hardware", "working entries of hardware, through simulators", None, "", AtLeast(3)),
        Claim("exact", "largest change of a logit by techniques flagged exact, of the largest logit", None, "",
              AtMost(1e-5)),
        Claim("undone", "every technique undone leaves weights and answers as they were, to the last bit", None, "",
              Holds()),
        Claim("skipping", "share of experts skipped on text held out, less the share predicted on the calibration", None,
              "%", AtMost(3)),
        Claim("pruning", "loss added by random pruning, mean of seeds, over that by pruning by routed mass; least of models",
              None, "×", AtLeast(1)),
        Claim("merging", "loss added by merging without alignment over that with; least of models", None, "×", AtLeast(1)),
        Claim("composed", "pruning, few bits and skipping together take the product of their shares of bytes", None, "",
              Holds()),
        Claim("composed_system", "few bits with offloading and prefetching, pruning with expert parallelism run", None, "",
              Holds()),
        Claim("refused", "a pair that settles the same is refused with its reason, and nothing changes", None, "", Holds()),
        Claim("shapes", "public models whose weights follow from their shape within 3 %, or whose row says why not", None,
              "%", AtLeast(100)),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Judge the registry, then techniques on each model, then shapes."""
        yield from self._map(bench)
        yield from self._techniques(bench)
        yield from self._shapes()

    def _map(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study import taxonomy
        from shoal.study._moe_survey_map import leaf_share, lost, unfilled

        found = taxonomy.registry()
        bench.say("tests that the registry names")
        named = [each.test for each in found.entries if each.test]
        evidence = taxonomy.run_tests(named) if self.tests else taxonomy.kept_evidence()
        judged = taxonomy.statuses(found, evidence, taxonomy.smoked)
        faults = [f"{each.entry.id}: {fault}" for each in judged for fault in each.faults]
        if self.tests:
            yield Finding("map", not faults, "measured", len(judged), why="; ".join(faults)[:400])
        else:
            yield untestable("map", "tests were not asked for")
        yield Finding("gone", lost(found, evidence), "measured", n=len(named))
        yield Finding("model_leaves", leaf_share(found, judged, MODEL), "computed", why=self._counted())
        lacking = ", ".join(unfilled(found, judged, SYSTEM))
        why = self._counted() or (lacking and f"nothing works under {lacking}")
        yield Finding("system_leaves", leaf_share(found, judged, SYSTEM), "computed", why=why)
        yield Finding("hardware", taxonomy.count(judged, "hardware")[taxonomy.Status.WORKING], "computed")
        yield self._tree(found, judged)

    def _counted(self) -> str:
        return "" if self.tests else "tests were not asked for: only those of an earlier run count"

    def _tree(self, found: Registry, judged: Sequence[Judged]) -> Table:
        from shoal.study.taxonomy import count

        rows: list[tuple[Cell, ...]] = [
            (branch, title, *map(float, count(judged, branch).values())) for branch, title in found.branches.items()
        ]
        return Table("Entries by branch", ("branch", "", "working", "untested", "absent"), rows, found.source)

    def _techniques(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study import _moe_survey_bench as lab
        from shoal.study._moe_survey_system import composed_system

        texts = lab.texts(self.calibration, self.stretches)
        rows: dict[str, list[Row]] = {}
        for name in bench.each(words(self.models), "model"):
            rows[name] = lab.rows(name, texts, bench.say)
            yield self._table(name, rows[name])
            yield self._picture(name, rows[name])
        every = [row for each in rows.values() for row in each]
        exact = [row.changed for row in every if row.exact]
        yield Finding("exact", max(exact), "measured", len(exact), why="interval: all techniques and models",
                      interval=(min(exact), max(exact)))  # fmt: skip
        yield Finding("undone", all(row.undone for row in every), "measured", len(every))
        compared = lab.Compared(tuple(rows), texts, self.seeds)
        yield from (compared.skipping(), compared.pruning(), compared.merging(), compared.composed())
        bench.say("few bits from a file, pruned experts in workers")
        yield composed_system(tuple(rows), texts)
        yield compared.refused()
        yield lab.loads(tuple(rows), texts)

    def _table(self, name: str, rows: Sequence[Row]) -> Table:
        columns = (
            "technique",
            "exact",
            "loss, nats",
            "experts, kB",
            "experts a token",
            "read a token, kB",
            "tokens/s",
        )
        cells = [
            (row.name, row.exact, row.figures.loss_nats, row.figures.resident_bytes / 1e3, row.figures.products,
             row.figures.moved_bytes / 1e3, row.figures.tokens_per_s)
            for row in rows
        ]  # fmt: skip
        note = "per byte of text held out; bytes of the experts as stored, those of a token alone that has to read its own"
        return Table(f"{name}: techniques", columns, cells, note)

    def _picture(self, name: str, rows: Sequence[Row]) -> Chart:
        series = tuple(
            Series(row.name, (row.figures.resident_bytes / 1e3,), (row.figures.loss_nats,)) for row in rows
        )
        return Chart(f"{name}: loss by bytes of experts", "experts, kB", "loss, nats a byte", series, kind="points")

    def _shapes(self) -> Iterator[Shown]:
        from shoal.study.taxonomy import shapes

        found = shapes()
        fit = [each for each in found if not each.flagged or each.loose]
        yield Finding("shapes", 100 * len(fit) / len(found), "computed", len(found),
                      why=f"{sum(not each.flagged for each in found)} within 3 % in both, the others say why")  # fmt: skip
        yield Table(
            "Public models: weights from their shapes",
            ("model", "total, 10⁹", "published", "active, 10⁹", "published ", "flag", "source"),
            [
                (each.name, each.architecture.parameters / 1e9, each.total, each.architecture.active_parameters / 1e9,
                 each.active, each.loose if each.flagged else "", each.source)
                for each in found
            ],
            "active: the weights that one token meets, embedding and head included",
        )  # fmt: skip
        yield Note("Of the published active weights some leave out embedding or head; such rows keep their flag.")
