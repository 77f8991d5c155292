"""Recorded pages: what does not fit is refused, a file gives back what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.kv import Selections

STREAMING = np.array([[False, True]])


def selections(*pages: int, streaming: object = STREAMING) -> Selections:
    steps = [[[np.array(pages, np.int64), np.zeros(0, np.int64)]]]
    return Selections(16, 40, 1, 2, 8, streaming, steps)  # type: ignore[arg-type]  # what is wrong is tried too


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    selections(0, 2).save(tmp_path / "pages.json")
    found = Selections.load(tmp_path / "pages.json")
    assert (found.page, found.tokens(0), found.pages(0), found.sink) == (16, 41, 3, 64)
    np.testing.assert_array_equal(found.steps[0][0][0], [0, 2])
    np.testing.assert_array_equal(found.streaming, STREAMING)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="a page that is not there"):
        selections(0, 3)
    with pytest.raises(InputError, match="classes that are not of these heads"):
        selections(0, streaming=STREAMING.T)
    with pytest.raises(InputError, match="page 0"):
        Selections(0, 40, 1, 2, 8, STREAMING, [])
