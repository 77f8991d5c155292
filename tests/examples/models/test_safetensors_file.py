"""The safetensors reader on files written here byte by byte."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.models import safetensors_file
from shoal.errors import ModelError

WEIGHT = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
STEPS = {"dtype": "I64", "shape": [2], "data_offsets": [24, 40]}
DATA = np.arange(6, dtype="<f4").tobytes() + np.array([7, 8], "<i8").tobytes()


def written(folder: Path, header: dict[str, Any], data: bytes = DATA) -> Path:
    text = json.dumps(header).encode()
    path = folder / "weights.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_tensors_come_back(tmp_path: Path) -> None:
    path = written(tmp_path, {"__metadata__": {"format": "pt"}, "weight": WEIGHT, "steps": STEPS})
    state = safetensors_file.read(path)
    np.testing.assert_array_equal(state["weight"], np.arange(6, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(state["steps"], [7, 8])


@pytest.mark.parametrize(
    "entry",
    [
        WEIGHT | {"dtype": "Q9"},
        WEIGHT | {"shape": [2, 4]},
        WEIGHT | {"shape": [-2, -3]},
        WEIGHT | {"shape": [2.0, 3]},
        WEIGHT | {"data_offsets": [24, 0]},
        WEIGHT | {"shape": [2**40], "data_offsets": [0, 2**42]},
        WEIGHT | {"data_offsets": [0]},
        {"dtype": "F32"},
        "weight",
    ],
)
def test_a_header_that_contradicts_itself_or_the_file_is_refused(tmp_path: Path, entry: Any) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        safetensors_file.read(written(tmp_path, {"weight": entry, "steps": STEPS}))


def test_unclaimed_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="do not fill"):
        safetensors_file.read(written(tmp_path, {"weight": WEIGHT}))


def test_every_shortened_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"weight": WEIGHT, "steps": STEPS})
    data = path.read_bytes()
    for end in range(len(data)):
        path.write_bytes(data[:end])
        with pytest.raises(ModelError):
            safetensors_file.read(path)


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.safetensors"):
        safetensors_file.read(tmp_path / "none.safetensors")
