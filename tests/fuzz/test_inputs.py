"""Arrays given by users (.npy, .npz), and the samples of a packed plan."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.program import TensorSpec
from shoal.run.pack import read_samples
from shoal.run.samples import read
from tests.fuzz.mutations import damaged, fuzzed, survives

SPECS = {"x": TensorSpec("float32", (1, 3)), "y": TensorSpec("int64", (2,))}
X, Y = np.ones((4, 1, 3), np.float32), np.ones((4, 2), np.int64)


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _npz(packed: bool = False, **arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(file, **arrays)
    return file.getvalue()


def _lying(shape: str, descr: str = "'<f4'") -> bytes:
    """An .npy file whose header says what its data does not hold."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 64


def _bomb() -> bytes:
    """A small .npz whose array unpacks to 8 GiB of nothing."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as whole:
        whole.writestr("x.npy", _lying("(2147483648,)") + bytes(1 << 20))
    return file.getvalue()


FILES = (_npy(X), _npz(x=X, y=Y), _npz(packed=True, x=X, y=Y), _npz(**{"in:x": X, "out:y": Y}))
LIES = (
    *map(
        _lying, ("(2**40,)", "(1099511627776,)", "(4611686018427387904, 4)", "(-1,)", "(1, 3, 'a')", "()", "None")
    ),
    *(
        _lying("(3,)", descr)
        for descr in ("'|O'", "'<f4294967296'", "[('a', '<f4')]", "'|V9999999999'", "'<U1000000000'")
    ),
    _bomb(),
)


@given(st.sampled_from(FILES).flatmap(damaged) | st.sampled_from(LIES))
@fuzzed(250)
def test_inputs_are_refused_in_words_or_fit(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "inputs.npz"
    path.write_bytes(data)
    for specs in (SPECS, {"x": SPECS["x"]}):
        samples = survives(lambda specs=specs: read(path, specs), "inputs.npz")  # type: ignore[misc]
        assert samples is None or all(set(each) == set(specs) for each in samples.inputs)


@given(st.sampled_from(FILES).flatmap(damaged) | st.sampled_from(LIES))
@fuzzed(150)
def test_packed_samples_are_refused_in_words_or_read(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "samples.npz"
    path.write_bytes(data)
    samples = survives(lambda: read_samples(path), "samples.npz")
    assert samples is None or samples.inputs
