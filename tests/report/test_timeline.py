from dataclasses import replace

import pytest

from shoal.record import Run, Span
from shoal.report.timeline import steady, timeline


def test_the_stretch_lies_behind_the_first_window(run: Run) -> None:
    spans, (start_s, end_s) = steady(run)
    first = min(s.start_s for s in run.spans if s.item == run.window)
    assert start_s == first
    assert all(s.end_s >= start_s and s.start_s <= end_s for s in spans)
    assert {s.unit for s in spans} == {s.unit for s in run.spans}


def test_bars_are_bounded(run: Run) -> None:
    crowd = tuple(Span("run", "a/cpu", "s", i % 8, i * 1e-3, (i + 1) * 1e-3) for i in range(9000))
    assert len(steady(replace(run, spans=crowd, window=1))[0]) == 2000


def test_each_unit_has_a_row_and_what_it_sends_another_under_it(run: Run) -> None:
    chart = timeline(run)
    assert chart is not None
    rows = ["pi-0/cpu", "sends", "nano/gpu", "sends", "nano/cpu", "sends", "laptop/cpu"]
    assert chart["layout"]["yaxis"]["ticktext"] == rows
    widths = [trace["width"] for trace in chart["data"]]
    assert widths == pytest.approx([0.8, 0.26] * 3 + [0.8])


def test_no_spans_no_timeline(run: Run) -> None:
    assert timeline(replace(run, spans=())) is None
