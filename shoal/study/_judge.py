"""A claim and its finding to a verdict: the only place where one is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shoal.errors import InputError
from shoal.study._rules import Holds
from shoal.study.contract import Claim, Finding, Study

Verdict = Literal["met", "missed", "not testable here", "not run"]
VERDICTS: tuple[Verdict, ...] = ("met", "missed", "not testable here", "not run")


@dataclass(frozen=True)
class Judgement:
    """A claim beside what was found."""

    claim: Claim
    finding: Finding | None
    verdict: Verdict
    margin: float | None = None  # as in Outcome
    by: str = ""  # how far from the limit, in words

    @property
    def text(self) -> str:
        """Verdict and distance: "missed by 4.6 %"."""
        if not self.by or self.verdict not in ("met", "missed"):
            return self.verdict
        return f"{self.verdict} {self.by}" if self.by.startswith("by ") else f"{self.verdict}, {self.by}"


def judge(claim: Claim, finding: Finding | None) -> Judgement:
    """The verdict on `claim`. The figure decides, not its interval; a limit within the interval is told.

    Raises:
        InputError: a figure where yes or no is asked, or the other way round.
    """
    if finding is None:
        return Judgement(claim, None, "not run")
    if finding.obtained is None:
        return Judgement(claim, finding, "not testable here")
    if isinstance(finding.obtained, bool) != isinstance(claim.rule, Holds):
        needed = "True or False" if isinstance(claim.rule, Holds) else "a figure"
        raise InputError("the finding does not fit", where=f"claim '{claim.key}'", needed=needed)
    outcome = claim.rule.judge(finding.obtained, claim.published, claim.unit)
    by = outcome.by
    if finding.interval and any(
        claim.rule.judge(end, claim.published, claim.unit).met != outcome.met for end in finding.interval
    ):
        by = f"{by}, within its spread"
    return Judgement(claim, finding, "met" if outcome.met else "missed", outcome.margin, by)


def judged(study: Study, findings: Sequence[Finding]) -> tuple[Judgement, ...]:
    """A judgement on every claim of `study`, in its order; findings of claims it no longer makes are left out."""
    found = {finding.key: finding for finding in findings}
    return tuple(judge(claim, found.get(claim.key)) for claim in study.claims)
