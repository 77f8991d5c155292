"""Both forms of every kernel against the definition written out; files and data that are not what they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal import catalog, codec
from shoal.engines.kernels import KernelFile, KernelSession, KernelStep, share
from shoal.errors import InputError, ModelError
from shoal.measure import drawn_matrix
from shoal.program import Program, Segment, TensorSpec

Array = NDArray[Any]
FORMS = ("sparse", "dense")
MATRIX = ("pointers", "columns", "values")


def run(form: Any, step: KernelStep, inputs: dict[str, Array], weights: dict[str, Array] | None = None) -> Array:
    return KernelSession(form, (step,), weights or {}, ("y",)).run(inputs, {})["y"]


def floats(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def matrix(rows: int, inner: int, nnz: int) -> tuple[dict[str, Array], Array]:
    """A sparse matrix as inputs and in full."""
    arrays = dict(zip(MATRIX, drawn_matrix(rows, inner, nnz), strict=True))
    arrays["values"] = floats(nnz, seed=1)
    full = np.zeros((rows, inner), np.float32)
    for row in range(rows):
        for place in range(arrays["pointers"][row], arrays["pointers"][row + 1]):
            full[row, arrays["columns"][place]] += arrays["values"][place]
    return arrays, full


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shares", [1, 2, 3])
@pytest.mark.parametrize("size", [(7, 5, 11), (20, 20, 0), (4, 9, 36), (1, 1, 1)])
def test_sparse_product(form: str, shares: int, size: tuple[int, int, int]) -> None:
    arrays, full = matrix(*size)
    x = floats(size[1], 6)
    got = [
        run(form, KernelStep("spmm", (*MATRIX, "x"), "y", part=part, parts=shares), {**arrays, "x": x})
        for part in range(shares)
    ]
    np.testing.assert_allclose(np.concatenate(got), full @ x, rtol=1e-5, atol=1e-5)
    assert [len(one) for one in got] == [
        end - start for start, end in (share(size[0], n, shares) for n in range(shares))
    ]


@pytest.mark.parametrize("form", FORMS)
def test_dense_product(form: str) -> None:
    x, weights = floats(30, 17), floats(17, 9, seed=2)
    got = run(form, KernelStep("gemm", ("x",), "y", weights="w"), {"x": x}, {"w": weights})
    np.testing.assert_allclose(got, x @ weights, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("length", "window", "heads"), [(1, 0, 1), (10, 3, 2), (150, 20, 1), (150, 200, 4), (65, 64, 2)]
)
def test_windowed_attention(form: str, length: int, window: int, heads: int) -> None:
    x, size = floats(length, 3 * heads * 4), 4
    queries, keys, values = (
        part.reshape(length, heads, size) for part in np.split(x.astype(np.float64), 3, axis=1)
    )
    wanted = np.empty((length, heads, size))
    for head in range(heads):
        for place in range(length):
            seen = slice(max(0, place - window), place + window + 1)
            weights = np.exp(keys[seen, head] @ queries[place, head] / size**0.5)
            wanted[place, head] = weights @ values[seen, head] / weights.sum()
    step = KernelStep("attention", ("x",), "y", window=window, heads=heads)
    np.testing.assert_allclose(run(form, step, {"x": x}), wanted.reshape(length, -1), rtol=1e-4, atol=1e-5)
    halves = [
        run(form, KernelStep("attention", ("x",), "y", window=window, heads=heads, part=n, parts=2), {"x": x})
        for n in range(2)
    ]
    np.testing.assert_allclose(np.concatenate(halves), wanted.reshape(length, -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "damage",
    [
        {"pointers": [0, 2, 1, 3]}, {"pointers": [1, 2, 2, 3]}, {"pointers": [0, 1, 2, 9]}, {"columns": [0, 1, 3]},
        {"columns": [0, -1, 2]}, {"pointers": []},
    ],
    ids=["falls", "starts late", "beyond", "column", "negative", "empty"],
)  # fmt: skip
@pytest.mark.parametrize("form", FORMS)
def test_refuses_what_is_no_sparse_matrix(form: str, damage: dict[str, list[int]]) -> None:
    """The compiled kernel would read beside its arrays."""
    arrays = {"pointers": [0, 1, 2, 3], "columns": [0, 1, 2], "values": [1, 1, 1]} | damage
    inputs = {
        name: np.array(values, np.float32 if name == "values" else np.int32) for name, values in arrays.items()
    }
    with pytest.raises(InputError, match="not a sparse matrix"):
        run(form, KernelStep("spmm", (*MATRIX, "x"), "y"), {**inputs, "x": floats(3, 2)})


def test_zeros_are_an_empty_matrix() -> None:
    """As a worker warms up with."""
    zeros = {"pointers": np.zeros(4, np.int32), "columns": np.zeros(9, np.int32), "values": np.zeros(9, np.float32)}
    for form in FORMS:
        assert not run(form, KernelStep("spmm", (*MATRIX, "x"), "y"), {**zeros, "x": floats(3, 2)}).any()


def loaded(folder: Path, steps: tuple[KernelStep, ...], weights: Array | None) -> Any:
    codec.save(KernelFile(steps), folder / "s.json")
    files = ["s.json"]
    if weights is not None:
        np.save(folder / "w.npy", weights)
        files.append("w.npy")
    segment = Segment("s", "a/cpu", ("x",), ("y",), "kernels", files=tuple(files))
    specs = {"x": TensorSpec("float32", ("n", 4)), "y": TensorSpec("float32", ("n", 3))}
    program = Program("test", ("a/cpu",), (), (), (), 1, specs, sizes={"n": 10})
    return catalog.make("engines", "kernels:form=dense").load(program, segment, folder, 1)


def test_loads_what_was_written(tmp_path: Path) -> None:
    weights = floats(4, 3)
    steps = (KernelStep("gemm", ("x",), "h", weights="w.npy"), KernelStep("relu", ("h",), "y"))
    session, x = loaded(tmp_path, steps, weights), floats(5, 4)
    into = np.empty((5, 3), np.float32)
    assert session.run({"x": x}, {"y": into})["y"] is into
    np.testing.assert_array_equal(into, np.maximum(x @ weights, 0))


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((KernelStep("gemm", ("x",), "y", weights="other.npy"),), "a file it was not given"),
        ((KernelStep("relu", ("h",), "y"),), "reads 'h', which is not there"),
        ((KernelStep("relu", ("x",), "h"),), "no step gives 'y'"),
        ((KernelStep("spmm", ("x",), "y"),), "wrong number of values"),
        ((KernelStep("concat", (), "y"),), "wrong number of values"),
        ((KernelStep("rows", ("x",), "y", part=2, parts=2),), "makes no sense"),
    ],
)
def test_refuses_steps_that_do_not_fit(tmp_path: Path, steps: tuple[KernelStep, ...], said: str) -> None:
    with pytest.raises(ModelError, match=rf"segment 's' \(kernels\).*{said}"):
        loaded(tmp_path, steps, floats(4, 3))


@pytest.mark.parametrize("damage", ["object", "cut", "text", "double"])
def test_refuses_weights_that_are_none(tmp_path: Path, damage: str) -> None:
    steps = (KernelStep("gemm", ("x",), "y", weights="w.npy"),)
    loaded(tmp_path, steps, floats(4, 3))
    path = tmp_path / "w.npy"
    if damage == "object":
        np.save(path, np.array([{}, {}], dtype=object))
    elif damage == "double":
        np.save(path, np.zeros((4, 3)))
    else:
        path.write_bytes(path.read_bytes()[:-20] if damage == "cut" else b"not an array")
    segment = Segment("s", "a/cpu", ("x",), ("y",), "kernels", files=("s.json", "w.npy"))
    with pytest.raises(ModelError, match=r"segment 's' \(kernels\)"):
        catalog.make("engines", "kernels").load(Program("t", (), (), (), (), 1, {}), segment, tmp_path, 1)


def test_refuses_ops_of_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="chains of kernels"):
        catalog.make("engines", "kernels").write(None, ("conv",), tmp_path, "s")
