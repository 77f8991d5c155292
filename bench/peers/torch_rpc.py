"""PyTorch RPC running a network in two halves: a master and two workers, each pinned to its core.

Run by path, with any interpreter that has torch, onnx and onnxruntime (it imports nothing of shoal):

    python bench/peers/torch_rpc.py FIRST.onnx SECOND.onnx 1,3,224,224 [--stages torch] [--items 100]

The master keeps a window of items in flight. A worker runs its half on one thread and hands the tensor straight
to the other one; the last answer comes back to the master. Prints one line of JSON. Loopback only.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import threading
import time
import types
from collections import deque
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch.distributed import rpc

MASTER = "master"
WORKERS = ("first", "second")
DRAWN = 4  # distinct inputs, taken in turn
WARM_ITEMS = 8


class Stage(Protocol):
    """One half of the network: a tensor in, a tensor out."""

    def __call__(self, tensor: Any) -> Any:
        """The half's output for `tensor`."""


class OnnxruntimeStage:
    """A half as an onnxruntime session with one thread."""

    def __init__(self, path: str) -> None:
        """Load the file."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, tensor: Any) -> Any:
        """Run it."""
        return torch.from_numpy(self._session.run(None, {self._input: tensor.numpy()})[0])


class TorchStage:
    """A half as a torch module, made from the file by onnx2torch."""

    def __init__(self, path: str) -> None:
        """Convert the file."""
        self._module = _converter()(path).eval()

    def __call__(self, tensor: Any) -> Any:
        """Run it."""
        with torch.inference_mode():
            found = self._module(tensor)
        return found.clone()  # RPC cannot carry a tensor made in inference mode


def _converter() -> Any:
    """onnx2torch's `convert`. It imports torchvision for two ops of detectors; where that fails, without it."""
    try:
        from onnx2torch import convert
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.partition(".")[0] in ("torchvision", "onnx2torch")]:
            del sys.modules[name]
        vision, ops = types.ModuleType("torchvision"), types.ModuleType("torchvision.ops")
        vision.__dict__["ops"], ops.__dict__["roi_align"] = ops, None
        sys.modules |= {"torchvision": vision, "torchvision.ops": ops}
        from onnx2torch import convert
    return convert


STAGES: dict[str, type[OnnxruntimeStage] | type[TorchStage]] = {
    "onnxruntime": OnnxruntimeStage,
    "torch": TorchStage,
}


class Worker:
    """What a worker process holds: its half, how long it was busy, and a lock, since one core runs one item."""

    def __init__(self, stages: str, path: str) -> None:
        """Load the half at `path`."""
        self._stage: Stage = STAGES[stages](path)
        self._lock = threading.Lock()
        self.busy_s = 0.0

    def run(self, tensor: Any) -> Any:
        """The half's output."""
        with self._lock:
            start = time.perf_counter()
            found = self._stage(tensor)
            self.busy_s += time.perf_counter() - start
        return found


_worker: list[Worker] = []  # in a worker process: its only one


@rpc.functions.async_execution  # type: ignore[untyped-decorator]  # torch is not installed where this is checked
def first(tensor: Any) -> Any:
    """On the first worker: its half, then on to the second; the answer is the second's."""
    return rpc.rpc_async(WORKERS[1], second, args=(_worker[0].run(tensor),))


def second(tensor: Any) -> Any:
    """On the second worker: its half."""
    return _worker[0].run(tensor)


def figures() -> dict[str, float]:
    """On a worker: its busy seconds since the last call, and its resident bytes."""
    busy_s, _worker[0].busy_s = _worker[0].busy_s, 0.0
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"busy_s": busy_s, "resident_bytes": pages * os.sysconf("SC_PAGE_SIZE")}


def join(name: str, rank: int) -> None:
    """Enter the group of processes, over loopback."""
    rpc.init_rpc(name, rank=rank, world_size=1 + len(WORKERS))


def serve(options: argparse.Namespace) -> None:
    """Be a worker until the master is done."""
    index: int = options.worker
    os.sched_setaffinity(0, {options.cores[index]})
    torch.set_num_threads(1)
    _worker.append(Worker(options.stages, options.halves[index]))
    join(WORKERS[index], 1 + index)
    rpc.shutdown()


def stream(inputs: list[Any], items: int, window: int) -> tuple[list[float], list[float], list[Any]]:
    """When items came back, how long each took, and the first answers; `window` are in flight."""
    waiting: deque[tuple[float, Any]] = deque()
    times_s: list[float] = []
    latencies_s: list[float] = []
    answers: list[Any] = []
    for item in range(items + window):
        if len(waiting) == window or item >= items:
            if not waiting:
                break
            began, future = waiting.popleft()
            answer = future.wait()
            times_s.append(time.perf_counter())
            latencies_s.append(times_s[-1] - began)
            answers += [answer] * (len(answers) < len(inputs))
        if item < items:
            future = rpc.rpc_async(WORKERS[0], first, args=(inputs[item % len(inputs)],))
            waiting.append((time.perf_counter(), future))
    return times_s, latencies_s, answers


def master(options: argparse.Namespace) -> dict[str, Any]:
    """Start the workers, stream the items, say what happened."""
    source = np.random.default_rng(0)
    inputs = [torch.from_numpy(source.standard_normal(options.shape).astype(np.float32)) for _ in range(DRAWN)]
    expected = _expected(options.halves, inputs)
    torch.set_num_threads(1)
    join(MASTER, 0)
    stream(inputs, WARM_ITEMS, options.window)
    for name in WORKERS:
        rpc.rpc_sync(name, figures)
    times_s, latencies_s, answers = stream(inputs, options.items, options.window)
    workers = [rpc.rpc_sync(name, figures) for name in WORKERS]
    rpc.shutdown()
    steady = times_s[options.window :] if len(times_s) >= options.window + 2 else times_s
    period_s = (steady[-1] - steady[0]) / (len(steady) - 1)
    pairs = list(zip(answers, expected, strict=False))
    return {
        "stages": options.stages,
        "items": options.items,
        "window": options.window,
        "period_s": period_s,
        "throughput_items_per_s": 1 / period_s,
        "latency_p50_s": float(np.quantile(latencies_s, 0.5)),
        "latency_p99_s": float(np.quantile(latencies_s, 0.99)),
        "busy_s": [worker["busy_s"] / options.items for worker in workers],
        "resident_bytes": [worker["resident_bytes"] for worker in workers],
        "max_abs_difference": max(float(np.abs(had.numpy() - want.numpy()).max()) for had, want in pairs),
        "reference_magnitude": max(float(np.abs(want.numpy()).max()) for _, want in pairs),
        "torch": torch.__version__,
    }


def _expected(halves: list[str], inputs: list[Any]) -> list[Any]:
    """The halves' answers in one process, one after the other."""
    found = inputs
    for path in halves:
        stage = OnnxruntimeStage(path)
        found = [stage(tensor) for tensor in found]
    return found


def start_workers() -> list[subprocess.Popen[bytes]]:
    """This script again, once for each half."""
    command = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:], "--worker"]
    return [subprocess.Popen([*command, str(index)], stdout=subprocess.DEVNULL) for index in range(len(WORKERS))]


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def main() -> int:
    """Print one line of JSON."""
    options = arguments()
    if options.worker is not None:
        serve(options)
        return 0
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    os.environ |= {"TP_SOCKET_IFNAME": "lo", "GLOO_SOCKET_IFNAME": "lo"}
    workers = start_workers()
    try:
        print(json.dumps(master(options)))
        return max(abs(worker.wait()) for worker in workers)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="a network in two halves over PyTorch RPC")
    parser.add_argument("halves", nargs=2, metavar="HALF.onnx")
    parser.add_argument("shape", type=_numbers, help="of the input: 1,3,224,224")
    parser.add_argument("--stages", choices=STAGES, default="onnxruntime", help="what runs a half")
    parser.add_argument("--cores", type=_numbers, default=[0, 1], help="of the two workers")
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--window", type=int, default=4)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
