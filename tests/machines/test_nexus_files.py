"""Files of Matrix Market: what is read from them, and what is refused before memory is taken."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.machines.nexus import matrix_market

HEAD = "%%MatrixMarket matrix "


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.mtx"
    path.write_text(HEAD + text)
    return path


@pytest.mark.parametrize(
    ("text", "dense"),
    [
        ("coordinate real general\n2 3 2\n1 1 2.5\n2 3 -1\n", [[2.5, 0, 0], [0, 0, -1]]),
        ("coordinate pattern symmetric\n3 3 2\n2 1\n3 3\n", [[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
        ("coordinate integer skew-symmetric\n2 2 1\n2 1 4\n", [[0, -4], [4, 0]]),
        ("coordinate integer general\n2 2 3\n1 2 4\n1 2 3\n2 2 0\n", [[0, 7], [0, 0]]),
        ("array real general\n2 2\n1\n0\n2\n3\n", [[1, 2], [0, 3]]),
    ],
    ids=["real", "places alone", "half of it", "one place twice", "dense"],
)
def test_what_is_read(tmp_path: Path, text: str, dense: list[list[float]]) -> None:
    found = matrix_market(written(tmp_path, text))
    np.testing.assert_array_equal(found.dense(), dense)
    assert found.count == np.count_nonzero(dense)


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mtx.gz"
    path.write_bytes(gzip.compress(f"{HEAD}coordinate real general\n1 1 1\n1 1 3\n".encode()))
    assert matrix_market(path).value.tolist() == [3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("coordinate complex general\n1 1 1\n1 1 2 3\n", "complex numbers.*needed real"),
        ("coordinate real general\n9 9 999999999\n1 1 2\n", "more entries than are read.*had 999999999"),
        ("coordinate real general\n9000000 9 1\n1 1 2\n", "had 9000000×9"),
        ("coordinate real general\n0 0 0\n", "had 0×0"),
        ("coordinate real general\n2 2 1\n1 1 nan\n", "no numbers"),
        ("coordinate real general\n2 2 1\n1 1 0\n", "zeros alone"),
        ("coordinate real general\n2 2 2\n1 1 1\n", "no readable file.*Truncated"),
        ("coordinate real general\n2 2 1\n3 1 1\n", "no readable file.*out of bounds"),
        ("coordinate integer general\n2 2 1\n1 1 99999999999999999999\n", "no readable file.*out of range"),
        ("coordinate odd general\n2 2 1\n", "no readable file"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        matrix_market(path)
    assert caught.value.where == str(path)


def test_a_file_that_is_none_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "b.mtx").write_bytes(b"\x00\xff\x1f\x8b")
    (tmp_path / "c.mtx.gz").write_bytes(b"\x1f\x8bnothing")
    for name in ("missing.mtx", "b.mtx", "c.mtx.gz", "."):
        with pytest.raises(InputError, match="no readable file") as caught:
            matrix_market(tmp_path / name)
        assert caught.value.hint is not None
        assert "MatrixMarket" in caught.value.hint
