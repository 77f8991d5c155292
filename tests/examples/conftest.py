"""The examples' tests share one cache folder: what they download and build is not made again for each test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One folder for the whole run, its worker processes included; tests of the cache itself set their own."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "examples-cache"
    monkeypatch.setenv("SHOAL_CACHE", str(folder))
    return folder
