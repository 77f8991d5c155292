"""What a worker keeps beyond its weights and live activations, and how soon it is ready.

    python bench/worker_memory.py resnet50 vgg19

Takes `light_*` models of the onnx package with seeded weights. Every line is a fresh process on one thread:
plain onnxruntime with its defaults, shoal at its first start on a device (which prepares the segment), and shoal
from its cache. "ready" counts from the start of the interpreter to the end of the first run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MIB = 1 << 20


@dataclass(frozen=True)
class Model:
    """A bundle of one segment, and the two figures a worker cannot go below."""

    folder: Path
    weights_bytes: int
    live_bytes: int


def prepare(name: str, folder: Path, engine: str) -> Model:
    """Write the model as one segment for `engine`, with its program."""
    import onnx

    from shoal import catalog, codec, graph
    from shoal.program import Program, Segment, TensorSpec

    light = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / f"light_{name}.onnx"
    model = graph.seeded(graph.load(light), 0)
    ops = [op.name for op in model.ops]
    files = catalog.make("engines", engine).write(model, ops, folder, "model")
    tensors = {key: TensorSpec(value.dtype, value.shape) for key, value in model.tensors.items()}
    segment = Segment("model", "here/cpu", model.inputs, model.outputs, engine, files=files)
    codec.save(Program(name, ("here/cpu",), (), (segment,), (), 1, tensors), folder / "program.json")
    return Model(folder, model.weights_bytes, graph.peak_live_bytes(model, ops))


def measure(how: str, model: Model) -> dict[str, Any]:
    """Load and run once in a fresh process."""
    started = time.monotonic()
    command = [sys.executable, __file__, "--child", how, "--folder", str(model.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    figures["ready_s"] -= started
    return figures


def child(how: str, folder: Path) -> None:
    """Be the process that is measured; one JSON object on stdout."""
    session = (plain if how == "plain" else ours)(folder)
    print(json.dumps({"ready_s": time.monotonic(), **memory()}))
    del session  # it had to live until here


def plain(folder: Path) -> Any:
    """Onnxruntime as its documentation shows it, with one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = folder / "model.onnx"
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    session.run(None, {one.name: np.zeros(one.shape, np.float32) for one in session.get_inputs()})
    return session


def ours(folder: Path) -> Any:
    """What a worker does, with everything a worker imports."""
    from shoal import catalog, codec
    from shoal.program import Program
    from shoal.worker import load  # noqa: F401  # what a worker imports is part of its memory

    program = codec.load(Program, folder / "program.json")
    (segment,) = program.segments
    session = catalog.make("engines", segment.engine).load(program, segment, folder, 1)
    shapes = {name: program.tensors[name].bound({}) for name in segment.inputs}
    session.run({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, {})
    return session


def memory() -> dict[str, int]:
    """Resident, anonymous (no file stands behind it) and peak bytes of this process."""
    return {
        "resident_bytes": _kib("/proc/self/smaps_rollup", "Rss:") * 1024,
        "anonymous_bytes": _kib("/proc/self/smaps_rollup", "Anonymous:") * 1024,
        "peak_bytes": _kib("/proc/self/status", "VmHWM:") * 1024,
    }


def _kib(file: str, key: str) -> int:
    for line in Path(file).read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    raise KeyError(key)


def line(name: str, how: str, figures: Mapping[str, Any], model: Model) -> str:
    """One row of the table, MiB and seconds."""
    floor = model.weights_bytes + model.live_bytes
    columns = [figures[key] for key in ("resident_bytes", "anonymous_bytes", "peak_bytes")]
    columns += [figures["resident_bytes"] - floor, figures["peak_bytes"] - floor]
    numbers = "".join(f"{value / MIB:>11.1f}" for value in columns)
    return f"{name:<12}{how:<22}{numbers}{figures['ready_s']:>9.2f}"


def compare(name: str, engine: str, folder: Path) -> None:
    """Print the rows of one model."""
    model = prepare(name, folder, engine)
    print(f"{name}: weights {model.weights_bytes / MIB:.1f} MiB, live {model.live_bytes / MIB:.1f} MiB")
    variants = ["first start", "from cache", "from cache again"]
    for how in (["plain onnxruntime"] if engine == "onnxruntime" else []) + variants:
        print(line(name, how, measure(how.split()[0], model), model))


def main() -> None:
    """Measure the models named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=["resnet50", "vgg19"])
    parser.add_argument("--engine", default="onnxruntime")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.folder)
        return
    head = ("resident", "anonymous", "peak", "beyond", "peak bey.")
    print(" " * 34 + "".join(f"{word:>11}" for word in head) + f"{'ready s':>9}")
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["SHOAL_CACHE"] = str(Path(folder) / "cache")
            compare(name, options.engine, Path(folder))


if __name__ == "__main__":
    main()
