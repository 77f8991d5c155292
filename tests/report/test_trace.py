import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.record import Run, Span
from shoal.report import write_trace
from shoal.report.trace import lanes


def test_each_span_is_an_event_of_its_device(run: Run, tmp_path: Path) -> None:
    write_trace(run, tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    devices = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    threads = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    spans = [e for e in events if e["ph"] == "X"]
    assert sorted(devices.values()) == ["laptop", "nano", "pi-0"]
    assert len(spans) == len(run.spans)
    for device in run.devices:
        mine = [e for e in spans if devices[e["pid"]] == device]
        expected = sum(s.end_s - s.start_s for s in run.spans if s.unit.startswith(device))
        assert sum(e["dur"] for e in mine) == pytest.approx(expected * 1e6)
    assert {"cpu", "gpu", "cpu: pi-0/cpu → nano/gpu"} <= set(threads.values())


def test_the_number_of_events_is_bounded(run: Run, tmp_path: Path) -> None:
    write_trace(run, tmp_path / "trace.json", limit=10)
    document = json.loads((tmp_path / "trace.json").read_text())
    assert sum(e["ph"] == "X" for e in document["traceEvents"]) == 10
    assert document["otherData"]["spans_left_out"] == str(len(run.spans) - 10)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=40))
def test_no_two_spans_overlap_in_a_lane(times: list[tuple[int, int]]) -> None:
    spans = [Span("run", "a/cpu", "s", 0, float(t), float(t + d)) for t, d in sorted(times)]
    ends: dict[int, float] = {}
    for span, lane in zip(spans, lanes(spans), strict=True):
        assert ends.get(lane, 0.0) <= span.start_s
        ends[lane] = span.end_s


def test_odd_runs_have_a_trace(odd_run: Run, tmp_path: Path) -> None:
    write_trace(odd_run, tmp_path / "trace.json")
    assert "traceEvents" in json.loads((tmp_path / "trace.json").read_text())


def test_a_path_that_cannot_be_written_is_a_clear_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_trace(replace(run, spans=()), tmp_path / "file" / "trace.json")
