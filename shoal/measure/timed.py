"""`python -m shoal.measure.timed`: the files of a Timing, one after another, in a process that does nothing else.

Inputs and outputs are bound to memory once, so that a run allocates neither. Where nodes are not to be counted (those that
change a layout and would not be there between other ops), onnxruntime's profiler tells their share.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import codec
from shoal.engines._faults import faults
from shoal.engines.native import Native
from shoal.errors import ShoalError
from shoal.graph import load
from shoal.measure.clocked import Spread, own_clock, spread
from shoal.measure.timing import WARM_UP, Timed, Timing, Timings
from shoal.program import Program, Segment, TensorSpec

PROFILED = 5  # runs
EVENT_SUFFIX = "_kernel_time"
LEAST_RUNS = 3
NOTHING = Spread(0.0, 0.0, 0.0, 0)


def main(timing_file: str) -> None:
    """Do the work and print the Timings."""
    timing = codec.load(Timing, Path(timing_file))
    if timing.cores:
        os.sched_setaffinity(0, timing.cores)
    found = [_Series(file, timing) for file in timing.files]
    for _ in range(timing.rounds):
        for each in found:
            each.run(keep=timing.rounds > 1)
    result = Timings(tuple(each.spread for each in found), tuple(each.fault for each in found))
    sys.stdout.buffer.write(codec.encode(result))


class _Series:
    """The runs of one file."""

    def __init__(self, file: Timed, timing: Timing) -> None:
        self.fault = ""
        self._file, self._timing = file, timing
        self._times_s: list[float] = []
        self._run: Callable[[], object] | None = None
        self._share = 1.0

    @property
    def spread(self) -> Spread:
        """Of all runs so far."""
        return spread([each * self._share for each in self._times_s]) if self._times_s else NOTHING

    def run(self, keep: bool) -> None:
        """Warm up, then run for a while; the session is let go unless it is to `keep`."""
        if self.fault:
            return
        try:
            if self._run is None:
                self._run = _loaded(self._file, self._timing.threads)
                self._share = _counted(self._file, self._timing.threads) if self._file.layouts else 1.0
            self._measure(self._run)
        except ShoalError as fault:
            self.fault = fault.message
        except faults() as fault:
            self.fault = str(fault).splitlines()[0][:300]
        if not keep:
            self._run = None

    def _measure(self, run: Callable[[], object]) -> None:
        clock, total_s, count = own_clock(self._timing.threads), 0.0, 0
        for _ in range(WARM_UP):
            run()
        while count < LEAST_RUNS or (count < self._timing.repeats and total_s < self._timing.most_s):
            begun_s = clock()
            run()
            self._times_s.append(clock() - begun_s)
            total_s += self._times_s[-1]
            count += 1


def _loaded(file: Timed, threads: int) -> Callable[[], object]:
    """What runs the file once."""
    if file.engine == "native":
        return _native(file, threads)
    session = _session(Path(file.path), threads)
    binding, arrays = _bound(session, file)

    def run(_kept: object = arrays) -> None:
        session.run_with_iobinding(binding)

    return run


def _native(file: Timed, threads: int) -> Callable[[], object]:
    """The file in shoal's own engine, which binds nothing."""
    graph = load(Path(file.path))
    tensors = {name: TensorSpec(each.dtype, each.shape) for name, each in graph.tensors.items()}
    program = Program(graph.name, ("here/cpu",), (), (), (), 1, tensors)
    place = TemporaryDirectory(prefix="shoal-timed-")  # goes with what runs from it
    files = Native().write(graph, list(graph.position), Path(place.name), "timed")
    segment = Segment("timed", "here/cpu", graph.inputs, graph.outputs, "native", files=files)
    session = Native().load(program, segment, Path(place.name), threads)
    given, source = dict(np.load(file.feeds)) if file.feeds else {}, np.random.default_rng(0)
    feeds = {
        name: given[name] if name in given else _drawn(f"tensor({spec.dtype})", spec.shape, source)
        for name, spec in ((name, graph.tensors[name]) for name in graph.inputs)
    }

    def run(_kept: object = place) -> None:
        session.run(feeds, {})

    return run


def _session(path: Path, threads: int, profile: str = "") -> Any:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _bound(session: Any, file: Timed) -> tuple[Any, list[NDArray[Any]]]:
    """The session's inputs and outputs in memory that stays, and that memory."""
    binding, arrays = session.io_binding(), []
    given = dict(np.load(file.feeds)) if file.feeds else {}
    source = np.random.default_rng(0)
    for value in session.get_inputs():
        kind, shape = value.type, tuple(value.shape)
        array = given.get(value.name)
        if array is None:
            array = _drawn(kind, shape, source)
        array = np.ascontiguousarray(array)
        binding.bind_cpu_input(value.name, array)
        arrays.append(array)
    for value in session.get_outputs():
        array = np.empty(tuple(value.shape), _dtype(value.type))
        binding.bind_output(value.name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        arrays.append(array)
    return binding, arrays


def _dtype(kind: str) -> np.dtype[Any]:
    name = kind.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(name, name))


def _drawn(kind: str, shape: tuple[int, ...], source: np.random.Generator) -> NDArray[Any]:
    dtype = _dtype(kind)
    if np.issubdtype(dtype, np.floating):
        return source.standard_normal(shape).astype(dtype)
    if dtype in (np.uint8, np.int8):
        return source.integers(0, 128, shape).astype(dtype)
    return np.ones(shape, dtype)


def _counted(file: Timed, threads: int) -> float:
    """The share of the kernels' time that is not spent in nodes that do not count."""
    with TemporaryDirectory(prefix="shoal-profile-") as folder:
        session = _session(Path(file.path), threads, str(Path(folder) / "profile"))
        binding, arrays = _bound(session, file)
        for _ in range(WARM_UP + PROFILED):
            session.run_with_iobinding(binding)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    del arrays
    kernels = [event for event in events if event.get("name", "").endswith(EVENT_SUFFIX)]
    late = kernels[len(kernels) // (WARM_UP + PROFILED) * WARM_UP :]
    whole = sum(event["dur"] for event in late)
    apart = sum(event["dur"] for event in late if event["args"]["op_name"] in file.layouts)
    return 1 - apart / whole if whole else 1.0


if __name__ == "__main__":
    main(sys.argv[1])
