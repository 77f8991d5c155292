"""A trace of a device written by hand, with every figure known, and traces that cannot be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shoal.errors import InputError
from shoal.measure.trace import Trace, host_metrics, load_chrome, queue_metrics, rows, save_chrome, write_csv

ZERO = 4_000_000.0  # µs: files do not begin at zero


def event(cat: str, name: str, ts: float, dur: float, tid: int = 1, **args: Any) -> dict[str, Any]:
    return {"ph": "X", "cat": cat, "name": name, "pid": 9, "tid": tid, "ts": ZERO + ts, "dur": dur, "args": args}


def launch(ts: float, correlation: int, name: str = "cudaLaunchKernel") -> dict[str, Any]:
    return event("cuda_runtime", name, ts, 2, correlation=correlation)


def kernel(name: str, ts: float, dur: float, correlation: int, stream: int = 7) -> dict[str, Any]:
    return event("kernel", name, ts, dur, tid=stream, correlation=correlation, stream=stream)


# linear calls mm (one kernel) and add (one), silu is a third: the second waits for the first, the third for nobody.
EVENTS = [
    {"ph": "M", "name": "process_name", "pid": 9, "tid": 0, "ts": ZERO, "args": {"name": "python"}},
    event("cpu_op", "aten::linear", 0, 30),
    event("cpu_op", "aten::mm", 2, 10),
    event("cpu_op", "aten::add", 15, 10),
    event("cpu_op", "aten::silu", 60, 10),
    launch(5, 41),
    launch(17, 42),
    launch(62, 43),
    event("cuda_runtime", "cudaDeviceSynchronize", 72, 20, correlation=44),
    kernel("gemm", 10, 30, 41),
    kernel("vectorised", 40, 5, 42),
    kernel("vectorised", 67, 8, 43),
]


def written(path: Path, events: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"schemaVersion": 1, "traceEvents": events}))
    return path


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    return load_chrome(written(tmp_path / "trace.json", EVENTS))


def test_each_event_belongs_to_what_caused_it(trace: Trace) -> None:
    assert [(each.name, each.parent) for each in trace.operators] == [
        ("aten::linear", -1), ("aten::mm", 0), ("aten::add", 0), ("aten::silu", -1),
    ]  # fmt: skip
    assert [trace.operators[each.operator].name for each in trace.launches] == [
        "aten::mm",
        "aten::add",
        "aten::silu",
    ]
    assert [each.launch for each in trace.kernels] == [0, 1, 2]
    assert trace.children == ((1, 2), (), (), ())
    assert trace.stops() == ()


def test_the_metrics_are_those_on_paper(trace: Trace) -> None:
    found = queue_metrics(trace)
    assert found.kernels == 3
    assert found.tklqt_s == pytest.approx((5 + 23 + 5) * 1e-6)
    assert found.mean_kernel_s == pytest.approx(43e-6 / 3)
    assert found.latency_s == pytest.approx(75e-6)
    assert found.device_idle_s == pytest.approx((75 - 43) * 1e-6)
    assert found.host_idle_s == pytest.approx((75 - 40) * 1e-6)
    assert [(each.name, each.count) for each in found.top] == [("gemm", 1), ("vectorised", 2)]
    assert found.top[1].seconds == pytest.approx(13e-6)


def test_without_launches_there_is_no_queue_to_tell_of(tmp_path: Path) -> None:
    trace = load_chrome(written(tmp_path / "cpu.json", [each for each in EVENTS if each.get("cat") == "cpu_op"]))
    with pytest.raises(InputError, match="no launch events"):
        queue_metrics(trace)
    found = host_metrics(trace)
    assert (found.operators, found.calls, found.kernels) == (4, 2, 3)
    assert found.inside_s == pytest.approx(40e-6)
    assert found.kernel_s == pytest.approx(30e-6)
    assert found.dispatch_s == pytest.approx(10e-6)
    assert found.idle_s == pytest.approx(30e-6)


def test_a_chain_stops_where_the_host_waits_and_where_the_stream_changes(tmp_path: Path) -> None:
    more = [
        launch(100, 50), kernel("a", 110, 1, 50),
        launch(112, 51), kernel("b", 116, 1, 51, stream=8),
    ]  # fmt: skip
    assert load_chrome(written(tmp_path / "trace.json", EVENTS + more)).stops() == (3, 4)


@pytest.mark.parametrize("lost", [5, 9])
def test_dropped_correlations_are_named(tmp_path: Path, lost: int) -> None:
    with pytest.raises(InputError, match="correlation ids were dropped"):
        load_chrome(written(tmp_path / "trace.json", EVENTS[:lost] + EVENTS[lost + 1 :]))


def test_a_kernel_without_any_correlation_is_refused(tmp_path: Path) -> None:
    bare = event("kernel", "gemm", 200, 1)
    with pytest.raises(InputError, match="without correlation id"):
        load_chrome(written(tmp_path / "trace.json", [*EVENTS, bare]))


def test_clocks_of_two_hosts_are_noticed(tmp_path: Path) -> None:
    shifted = [{**each, "ts": each["ts"] - 1000} if each.get("cat") == "kernel" else each for each in EVENTS]
    with pytest.raises(InputError, match="clocks of two hosts"):
        load_chrome(written(tmp_path / "trace.json", shifted))


def test_operators_of_a_thread_must_nest(tmp_path: Path) -> None:
    crossing = [event("cpu_op", "a", 0, 10), event("cpu_op", "b", 5, 10)]
    with pytest.raises(InputError, match="without nesting"):
        load_chrome(written(tmp_path / "trace.json", crossing))
    beside = [event("cpu_op", "a", 0, 10), event("cpu_op", "b", 5, 10, tid=2)]
    assert [each.parent for each in load_chrome(written(tmp_path / "beside.json", beside)).operators] == [-1, -1]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"traceEvents": 3}', '{"traceEvents": []}'])
def test_what_is_no_trace_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trace.json"
    path.write_text(text)
    with pytest.raises(InputError):
        load_chrome(path)
    with pytest.raises(InputError):
        load_chrome(tmp_path / "missing.json")


def test_a_trace_written_is_the_trace_read(trace: Trace, tmp_path: Path) -> None:
    save_chrome(trace, tmp_path / "again.json")
    again = load_chrome(tmp_path / "again.json")
    assert [(each.name, each.parent) for each in again.operators] == [
        (each.name, each.parent) for each in trace.operators
    ]
    assert queue_metrics(again).tklqt_s == pytest.approx(queue_metrics(trace).tklqt_s)
    assert len(again.syncs_s) == 1


def test_the_table_has_a_row_an_event(trace: Trace, tmp_path: Path) -> None:
    kinds = [row[0] for row in rows(trace)]
    assert (kinds.count("operator"), kinds.count("launch"), kinds.count("kernel")) == (4, 3, 3)
    write_csv(trace, tmp_path / "trace.csv")
    lines = (tmp_path / "trace.csv").read_text().splitlines()
    assert lines[0] == "kind,place,name,on,begin_s,end_s,of"
    assert len(lines) == 11
