"""The survey's techniques with where experts lie."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")


def test_coded_experts_from_a_file_and_pruned_ones_in_workers_answer_as_in_memory() -> None:
    from shoal.study._moe_survey_bench import texts
    from shoal.study._moe_survey_system import composed_system

    found = composed_system(("mixtral",), texts(2, 2))
    assert found.obtained is True
    assert found.n == 2
