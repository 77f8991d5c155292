"""Networks with state between items answer the same however they are divided, and like the simulation says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import ProgramError
from shoal.graph import divide
from shoal.plan.lower import program_of
from shoal.plan.values import Replica
from shoal.plan.written import with_files
from shoal.program import CLIENT, Hop, Item, Pace, Program, Workload
from shoal.record import Observed
from shoal.run.execute import Settings, execute
from shoal.run.pack import pack, read_samples
from shoal.run.samples import answered as expected
from shoal.run.samples import compare, drawn
from shoal.sim import simulate
from tests.graph.recurrent import NETS, Net, inputs
from tests.harness import answered, coordinating, stream, zeros
from tests.plan.toys import placed, problem, three
from tests.run import plans

ITEMS, WINDOW = 30, 4
ONE = (Item(),)
TWO = (Item(session=0), Item(session=1), Item(session=1))
TRIES = 3

INSIDE = {"single": "abbbbcc", "double": "aaaabbbbc", "coupled": "aaaaab", "tapped": "aaaabbbb", "window": "abbcc"}
ACROSS = {"single": "aaaabbc", "double": "aaabbaacb", "coupled": "aabbbb", "tapped": "aabacbab", "window": "aabcc"}
CASES = [(name, letters) for way in (INSIDE, ACROSS) for name, letters in way.items()]


def programs(net: Net, letters: str, folder: Path, scope: str = "session", engine: str = "onnxruntime") -> Program:
    graph = net.load(folder, scope)
    groups = placed(graph, [f"{letter}/cpu" for letter in letters], engine)
    return program_of(graph, (Replica(groups),), WINDOW, net.name)


def run_and_compare(net: Net, letters: str, pattern: tuple[Item, ...], scope: str, over: str, folder: Path) -> None:
    program, written = with_files(net.load(folder, scope), programs(net, letters, folder, scope))
    workload = Workload(ITEMS, window=WINDOW, pattern=pattern)
    bundles = folder / "run"
    bundles.mkdir()
    for entry in written.iterdir():
        if any(file.startswith(entry.name) for segment in program.segments for file in segment.files):
            (bundles / entry.name).symlink_to(entry)
    with coordinating(program, bundles, over) as (coordinator, _):
        found = answered(coordinator, workload, inputs())
        again = answered(coordinator, workload, inputs())  # states begin anew with every run
    sessions = [workload.item(item).session if scope == "session" else -1 for item in range(ITEMS)]
    wanted = net.meaning(inputs(), sessions)
    for run in (found, again):
        assert not run.outcome.failure
        assert sorted(run.outputs) == list(range(ITEMS))
        for item, outputs in enumerate(wanted):
            assert run.outputs[item].keys() == outputs.keys()
            for name, value in outputs.items():
                np.testing.assert_allclose(run.outputs[item][name], value, rtol=0, atol=1e-5)


@pytest.mark.parametrize("pattern", [ONE, TWO], ids=["one stream", "two sessions"])
@pytest.mark.parametrize(("name", "letters"), [*CASES, *((name, "a" * 9) for name in NETS)])
def test_every_division_answers_like_numpy(
    name: str, letters: str, pattern: tuple[Item, ...], tmp_path: Path
) -> None:
    count = len(NETS[name].load(tmp_path).ops)
    run_and_compare(NETS[name], letters[:count], pattern, "session", "memory", tmp_path)


@pytest.mark.parametrize("name", sorted(NETS))
def test_so_does_any_division_that_is_not_refused(name: str, tmp_path: Path) -> None:
    rng, net = np.random.default_rng(len(name)), NETS[name]
    count, done = len(net.load(tmp_path).ops), 0
    while done < 5:
        letters = "".join(rng.choice(list("abc"), count))
        folder = tmp_path / letters
        folder.mkdir(exist_ok=True)
        try:
            programs(net, letters, folder)
        except ProgramError:  # a unit would have to begin before it is told of the item
            continue
        if not (folder / "run").exists():
            run_and_compare(net, letters, TWO, "session", "memory", folder)
            done += 1


@pytest.mark.parametrize(("name", "letters"), [("double", ACROSS["double"]), ("tapped", ACROSS["tapped"])])
def test_sessions_may_share_the_state_of_the_stream(name: str, letters: str, tmp_path: Path) -> None:
    run_and_compare(NETS[name], letters, TWO, "stream", "memory", tmp_path)


@pytest.mark.parametrize("over", ["tcp", "shm"])
@pytest.mark.parametrize(("name", "letters"), [("single", INSIDE["single"]), ("double", ACROSS["double"])])
def test_processes_too(name: str, letters: str, over: str, tmp_path: Path) -> None:
    run_and_compare(NETS[name], letters, TWO, "session", over, tmp_path)


@pytest.mark.parametrize("strategy", ["channel_out", "channel_in", "channel_pair"])
@pytest.mark.parametrize("name", sorted(NETS))
def test_loops_divided_inside_their_layers(name: str, strategy: str, tmp_path: Path) -> None:
    net = NETS[name]
    graph = net.load(tmp_path)
    asked, shares = problem(graph, three()), (1.0, 2.0, 0.0)
    technique = catalog.make("plan/strategies", strategy)
    division = technique.divide(asked, shares)
    divided = divide(graph, division.splits).graph
    program, folder = with_files(divided, program_of(divided, division.replicas, WINDOW, name))
    workload = Workload(ITEMS, window=WINDOW, pattern=TWO)
    with coordinating(program, folder, "memory") as (coordinator, _):
        found = answered(coordinator, workload, inputs())
    wanted = net.meaning(inputs(), [workload.item(item).session for item in range(ITEMS)])
    for item, outputs in enumerate(wanted):
        for output, value in outputs.items():
            np.testing.assert_allclose(found.outputs[item][output], value, rtol=0, atol=1e-5)
    spans = [span for span in found.outcome.observed.spans if span.kind == "transfer"]
    sent = sum(span.bytes for span in spans if program.edge[span.name].target != CLIENT)
    assert sent == ITEMS * technique.transfer_bytes(asked, shares)


def paced(program: Program) -> Pace:
    """Every segment another time; a link of 5 to 8 ms for each pair and direction."""
    seconds = {segment.name: (7 + 3 * number) / 1000 for number, segment in enumerate(program.segments)}
    pairs = list(dict.fromkeys((edge.source, edge.target) for edge in program.edges if not edge.inside))
    hops = {
        edge.name: (
            Hop(f"{edge.source}>{edge.target}", 1e4, (5 + pairs.index((edge.source, edge.target)) % 4) / 1000),
        )
        for edge in program.edges
        if not edge.inside
    }
    return Pace(seconds, hops)


def emulated(program: Program, pace: Pace, workload: Workload, folder: Path) -> Observed:
    with coordinating(program, folder, "memory", pace) as (coordinator, _):
        for _ in range(TRIES):
            found = answered(coordinator, workload, zeros(program)).outcome
            assert not found.failure
            if not found.observed.missed:
                return found.observed
    pytest.fail(f"this machine was too slow in each of {TRIES} runs")


@pytest.mark.parametrize("pattern", [ONE, TWO], ids=["one stream", "two sessions"])
@pytest.mark.parametrize(("name", "letters"), CASES)
def test_the_simulation_takes_the_same_steps_at_the_same_times(
    name: str, letters: str, pattern: tuple[Item, ...], tmp_path: Path
) -> None:
    program = programs(NETS[name], letters, tmp_path, engine="null")
    workload, pace = Workload(8, window=WINDOW, pattern=pattern), paced(program)
    real = emulated(program, pace, workload, tmp_path)
    made = simulate(program, pace, stream(), workload)
    assert made.spans == real.spans
    assert sorted(made.answers, key=lambda each: each.item) == sorted(real.answers, key=lambda each: each.item)
    for unit, report in made.units.items():
        assert report.sent_bytes == real.units[unit].sent_bytes
        assert report.received_bytes == real.units[unit].received_bytes


def test_a_plan_is_bound_again_and_compared_item_by_item(tmp_path: Path) -> None:
    """More items than samples: the answers differ although the inputs come again, and still match."""
    graph = NETS["double"].load(tmp_path)
    plan = plans.plan_of(graph, [0, 0, 0, 0, 1, 1, 1, 1, 1], window=WINDOW)
    plan = replace(plan, model=replace(plan.model, shapes={}, carried=graph.carried))
    result = execute(plan, Settings(items=12, over="memory"))
    assert result.run.outputs_match
    assert result.answers is not None
    assert not np.array_equal(result.answers[0]["y"], result.answers[4]["y"])  # of the same input


def test_a_state_that_is_lost_is_noticed(tmp_path: Path) -> None:
    graph = NETS["single"].load(tmp_path)
    samples = drawn({"x": programs(NETS["single"], "a" * 7, tmp_path).tensors["x"]}, 2, 0)
    meant = expected(graph, samples, Workload(6))
    right = {item: meant.answer(item) for item in range(6)}
    assert compare(meant, right).match
    assert compare(meant, {**right, 3: right[1]}).match is False
    assert meant.answer(6) == {}  # not known, so not compared


def test_a_pack_knows_the_answers_of_its_first_items(tmp_path: Path) -> None:
    graph = NETS["single"].load(tmp_path)
    plan = plans.plan_of(graph, [0] * len(graph.ops), window=WINDOW)
    plan = replace(
        plan, model=replace(plan.model, shapes={}, carried=graph.carried), workload=Workload(6, window=WINDOW)
    )
    packed = pack(plan, tmp_path / "pack")
    samples = read_samples(packed.folder / "client" / "samples.npz", by_item=True)
    assert (len(samples.inputs), len(samples.expected)) == (4, 6)
    wanted = NETS["single"].meaning(samples.of, [-1] * 6)
    for item in range(6):
        np.testing.assert_allclose(samples.answer(item)["y"], wanted[item]["y"], atol=1e-5)
