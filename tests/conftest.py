"""For every test: a cache folder of its own, also of the processes it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# Another test may hold the core: pytest-timeout stops what hangs, and no example is judged by its time.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SHOAL_CACHE", str(folder))
    return folder
