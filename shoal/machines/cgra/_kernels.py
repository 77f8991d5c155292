"""Loops that arrays are tried on: their innermost loop, the loops around it, their data, and what numpy makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.machines.cgra._graph import Dataflow
from shoal.machines.cgra._trace import traced

Ints = NDArray[np.int64]
Memory = dict[str, Ints]  # arrays by name, flat
SIDE = 8  # of matrices and images, without their borders
WIDE = SIDE + 2  # with them


@dataclass(frozen=True)
class Kernel:
    """A loop nest."""

    function: Callable[..., None]  # of the innermost loop
    outer: Mapping[str, range]  # the loops around it
    sizes: Mapping[str, int]  # elements of its arrays
    expected: Callable[[Memory], Memory]  # what numpy gives for the arrays that change
    constants: Mapping[str, int]

    @property
    def name(self) -> str:
        """Of the function."""
        return self.function.__name__

    def graph(self, unroll: int = 1) -> Dataflow:
        """Its body, so often copied."""
        return traced(self.function, unroll, **self.constants)

    def entries(self) -> Iterator[dict[str, int]]:
        """The outer loops' scalars, each time the innermost loop is entered."""
        for values in product(*self.outer.values()):
            yield dict(zip(self.outer, values, strict=True))

    def drawn(self, seed: int = 0) -> Memory:
        """Arrays of small whole numbers, so small that nothing exceeds 16 bits."""
        source = np.random.default_rng(seed)
        return {name: source.integers(-4, 5, size) for name, size in self.sizes.items()}


def gemm(a: Ints, b: Ints, c: Ints, i: int, j: int, n: int) -> None:
    """One element of c = a b, its partial sums stored."""
    total = 0
    for k in range(n):
        total += a[i * n + k] * b[k * n + j]
        c[i * n + j] = total


def gemver(a: Ints, u: Ints, v: Ints, w: Ints, z: Ints, i: int, n: int) -> None:
    """A row of a + u v' + w z'."""
    for j in range(n):
        a[i * n + j] = a[i * n + j] + u[i] * v[j] + w[i] * z[j]


def atax(a: Ints, y: Ints, t: Ints, i: int, n: int) -> None:
    """A row's part of a' t."""
    for j in range(n):
        y[j] = y[j] + a[i * n + j] * t[i]


def bicg(a: Ints, s: Ints, q: Ints, r: Ints, p: Ints, i: int, n: int) -> None:
    """A row's parts of a' r and a p."""
    total = 0
    for j in range(n):
        s[j] = s[j] + r[i] * a[i * n + j]
        total += a[i * n + j] * p[j]
        q[i] = total


def doitgen(a: Ints, c: Ints, s: Ints, r: int, p: int, n: int) -> None:
    """One element of a row of a times c."""
    total = 0
    for k in range(n):
        total += a[r * n + k] * c[k * n + p]
        s[r * n + p] = total


def jacobi_1d(a: Ints, b: Ints, n: int) -> None:
    """A mean of three with weights 1, 2, 1."""
    for i in range(1, n + 1):
        b[i] = (a[i - 1] + (a[i] << 1) + a[i + 1]) >> 2


def jacobi_2d(a: Ints, b: Ints, i: int, n: int, w: int) -> None:
    """A row of sums of five neighbours, over four."""
    for j in range(1, n + 1):
        b[i * w + j] = (
            a[i * w + j] + a[i * w + j - 1] + a[i * w + j + 1] + a[i * w - w + j] + a[i * w + w + j]
        ) >> 2


def seidel(a: Ints, i: int, n: int, w: int) -> None:
    """The same in place: each element waits for the one before."""
    for j in range(1, n + 1):
        others = a[i * w + j] + a[i * w + j + 1] + a[i * w - w + j] + a[i * w + w + j]
        a[i * w + j] = (others + a[i * w + j - 1]) >> 2


def fdtd(e: Ints, f: Ints, h: Ints, i: int, n: int, w: int) -> None:
    """A row of a field less half the curl of two others."""
    for j in range(1, n + 1):
        h[i * w + j] = h[i * w + j] - ((e[i * w + j + 1] - e[i * w + j] + f[i * w + w + j] - f[i * w + j]) >> 1)


def conv2d(x: Ints, k: Ints, y: Ints, i: int, n: int, w: int) -> None:
    """A row of a 3×3 convolution."""
    for j in range(n):
        total = 0
        for r in range(3):
            for s in range(3):
                total += x[(i + r) * w + j + s] * k[3 * r + s]
        y[i * n + j] = total


def depthwise(x: Ints, k: Ints, y: Ints, c: int, n: int, w: int) -> None:
    """A row of one channel's 1×3 convolution."""
    for j in range(n):
        y[c * n + j] = x[c * w + j] * k[c * 3] + x[c * w + j + 1] * k[c * 3 + 1] + x[c * w + j + 2] * k[c * 3 + 2]


def fc(x: Ints, m: Ints, b: Ints, y: Ints, o: int, n: int) -> None:
    """One output of a layer: weighted sum, bias, shift, cut at zero."""
    total = 0
    for k in range(n):
        total += x[k] * m[o * n + k]
        y[o] = max((total + b[o]) >> 2, 0)


def relu_add(x: Ints, y: Ints, z: Ints, n: int) -> None:
    """A sum, cut at zero."""
    for i in range(n):
        z[i] = max(x[i] + y[i], 0)


def exp_polynomial(x: Ints, y: Ints, n: int) -> None:
    """A polynomial in place of an exponential, zero from -3 down."""
    for i in range(n):
        y[i] = (((x[i] * 2 + 5) * x[i] >> 1) + 7) * x[i] + 9 if x[i] > -3 else 0


def softmax_sum(x: Ints, y: Ints, n: int) -> None:
    """Largest value, and sum of powers of two, of a vector."""
    total = 0
    most = -8
    for i in range(n):
        most = max(most, x[i])
        total += 1 << (x[i] + 4)
        y[0] = total
        y[1] = most


def _kernels() -> Iterator[Kernel]:
    n, w = SIDE, WIDE
    each, inner = {"i": range(n)}, {"i": range(1, n + 1)}
    square, vector, framed = n * n, n, w * w
    yield Kernel(
        gemm,
        {"i": range(n), "j": range(n)},
        {"a": square, "b": square, "c": square},
        lambda m: {"c": _grid(m["a"]) @ _grid(m["b"])},
        {"n": n},
    )
    yield Kernel(
        gemver,
        each,
        {"a": square, "u": n, "v": n, "w": n, "z": n},
        lambda m: {"a": _grid(m["a"]) + np.outer(m["u"], m["v"]) + np.outer(m["w"], m["z"])},
        {"n": n},
    )
    yield Kernel(
        atax,
        each,
        {"a": square, "y": vector, "t": vector},
        lambda m: {"y": m["y"] + m["t"] @ _grid(m["a"])},
        {"n": n},
    )
    yield Kernel(
        bicg,
        each,
        {"a": square, "s": n, "q": n, "r": n, "p": n},
        lambda m: {"s": m["s"] + m["r"] @ _grid(m["a"]), "q": _grid(m["a"]) @ m["p"]},
        {"n": n},
    )
    yield Kernel(
        doitgen,
        {"r": range(3), "p": range(n)},
        {"a": 3 * n, "c": square, "s": 3 * n},
        lambda m: {"s": m["a"].reshape(3, n) @ _grid(m["c"])},
        {"n": n},
    )
    yield Kernel(jacobi_1d, {}, {"a": 4 * n + 2, "b": 4 * n + 2}, _jacobi_1d, {"n": 4 * n})
    yield Kernel(jacobi_2d, inner, {"a": framed, "b": framed}, _jacobi_2d, {"n": n, "w": w})
    yield Kernel(seidel, inner, {"a": framed}, _seidel, {"n": n, "w": w})
    yield Kernel(fdtd, inner, {"e": framed, "f": framed, "h": framed}, _fdtd, {"n": n, "w": w})
    yield Kernel(
        conv2d,
        each,
        {"x": framed, "k": 9, "y": square},
        lambda m: {"y": np.einsum("ijkl,kl->ij", _windows(m["x"].reshape(w, w), (3, 3)), m["k"].reshape(3, 3))},
        {"n": n, "w": w},
    )
    yield Kernel(
        depthwise,
        {"c": range(3)},
        {"x": 3 * w, "k": 9, "y": 3 * n},
        lambda m: {
            "y": np.einsum("cjk,ck->cj", _windows(m["x"].reshape(3, w), (1, 3))[:, :, 0], m["k"].reshape(3, 3))
        },
        {"n": n, "w": w},
    )
    yield Kernel(
        fc,
        {"o": range(5)},
        {"x": 2 * n, "m": 10 * n, "b": 5, "y": 5},
        lambda m: {"y": np.maximum((m["m"].reshape(5, 2 * n) @ m["x"] + m["b"]) >> 2, 0)},
        {"n": 2 * n},
    )
    yield Kernel(
        relu_add,
        {},
        {"x": 4 * n, "y": 4 * n, "z": 4 * n},
        lambda m: {"z": np.maximum(m["x"] + m["y"], 0)},
        {"n": 4 * n},
    )
    yield Kernel(exp_polynomial, {}, {"x": 4 * n, "y": 4 * n}, _exp_polynomial, {"n": 4 * n})
    yield Kernel(
        softmax_sum,
        {},
        {"x": 4 * n, "y": 2},
        lambda m: {"y": np.array([(1 << (m["x"] + 4)).sum(), m["x"].max()])},
        {"n": 4 * n},
    )


def _grid(values: Ints) -> Ints:
    return values.reshape(SIDE, SIDE)


def _windows(values: Ints, shape: tuple[int, int]) -> Ints:
    return np.lib.stride_tricks.sliding_window_view(values, shape)


def _inside(old: Ints, inner: Ints) -> Ints:
    """`old` with another inside of its frame."""
    changed = old.reshape(WIDE, WIDE).copy()
    changed[1:-1, 1:-1] = inner
    return changed


def _jacobi_1d(m: Memory) -> Memory:
    changed = m["b"].copy()
    changed[1:-1] = (m["a"][:-2] + 2 * m["a"][1:-1] + m["a"][2:]) >> 2
    return {"b": changed}


def _jacobi_2d(m: Memory) -> Memory:
    a = m["a"].reshape(WIDE, WIDE)
    total = a[1:-1, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] + a[:-2, 1:-1] + a[2:, 1:-1]
    return {"b": _inside(m["b"], total >> 2)}


def _seidel(m: Memory) -> Memory:
    a = m["a"].reshape(WIDE, WIDE).copy()
    for row, column in np.ndindex(SIDE, SIDE):
        cross = a[row : row + 3, column : column + 3] * np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
        a[row + 1, column + 1] = cross.sum() >> 2
    return {"a": a}


def _fdtd(m: Memory) -> Memory:
    e, f, h = (m[name].reshape(WIDE, WIDE) for name in "efh")
    curl = e[1:-1, 2:] - e[1:-1, 1:-1] + f[2:, 1:-1] - f[1:-1, 1:-1]
    return {"h": _inside(m["h"], h[1:-1, 1:-1] - (curl >> 1))}


def _exp_polynomial(m: Memory) -> Memory:
    x = m["x"]
    return {"y": np.where(x > -3, ((((2 * x + 5) * x) >> 1) + 7) * x + 9, 0)}


KERNELS: Mapping[str, Kernel] = {each.name: each for each in _kernels()}


def kernel(name: str) -> Kernel:
    """One of `KERNELS`.

    Raises:
        InputError: there is none of that name.
    """
    if name not in KERNELS:
        raise InputError(f"no kernel '{name}'", needed=", ".join(KERNELS))
    return KERNELS[name]
