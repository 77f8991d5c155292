"""A fleet with its authority, and a clock that can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shoal.identity import Authority, Identity, authority


@pytest.fixture
def fleet(tmp_path: Path) -> Authority:
    return authority.create(tmp_path / "pond", "pond")


@pytest.fixture
def party(fleet: Authority, tmp_path: Path) -> Callable[..., Identity]:
    """Makes an identity of the fleet."""

    def make(name: str = "nano", role: str = "device", **options: float) -> Identity:
        return fleet.identity(tmp_path / f"{role}-{name}", name, role, **options)

    return make


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets this machine's clock, as far as identities ask for it, some hours ahead (below zero: behind)."""

    def ahead(hours: float) -> None:
        monkeypatch.setattr("shoal.identity._x509.now", lambda: datetime.now(UTC) + timedelta(hours=hours))

    return ahead
