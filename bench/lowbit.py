"""Matrix times vector in few bits: our kernels against onnxruntime's, in alternating rounds, with the memory's limit.

    python -m bench.lowbit [--rows 4096 11008] [--columns 4096] [--threads 1 2] [--rounds 5] [--tokens 1]

Weights are random; each contender has so many copies of its matrix, used in turn, that they are more than the processor
caches. Activations are made ready within the time. onnxruntime runs all copies in one call, as in a network.
GB/s are those of the packed weights; the limit is the quickest of numpy's sums and copies over memory of the same size.
Beside onnxruntime: numpy's BLAS, and ggml (llama.cpp) where pywhispercpp can be imported, which brings its library
(`pip install --no-deps --target FOLDER pywhispercpp`, and FOLDER on PYTHONPATH).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as state

from bench import _ggml
from shoal import formats
from shoal.engines._stage_files import ALIGNMENT_BYTES
from shoal.formats import quantise
from shoal.kernels import trits
from shoal.kernels.lookup import Lookup, lookup
from shoal.kernels.lowbit import LowBit, joined, lowbit_paths, plane
from shoal.kernels.trits import Trits

CACHE_BYTES = 64 << 20  # of memory read before a matrix is read again; more where the processor says so
MOST_COPIES = 80
F32 = NDArray[np.float32]
Matrix = LowBit | Trits | Lookup


@dataclass(frozen=True)
class Contender:
    """One way to multiply: all its copies at once, or one by one."""

    name: str
    bytes: int  # of one copy
    copies: int
    run: Callable[[F32], object]  # through all copies


def cache_bytes() -> int:
    """The last level's size."""
    found = [path.read_text().strip() for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return max([CACHE_BYTES, *(int(each[:-1]) * 1024 for each in found if each.endswith("K"))])


def ours(name: str, make: Callable[[], Matrix], threads: int, budget: int) -> Contender:
    """Copies of a packed matrix."""
    first = copied(make())
    copies = min(MOST_COPIES, max(2, -(-budget // first.bytes)))
    matrices = [first, *(copied(first) for _ in range(copies - 1))]

    def run(x: F32) -> object:
        return [matrix.product(x, threads=threads) for matrix in matrices]

    return Contender(name, first.bytes, copies, run)


def copied(matrix: Matrix) -> Matrix:
    """The same elsewhere in memory."""
    if isinstance(matrix, Trits):
        return replace(matrix, codes=aligned(matrix.codes), signs=aligned(matrix.signs))
    if isinstance(matrix, Lookup):
        return replace(
            matrix, codes=aligned(matrix.codes), scales=aligned(matrix.scales), zeros=aligned(matrix.zeros)
        )
    planes = (replace(each, codes=aligned(each.codes), scales=aligned(each.scales)) for each in matrix.planes)
    return joined(list(planes), None if matrix.offsets is None else matrix.offsets.copy())


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that begins with a cache line, as in the files that the engine maps."""
    memory = np.empty(array.nbytes + ALIGNMENT_BYTES, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT_BYTES
    found = memory[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found


def onnxruntimes(name: str, node: str, shape: tuple[int, int], threads: int, tokens: int, budget: int) -> Contender:
    """A model with so many products of the same input."""
    rows, columns = shape
    source = np.random.default_rng(0)
    per_value = {
        "float32": 4.0,
        "int8": 1.0,
        "nbits8": 1.0 + 4 / 32,
        "nbits4": 0.5 + 4 / 32,
        "nbits2": 0.25 + 4 / 32,
    }[node]
    size = int(rows * columns * per_value)
    copies = min(MOST_COPIES, max(2, -(-budget // size)))
    nodes, weights = [], []
    if node == "int8":
        nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]))
    for copy in range(copies):
        if node.startswith("nbits"):
            bits = int(node[5:])
            packed = source.integers(0, 256, (rows, columns // 32, 32 * bits // 8), dtype=np.uint8)
            scales = source.uniform(0.01, 0.02, rows * columns // 32).astype(np.float32)
            weights += [numpy_helper.from_array(packed, f"w{copy}"), numpy_helper.from_array(scales, f"s{copy}")]
            nodes.append(helper.make_node("MatMulNBits", ["x", f"w{copy}", f"s{copy}"], [f"y{copy}"], domain="com.microsoft",
                                          K=columns, N=rows, bits=bits, block_size=32, accuracy_level=4))  # fmt: skip
        elif node == "int8":
            packed = source.integers(-127, 128, (columns, rows), dtype=np.int8)
            weights.append(numpy_helper.from_array(packed, f"w{copy}"))
            nodes.append(helper.make_node("MatMulInteger", ["xq", f"w{copy}", "xz"], [f"y{copy}"]))
        else:
            packed = source.standard_normal((columns, rows), dtype=np.float32)
            weights.append(numpy_helper.from_array(packed, f"w{copy}"))
            nodes.append(helper.make_node("MatMul", ["x", f"w{copy}"], [f"y{copy}"]))
    kind = TensorProto.INT32 if node == "int8" else TensorProto.FLOAT
    outputs = [helper.make_tensor_value_info(f"y{copy}", kind, (tokens, rows)) for copy in range(copies)]
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("x", TensorProto.FLOAT, (tokens, columns))], outputs, weights
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    session = ort.InferenceSession(onnx_bytes(model), options, providers=["CPUExecutionProvider"])
    return Contender(name, size, copies, lambda x: session.run(None, {"x": x}))


def blas(shape: tuple[int, int], threads: int, tokens: int, budget: int) -> Contender:
    """numpy's product in float32."""
    from threadpoolctl import threadpool_limits

    size = 4 * shape[0] * shape[1]
    weights = [np.ones(shape, np.float32) for _ in range(max(2, -(-budget // size)))]

    def run(x: F32) -> object:
        with threadpool_limits(threads):
            return [each @ x.T for each in weights]

    return Contender("numpy float32 (BLAS)", size, len(weights), run)


def ggmls(kind: str, shape: tuple[int, int], threads: int, budget: int) -> Contender:
    """ggml's product of one token; ternary weights, which its ternary types hold exactly."""
    weights = 0.02 * np.random.default_rng(6).integers(-1, 2, shape).astype(np.float32)
    size = _ggml.Products(kind, weights[:1], 1, 1).bytes * shape[0]
    copies = min(MOST_COPIES, max(2, -(-budget // size)))
    products = _ggml.Products(kind, weights, copies, threads)
    return Contender(f"ggml {kind}", size, copies, lambda x: products.run(x[0]))


def onnx_bytes(model: onnx.ModelProto) -> bytes:
    """The model as bytes."""
    return model.SerializeToString()


def packings(shape: tuple[int, int]) -> dict[str, Callable[[], Matrix]]:
    """Our matrices, of random weights: codes are drawn, as speed does not depend on them."""
    source = np.random.default_rng(1)
    rows, columns = shape

    def drawn(bits: int, group: int, most: int = 0) -> LowBit:
        codes = source.integers(0, most or 2**bits, shape, dtype=np.uint8)
        scales = source.uniform(0.01, 0.02, (rows, columns // group)).astype(np.float32)
        return LowBit((plane(codes, bits, group, scales, zero=1 << (bits - 1)),))

    def looked(planes: int) -> Lookup:
        bits = source.integers(0, 2, (planes, *shape), dtype=np.uint8)
        scales = source.uniform(0.01, 0.02, (rows, columns // 128, planes)).astype(np.float32)
        return lookup(bits, 128, scales, -scales[:, :, 0])

    def ternary(packing: Callable[..., Trits]) -> Trits:
        return packing(source.integers(0, 3, shape, dtype=np.uint8), np.full(rows, 0.02, np.float32))

    return {
        "1 bit g128": lambda: drawn(1, 128),
        "2 bit g128": lambda: drawn(2, 128),
        "2 bit g32": lambda: drawn(2, 32),
        "ternary in 2 bit g128": lambda: drawn(2, 128, 3),
        "ternary in 1.67 bit": lambda: ternary(trits.threes),
        "ternary in 1.6 bit": lambda: ternary(trits.fives),
        "hlq1 g128": lambda: looked(1),
        "hlq2 g128": lambda: looked(2),
        "hlq3 g128": lambda: looked(3),
        "4 bit g32": lambda: drawn(4, 32),
        "4 bit g128": lambda: drawn(4, 128),
        "8 bit g64": lambda: drawn(8, 64),
    }


def limit_bytes_per_s(threads: int) -> float:
    """The quickest of sums and copies over large memory."""
    arrays = [np.ones(64 << 20, np.float32) for _ in range(threads)]
    others = [np.ones_like(each) for each in arrays]
    found = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            began = time.perf_counter()
            list(pool.map(np.sum, arrays))
            found.append(sum(each.nbytes for each in arrays) / (time.perf_counter() - began))
            began = time.perf_counter()
            list(pool.map(np.copyto, others, arrays))
            found.append(2 * sum(each.nbytes for each in arrays) / (time.perf_counter() - began))
    return max(found)


def check(shape: tuple[int, int]) -> float:
    """The relative error of a real product in two bits against the decoded matrix."""
    weights = np.random.default_rng(2).standard_normal((256, shape[1])).astype(np.float32)
    form = formats.make("int2g128")
    coded = quantise(form, weights)
    x = np.random.default_rng(3).standard_normal((1, shape[1])).astype(np.float32)
    matrix = LowBit((plane(coded.codes, 2, 128, coded.params["scales"], zero=1),))
    expected = x @ form.decode(coded.codes, coded.params).T
    return float(np.linalg.norm(matrix.product(x) - expected) / np.linalg.norm(expected))


def main() -> None:
    """Print a table and a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[4096, 11008])
    parser.add_argument("--columns", type=int, default=4096)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=1)
    options = parser.parse_args()
    print(f"kernels: {lowbit_paths()[0]}; relative error in two bits {check((0, options.columns)):.4f}")
    print(f"ggml: {_ggml.instruction_sets() if _ggml.libraries() else 'not there (no pywhispercpp)'}")
    rows = []
    for threads in options.threads:
        limit = limit_bytes_per_s(threads)
        print(f"memory: {limit / 1e9:.1f} GB/s with {threads} threads")
        rows += [row for count in options.rows for row in one((count, options.columns), threads, options, limit)]
    print(json.dumps(rows))


def one(shape: tuple[int, int], threads: int, options: argparse.Namespace, limit: float) -> list[dict[str, object]]:
    """All contenders on one shape."""
    budget = cache_bytes() + (32 << 20)
    x = np.random.default_rng(4).standard_normal((options.tokens, shape[1])).astype(np.float32)
    contenders = []
    for name, node in (("ort float32", "float32"), ("ort int8 MatMulInteger", "int8"), ("ort MatMulNBits 8", "nbits8"),
                       ("ort MatMulNBits 4", "nbits4"), ("ort MatMulNBits 2", "nbits2")):  # fmt: skip
        try:
            contenders.append(onnxruntimes(name, node, shape, threads, options.tokens, budget))
        except (state.Fail, state.InvalidArgument, state.NotImplemented, state.InvalidGraph) as fault:
            print(f"  {name}: not there ({str(fault).splitlines()[0][:80]})")
    contenders.append(blas(shape, threads, options.tokens, budget))
    if options.tokens == 1 and _ggml.libraries() is not None:
        contenders += [ggmls(kind, shape, threads, budget) for kind in _ggml.TYPES]
    contenders += [ours(name, make, threads, budget) for name, make in packings(shape).items()]
    seconds: dict[str, list[float]] = {each.name: [] for each in contenders}
    for each in contenders:
        each.run(x)
    for _ in range(options.rounds):
        for each in contenders:
            began = time.perf_counter()
            each.run(x)
            seconds[each.name].append((time.perf_counter() - began) / each.copies)
    base = statistics.median(seconds["ort int8 MatMulInteger"])
    found = []
    for each in contenders:
        taken = statistics.median(seconds[each.name])
        rate = each.bytes / taken
        print(
            f"{shape[0]:6} × {shape[1]} {threads} threads {each.name:24} {taken * 1e3:7.3f} ms "
            f"({min(seconds[each.name]) * 1e3:.3f}…{max(seconds[each.name]) * 1e3:.3f})  {rate / 1e9:5.1f} GB/s "
            f"({rate / limit:.0%} of memory)  {base / taken:5.2f} × ort int8"
        )
        found.append({"shape": shape, "threads": threads, "name": each.name, "s": taken, "bytes": each.bytes,
                      "over_int8": base / taken})  # fmt: skip
    return found


if __name__ == "__main__":
    main()
