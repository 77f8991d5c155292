"""Mapping files, and what a plan makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from shoal.fleet import load as load_fleet
from shoal.graph import load as load_graph
from shoal.plan import ModelRef, Wishes, search
from shoal.plan.costs import costs_of
from shoal.plan.planners.mapping_file import read_mapping
from tests.fuzz.mutations import fuzzed, mutated_json, survives

if TYPE_CHECKING:
    from tests.fuzz.conftest import Files

WHOLE = {"pi/cpu": ["c0", "r0", "c1"], "zero_arm0123": ["r1", "c2", "r2", "sum"]}
SHARED = {
    "pi": ["c0", "r0", "r1", "c2"],
    "zero": ["c2", "r2", "sum"],
    "split": {"c1": ["lop", [2, 4], ["pi", "zero"]], "c2": ["height", [4, 4], ["pi", "zero"]]},
}


@given(st.data(), st.sampled_from((WHOLE, SHARED)))
@fuzzed(80)
def test_a_mapping_is_refused_in_words_or_planned(files: Files, data: st.DataObject, content: object) -> None:
    path = files.run.with_name("mapping.json")
    path.write_bytes(data.draw(mutated_json(content)))
    if survives(lambda: read_mapping(path), "mapping.json") is None:
        return
    graph, fleet = load_graph(files.model), load_fleet(files.fleet)
    wishes = Wishes(planner=f"mapping_file:path={path}")
    reference = ModelRef(graph.name, graph.source, graph.sha256)
    survives(lambda: search(graph, reference, fleet, costs_of(graph, fleet, measure=False), wishes))
