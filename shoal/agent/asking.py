"""How a coordinator asks a device for a worker: the bundle is offered by hash, and the request signed."""

from __future__ import annotations

from pathlib import Path

from shoal import cache, codec
from shoal.agent.shelf import Parts, Shelf
from shoal.control.values import Deploy
from shoal.identity import Identity, signing
from shoal.program import bundle as bundles
from shoal.program.bundle import MANIFEST_FILE, PROGRAM_FILE


def offers() -> Shelf:
    """What this machine's hub gives out. Any process of its user may add to it."""
    return Shelf(cache.folder("offered"))


def deploy(identity: Identity, folder: Path, source: str = "", shelf: Shelf | None = None) -> Deploy:
    """The request for a worker with the bundle in `folder`, whose files are offered from now on.

    Args:
        identity: the coordinator's.
        folder: of the bundle; its files are linked, and may go.
        source: where devices fetch from, "https://host:port"; none: the hub that each knows.
        shelf: where to offer; none: what this machine's hub gives out.

    Raises:
        InputError: it is no bundle, or cannot be read.
    """
    bundle, parts = bundles.read(folder), bundle_parts(folder)
    for name, (sha256, _) in parts.items():
        (shelf or offers()).put(sha256, folder / name)
    signature = signing.sign(identity, codec.encode(parts))
    signer = identity.paths.certificate.read_text()
    return Deploy(bundle.manifest.unit, bundle.program.epoch, parts, source, signature, signer)


def bundle_parts(folder: Path) -> Parts:
    """The files of the bundle in `folder`, as a Deploy names them.

    Raises:
        InputError: it is no bundle.
    """
    bundle = bundles.read(folder)
    own = {name: bundles.mark(folder / name) for name in (PROGRAM_FILE, MANIFEST_FILE)}
    marks = dict(bundle.manifest.files) | own
    return {name: (mark.sha256, mark.bytes) for name, mark in sorted(marks.items())}
