"""A fleet of its own for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.agent import fleets
from shoal.agent.hub import Hub
from shoal.identity import Authority, Identity
from tests.agent import parties


@pytest.fixture(autouse=True)
def fleets_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOAL_FLEETS", str(tmp_path / "fleets"))
    return tmp_path / "fleets"


@pytest.fixture
def fleet(fleets_folder: Path) -> Authority:
    return fleets.create("drawer")


@pytest.fixture
def pi(fleet: Authority, tmp_path: Path) -> Identity:
    return parties.device(fleet, "pi", tmp_path)


@pytest.fixture
def hub(fleet: Authority, tmp_path: Path) -> Iterator[Hub]:
    with parties.opened(fleet, tmp_path / "offered") as made:
        yield made
