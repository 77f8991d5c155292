from __future__ import annotations

import json
from pathlib import Path

import pytest

from shoal.errors import PlanError
from shoal.graph import Graph, load
from shoal.plan import ModelRef, Wishes, mapping_of, search
from shoal.plan.planners.mapping_file import MappingFile, read_mapping, unit_of
from shoal.plan.problem import Problem
from shoal.plan.values import Group
from tests.graph.models import info, model, node, write
from tests.plan.toys import device, fleet, placed, problem, random_branches, three


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    return random_branches(tmp_path, 1)


def drawer(graph: Graph) -> Problem:
    return problem(graph, fleet(device("nx01", units=("cpu", "gpu")), device("lab_pi")))


def wrote(folder: Path, mapping: object) -> str:
    path = folder / "mapping.json"
    path.write_text(mapping if isinstance(mapping, str) else json.dumps(mapping))
    return str(path)


def groups_of(asked: Problem, path: str) -> tuple[Group, ...]:
    found = MappingFile(path).search(asked)
    assert not found.exact
    (groups,) = found.placements
    return groups


def test_keys_are_units_devices_or_autodices(graph: Graph, tmp_path: Path) -> None:
    asked = drawer(graph)
    known = {
        "nx01_arm0123": "nx01/cpu",
        "nx01_gpu": "nx01/gpu",
        "lab_pi_cpu0": "lab_pi/cpu",
        "nx01/gpu": "nx01/gpu",
        "lab_pi": "lab_pi/cpu",
        "lab_pi_gpu": None,
        "nx02_arm01": None,
        "pi": None,
    }
    assert {key: unit_of(asked.fleet, key) for key in known} == known
    names = list(graph.position)
    path = wrote(tmp_path, {"nx01_gpu": names[1::2], "nx01_arm01": names[:1], "nx01_arm23": names[2::2]})
    assert groups_of(asked, path) == (
        Group("nx01/gpu", tuple(names[1::2])),
        Group("nx01/cpu", tuple(names[0::2])),
    )


def test_everything_that_is_wrong_is_said_at_once(graph: Graph, tmp_path: Path) -> None:
    first, second, third, *_ = graph.position
    path = wrote(tmp_path, {"nx01_arm0": [first, second, "nonsense"], "mars_cpu": [second], "lab_pi": [third]})
    asked = problem(graph, drawer(graph).fleet, units=("nx01/cpu", "nx01/gpu"))
    with pytest.raises(PlanError) as caught:
        MappingFile(path).search(asked)
    message = caught.value.message
    assert "mars_cpu" in message
    assert "excluded or without an engine: lab_pi" in message
    assert f"mapped twice: {second};" in message
    assert "not in the model: nonsense;" in message
    assert "not mapped: " in message
    assert message.endswith(" more)")  # too many to list


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot read the mapping"),
        ('{"a": ["x"], "a": ["y"]}', "'a' stands twice"),
        ("[]", "not a mapping"),
        ("{}", "not a mapping"),
        ('{"a": "x"}', "not a mapping"),
        ('{"a": ["x", 3]}', "not a mapping"),
    ],
)
def test_files_that_are_no_mapping(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        read_mapping(Path(wrote(tmp_path, content)))


def test_a_file_that_is_not_there_or_not_named(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot read the mapping"):
        MappingFile(str(tmp_path / "none.json")).search(drawer(graph))
    with pytest.raises(PlanError, match="no mapping file"):
        MappingFile().search(drawer(graph))


def test_what_is_written_is_read_back(graph: Graph, tmp_path: Path) -> None:
    asked = problem(graph, three())
    pattern = [asked.units[index % 3] for index in range(len(graph.ops))]
    groups = placed(graph, pattern)
    path = wrote(tmp_path, {group.unit: list(group.ops) for group in groups})
    wishes = Wishes(planner=f"mapping_file:path={path}")
    plan = search(graph, ModelRef("toy", graph.source, ""), asked.fleet, asked.costs, wishes).plan
    assert plan.replicas[0].groups == groups
    again = wrote(tmp_path, mapping_of(plan))
    assert groups_of(asked, again) == groups


def test_nodes_that_vanish_at_loading_may_be_mapped(tmp_path: Path) -> None:
    nodes = [
        node("Constant", "", "half", value_float=0.5),
        node("Relu", "x", "r"),
        node("Dropout", "r half", "d mask"),
        node("Sigmoid", "d", "y"),
    ]
    graph = load(write(model(nodes, [info("x", [1, 4])], ["y"]), tmp_path))
    asked = problem(graph, three())
    assert not {"d", "half"} & set(graph.position)
    path = wrote(tmp_path, {"a": ["r", "half"], "b": ["y"], "c": ["d"]})
    assert groups_of(asked, path) == (Group("a/cpu", ("r",)), Group("b/cpu", ("y",)))
