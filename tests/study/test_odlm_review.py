"""The study of the review: a few leaves, both mutations."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from shoal.study import Finding, Table
from shoal.study._bench import Bench
from shoal.study.odlm_review import OdlmReview


def test_leaves_mutations_and_systems() -> None:
    shown = list(OdlmReview(leaves="C4+H3+H5", advice=False).run(Bench(Path(), 0, lambda _: None)))
    found = {each.key: each for each in shown if isinstance(each, Finding)}
    assert set(found) == {each.key for each in OdlmReview.claims}
    assert found["held"].obtained is True
    assert found["four_bits_gone"].obtained is True
    assert found["pages_gone"].obtained is True
    assert found["covered"].obtained == pytest.approx(200 / 3)
    assert found["advice"].obtained is None
    tables = {each.title: each for each in shown if isinstance(each, Table)}
    assert len(tables["Leaves"].rows) == 3
    assert all("not run here" in str(row[-1]) for row in tables["Models that others put on devices"].rows)
