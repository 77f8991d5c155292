"""A small fleet with round figures, and a two-stage program on it."""

from __future__ import annotations

from shoal.fleet import Device, Fleet, Link, OperatingPoint, Unit
from shoal.program import CLIENT, Edge, Program, Route, Segment, Step, Task, TensorSpec


def device(name: str, board: str = "toy", cores: int = 2, engines: tuple[str, ...] = ("onnxruntime",)) -> Device:
    point = OperatingPoint("slow", 0.5, 1.0)
    unit = Unit("cpu", cores, {"float32": 1e9, "int8": 4e9}, 1e9, 4.0, engines, (point,))
    return Device(name, board, (unit,), 1 << 30, 1 << 30, idle_w=2.0, link_j_per_byte=1e-6)


def two_and_one() -> Fleet:
    wire = Link("wire", ("a", "b"), 1000.0, 0.5, j_per_byte=3e-6)
    air = Link("air", ("a", "b", "c"), 100.0, 0.25, shared=True)
    return Fleet((device("a"), device("b", engines=("onnxruntime", "ncnn")), device("c")), (wire, air))


def two_stages() -> Program:
    """Client → a/cpu (4 floats in) → b/cpu (10 floats) → client (2 floats)."""
    spec = {"x": TensorSpec("float32", (4,)), "m": TensorSpec("float32", (10,)), "y": TensorSpec("float32", (2,))}
    edges = (
        Edge("in", CLIENT, "a/cpu", "x", "x", spec["x"], 3),
        Edge("mid", "a/cpu", "b/cpu", "m", "m", spec["m"], 3),
        Edge("out", "b/cpu", CLIENT, "y", "y", spec["y"], 3),
    )
    segments = (
        Segment("first", "a/cpu", ("x",), ("m",), weights_bytes=70, operating_point="slow"),
        Segment("second", "b/cpu", ("m",), ("y",), weights_bytes=30),
    )
    tasks = (
        Task("a/cpu", (Step("recv", "in"), Step("run", "first"), Step("send", "mid"))),
        Task("b/cpu", (Step("recv", "mid"), Step("run", "second"), Step("send", "out"))),
    )
    route = Route("main", ("in",), ("out",), tasks)
    return Program("toy", ("a/cpu", "b/cpu"), edges, segments, (route,), 3, spec)
