"""Weights of a published language model; the file is looked at only where it was fetched before."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from examples.models import gemma3
from examples.models.packages import cache_folder
from shoal.errors import InputError


@pytest.mark.skipif(find_spec("gguf") is not None, reason="for where what reads the file is missing")
def test_a_missing_reader_is_named() -> None:
    with pytest.raises(InputError, match="gguf") as found:
        gemma3.matrices(1)
    assert found.value.hint == "pip install gguf"


@pytest.mark.skipif(
    find_spec("gguf") is None or not (cache_folder() / "models" / gemma3.NAME).exists(), reason="not fetched here"
)
def test_a_block_has_seven_matrices() -> None:
    shapes = sorted(each.shape for each in gemma3.matrices(1))
    assert shapes == [(256, 640), (256, 640), (640, 1024), (640, 2048), (1024, 640), (2048, 640), (2048, 640)]
