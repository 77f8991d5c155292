"""Fleets with real certificates, their hubs, and files to fetch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shoal.agent import fleets, way
from shoal.agent.house import FleetGate
from shoal.agent.hub import Hub
from shoal.agent.shelf import Shelf
from shoal.agent.source import Source
from shoal.identity import Authority, Identity, load

Parts = dict[str, tuple[str, int]]


def device(fleet: Authority, name: str, place: Path) -> Identity:
    """A device's identity, made without a hub."""
    return fleet.identity(place / fleet.fleet / name, name, "device")


@contextmanager
def opened(fleet: Authority, offered: Path) -> Iterator[Hub]:
    """The fleet's hub for files, without a control plane."""
    identity = load(fleet.folder / fleets.COORDINATOR)
    hub = Hub("127.0.0.1:0", FleetGate(fleet, identity, 1), Shelf(offered))
    try:
        yield hub
    finally:
        hub.close()


def address(hub: Hub) -> str:
    return f"https://127.0.0.1:{hub.port}"


def source(port: int, identity: Identity) -> Source:
    return Source(way.known(f"https://127.0.0.1:{port}", identity))


def content(name: str, size: int) -> bytes:
    """Bytes that differ from name to name."""
    return (hashlib.sha256(name.encode()).digest() * (size // 32 + 1))[:size]


def files(folder: Path, sizes: dict[str, int]) -> tuple[Parts, dict[str, Path]]:
    """Files of these sizes, as a Deploy names them and as a hub offers them."""
    folder.mkdir(exist_ok=True)
    parts, paths = {}, {}
    for name, size in sizes.items():
        (folder / name).write_bytes(content(name, size))
        sha256 = hashlib.sha256(content(name, size)).hexdigest()
        parts[name], paths[sha256] = (sha256, size), folder / name
    return parts, paths
