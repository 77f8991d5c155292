"""What a device pays for being in a fleet: resident bytes of `shoal join` and of a worker, idle and with a model.

    python -m bench.join_memory [MODEL …]

Opens a hub on this machine, lets one device join in folders of its own, and deploys a whole `light_*` model of the
onnx package to it. `resident` counts pages of files that several processes map in each of them; `together` counts
them once among the processes of the row (the larger of two, so a little low where they use different parts), as on a
board where nothing else runs; `anonymous` is what no file stands behind. "beyond" is less the model's weights.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

MIB = 1 << 20
PATIENCE_S = 120.0


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process of shoal's command line, ended afterwards."""
    started = subprocess.Popen(
        [sys.executable, "-m", "shoal", *arguments], env=os.environ | environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield started
    finally:
        started.terminate()
        started.communicate()


def bundle(name: str, folder: Path) -> int:
    """Write the model as one bundle for the device "pi"; bytes of its weights."""
    import onnx

    from shoal import catalog, graph
    from shoal.program import CLIENT, Edge, Program, Route, Segment, Step, Task, TensorSpec
    from shoal.program.bundle import Manifest, mark, write

    light = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / f"light_{name}.onnx"
    model = graph.seeded(graph.load(light), 0)
    files = catalog.make("engines", "onnxruntime").write(model, [op.name for op in model.ops], folder, "model")
    tensors = {key: TensorSpec(value.dtype, value.shape) for key, value in model.tensors.items()}
    segment = Segment("model", "pi/cpu", model.inputs, model.outputs, "onnxruntime", files=files)
    ways = [(each, CLIENT, "pi/cpu") for each in model.inputs] + [
        (each, "pi/cpu", CLIENT) for each in model.outputs
    ]
    edges = tuple(Edge(f"{each}>{to}", source, to, each, each, tensors[each], 1) for each, source, to in ways)
    came = [edge.name for edge in edges if edge.source == CLIENT]
    goes = [edge.name for edge in edges if edge.target == CLIENT]
    steps = [*(Step("recv", each) for each in came), Step("run", "model"), *(Step("send", each) for each in goes)]
    route = Route("main", tuple(came), tuple(goes), (Task("pi/cpu", tuple(steps)),))
    program = Program(name, ("pi/cpu",), edges, (segment,), (route,), 1, tensors)
    marks = {each: mark(folder / each) for each in files}
    write(program, Manifest("pi/cpu", program.hash.hex(), 1, marks), folder)
    return model.weights_bytes


def row(what: str, pids: list[int], model_bytes: int) -> str:
    """MiB of these processes, and what is beyond the model."""
    resident, anonymous, files = 0, 0, dict[str, int]()
    for pid in pids:
        by_file = dict[str, int]()
        for each in psutil.Process(pid).memory_maps():
            resident += each.rss
            anonymous += each.anonymous
            by_file[each.path] = by_file.get(each.path, 0) + each.rss - each.anonymous
        files = {path: max(files.get(path, 0), by_file.get(path, 0)) for path in files | by_file}
    together = anonymous + sum(files.values())
    figures = (resident, together, anonymous, resident - model_bytes, together - model_bytes)
    return f"{what:<28}" + "".join(f"{figure / MIB:>12.1f}" for figure in figures)


def measure(names: list[str], folder: Path) -> None:
    """Print a table."""
    from shoal.agent import fleets
    from shoal.agent.asking import deploy

    device = {"SHOAL_CACHE": str(folder / "pi"), "SHOAL_FLEETS": str(folder / "pi-fleets")}
    fleets.create("bench")
    with process("fleet", "open", "--json", "--listen", "127.0.0.1:0") as hub:
        assert hub.stdout is not None
        json.loads(hub.stdout.readline())
        token = fleets.invite(fleets.find(), "pi", 10.0)
        with process("join", SHOAL_TOKEN=token, **device) as agent:
            control = fleets.connect()
            until_s = time.monotonic() + PATIENCE_S
            while not any(each.vitals for each in control.sightings().values()) and time.monotonic() < until_s:
                time.sleep(0.1)
            print(f"{'MiB':<28}" + "".join(f"{word:>12}" for word in HEADS))
            print(row("agent, idle", [agent.pid], 0))
            for name in names:
                place = folder / name
                weights = bundle(name, place)
                control.ask("pi", deploy(fleets.coordinator(), place), PATIENCE_S)
                time.sleep(2)
                workers = [child.pid for child in psutil.Process(agent.pid).children()]
                print(row(f"agent with {name}", [agent.pid], 0))
                print(row(f"worker of {name}", workers[-1:], weights))
                print(row("both", [agent.pid, *workers[-1:]], weights))
            control.close()


HEADS = ("resident", "together", "anonymous", "res. beyond", "tog. beyond")


def main() -> None:
    """Measure the models named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=["squeezenet"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"SHOAL_CACHE": f"{folder}/hub", "SHOAL_FLEETS": f"{folder}/hub-fleets"}
        measure(options.models, Path(folder))


if __name__ == "__main__":
    main()
