"""ggml's products, which are llama.cpp's, by its own graphs; its library comes with Python packages (pywhispercpp)."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
TYPES = {"Q4_0": 2, "Q2_K": 10, "TQ1_0": 34, "TQ2_0": 35}  # ggml.h, enum ggml_type; the last two are ternary
FLOAT32 = 0
QUANTISED_ROWS = 64  # that many differ; the others repeat them, as speed does not depend on weights
SPARE_BYTES = 64 << 20  # each run takes a few KB of the memory that a context was made with


class _Params(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool))


@cache
def libraries() -> tuple[ctypes.CDLL, ctypes.CDLL] | None:
    """ggml's base and its CPU kernels; None where no package brings them."""
    found = find_spec("pywhispercpp")
    if found is None or found.origin is None:
        return None
    site = Path(found.origin).parents[1]
    for needed in sorted(site.glob("pywhispercpp.libs/libgomp*")):
        ctypes.CDLL(str(needed), ctypes.RTLD_GLOBAL)
    base, cpu = (ctypes.CDLL(str(site / f"libggml-{name}.so.0"), ctypes.RTLD_GLOBAL) for name in ("base", "cpu"))
    for name in ("init", "new_tensor_1d", "new_tensor_2d", "mul_mat", "new_graph_custom", "get_data"):
        getattr(base, f"ggml_{name}").restype = ctypes.c_void_p
    for name in ("row_size", "quantize_chunk"):
        getattr(base, f"ggml_{name}").restype = ctypes.c_size_t
    cpu.ggml_cpu_init()
    return base, cpu


def instruction_sets() -> str:
    """Those that the library was compiled for."""
    loaded = libraries()
    assert loaded is not None
    names = ("avx2", "avx512", "avx512_vbmi", "avx512_vnni", "neon", "dotprod")
    return " ".join(name for name in names if getattr(loaded[1], f"ggml_cpu_has_{name}")())


class Products:
    """So many products of one vector with copies of a matrix, a graph computed in one call."""

    def __init__(self, kind: str, weights: F32, copies: int, threads: int) -> None:
        loaded = libraries()
        assert loaded is not None
        self._base, self._cpu = loaded
        self._threads = threads
        self.rows, self.columns = weights.shape
        row_bytes = self._base.ggml_row_size(TYPES[kind], ctypes.c_int64(self.columns))
        self.bytes = row_bytes * self.rows
        params = _Params(copies * (self.bytes + 4 * self.rows) + SPARE_BYTES, None, False)
        self._context = ctypes.c_void_p(self._base.ggml_init(params))
        self._x = self._tensor(FLOAT32, self.columns)
        self._graph = ctypes.c_void_p(
            self._base.ggml_new_graph_custom(self._context, ctypes.c_size_t(2 * copies + 8), ctypes.c_bool(False))
        )
        packed = self._packed(kind, weights, row_bytes)
        self._ys = [self._product(kind, packed) for _ in range(copies)]

    def run(self, x: F32) -> F32:
        """All products of x, (columns,); the last one."""
        ctypes.memmove(self._data(self._x), x.ctypes.data, x.nbytes)
        self._cpu.ggml_graph_compute_with_ctx(self._context, self._graph, ctypes.c_int(self._threads))
        return np.ctypeslib.as_array(
            ctypes.cast(self._data(self._ys[-1]), ctypes.POINTER(ctypes.c_float)), (self.rows,)
        )

    def close(self) -> None:
        """Give the memory back."""
        self._base.ggml_free(self._context)

    def _packed(self, kind: str, weights: F32, row_bytes: int) -> NDArray[np.uint8]:
        some = np.ascontiguousarray(weights[:QUANTISED_ROWS], np.float32)
        packed = np.zeros(row_bytes * len(some), np.uint8)
        self._base.ggml_quantize_chunk(
            TYPES[kind], ctypes.c_void_p(some.ctypes.data), ctypes.c_void_p(packed.ctypes.data), ctypes.c_int64(0),
            ctypes.c_int64(len(some)), ctypes.c_int64(self.columns), None,
        )  # fmt: skip
        return np.resize(packed, self.bytes)

    def _product(self, kind: str, packed: NDArray[np.uint8]) -> ctypes.c_void_p:
        tensor = self._tensor(TYPES[kind], self.columns, self.rows)
        ctypes.memmove(self._data(tensor), packed.ctypes.data, packed.nbytes)
        y = ctypes.c_void_p(self._base.ggml_mul_mat(self._context, tensor, self._x))
        self._base.ggml_build_forward_expand(self._graph, y)
        return y

    def _tensor(self, kind: int, *sizes: int) -> ctypes.c_void_p:
        make = self._base.ggml_new_tensor_1d if len(sizes) == 1 else self._base.ggml_new_tensor_2d
        return ctypes.c_void_p(make(self._context, kind, *map(ctypes.c_int64, sizes)))

    def _data(self, tensor: ctypes.c_void_p) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._base.ggml_get_data(tensor))
