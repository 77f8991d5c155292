"""plan.json: read, lowered, simulated; and the mapping that can be written of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from shoal import codec
from shoal.cli import options
from shoal.plan import mapping_of
from shoal.report import summary
from shoal.run.simulated import simulated
from tests.fuzz.mutations import fuzzed, mutated_json, survives

if TYPE_CHECKING:
    from tests.fuzz.conftest import Files


@given(st.data())
@fuzzed(120)
def test_a_plan_is_refused_in_words_or_simulated(files: Files, data: st.DataObject) -> None:
    path = files.run.with_name("mutated.json")
    path.write_bytes(data.draw(mutated_json(files.json(files.plan / "plan.json"))))
    plan = survives(lambda: options.plan(path), str(path))
    if plan is None:
        return
    survives(lambda: mapping_of(plan))
    run = survives(lambda: simulated(plan, 3))
    if run is not None:
        codec.encode(summary(run))
