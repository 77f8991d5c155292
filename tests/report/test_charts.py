"""Every chart of every run is a figure plotly itself accepts."""

import warnings
from dataclasses import replace

import pytest

from shoal.record import Run
from shoal.report import charts
from shoal.report.charts import Chart
from shoal.report.network import network
from shoal.report.timeline import timeline


def drawn(run: Run) -> list[Chart]:
    found = [charts.plans([run]), charts.latencies([run, run]), charts.throughputs([run, run])]
    found += [timeline(run), network(run, 48), network(run, 16)]
    return [chart for chart in found if chart is not None]


@pytest.fixture(scope="module")
def validate():  # type: ignore[no-untyped-def]  # plotly has no types
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import plotly.graph_objects

    return plotly.graph_objects.Figure


def test_plotly_accepts_them(odd_run: Run, validate) -> None:  # type: ignore[no-untyped-def]
    for chart in drawn(odd_run):
        validate(chart)


def test_the_chosen_plan_and_the_run_are_marked(run: Run) -> None:
    chart = charts.plans([run])
    assert chart is not None
    plans, chosen, star = chart["data"]
    assert len(plans["x"]) == 14
    assert chosen["x"] == [plans["x"][7]]
    assert star["y"] == [run.throughput_items_per_s]


def test_a_run_is_placed_by_the_latency_that_plans_state(run: Run) -> None:
    alone = charts.plans([replace(run, alone_latency_s=0.9 * run.front[7].latency_s)])
    assert alone is not None
    _, chosen, star = alone["data"]
    assert star["x"] == pytest.approx([0.9 * chosen["x"][0]])


def test_names_cannot_be_markup(run: Run) -> None:
    evil = "<b onclick=x>"
    spans = tuple(replace(s, name=evil) for s in run.spans)
    ops = (evil,) * len(run.outline.ops)
    for chart in drawn(replace(run, name=evil, spans=spans, outline=replace(run.outline, ops=ops, kinds=ops))):
        assert "<b onclick" not in repr(chart)


def test_ops_are_drawn_by_device_and_cuts_apart(run: Run) -> None:
    chart = network(run, 48)
    assert chart is not None
    inside, crossing, *marks = chart["data"]
    assert sum(len(trace["x"]) for trace in marks) == len(run.outline.ops)
    assert len({trace["marker"]["color"] for trace in marks}) == 3
    device = [unit.partition("/")[0] for unit in run.outline.units]
    cuts = sum(device[s] != device[t] for s, t in run.outline.arrows)
    assert crossing["x"].count(None) == cuts
    assert inside["x"].count(None) == len(run.outline.arrows) - cuts


def test_an_arrow_to_nowhere_is_left_out(run: Run) -> None:
    assert network(replace(run, outline=replace(run.outline, arrows=((0, 500), (5, 2)))), 48) is not None
