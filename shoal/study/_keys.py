"""A study's claims and verdicts as the keys of `--json`."""

from __future__ import annotations

import dataclasses
from typing import Any

from shoal.study._judge import Judgement, judged
from shoal.study._keep import Result
from shoal.study.contract import Study


def summary(name: str, study: Study, result: Result | None) -> dict[str, Any]:
    """What `shoal study NAME --json` prints; without a result every claim is "not run"."""
    judgements = judged(study, result.findings if result else ())
    return {
        "name": name,
        "title": study.title,
        "source": dataclasses.asdict(study.source),
        "claims": [_claim(each) for each in judgements],
        "complete": result is not None and result.complete,
        "failure": result.failure if result else "",
        "notes": [each.note.text for each in result.exhibits if each.note] if result else [],
        "tables": [each.table for each in result.exhibits if each.table] if result else [],
        "made": result.made if result else None,
    }


def _claim(each: Judgement) -> dict[str, Any]:
    claim, finding = each.claim, each.finding
    return {
        "key": claim.key,
        "claim": claim.text,
        "published": claim.published,
        "needed": claim.rule.needs(claim.published, claim.unit),
        "obtained": finding.obtained if finding else None,
        "unit": claim.unit,
        "provenance": finding.provenance if finding else None,
        "n": finding.n if finding else 0,
        "interval": finding.interval if finding else None,
        "verdict": each.verdict,
        "margin": each.margin,
        "by": each.by,
        "why": finding.why if finding else "",
    }
