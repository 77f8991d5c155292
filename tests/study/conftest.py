"""A family of one study."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.study.toys import GRAHAM, install


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    yield install(monkeypatch, tmp_path, graham=GRAHAM)
    sys.modules.pop("shoal.study.graham", None)
