"""A cache folder of its own for every test, and the light models of the onnx package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from shoal.graph import Graph, load

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def light() -> Callable[[str], Graph]:
    return lambda name: load(LIGHT / f"light_{name}.onnx")
