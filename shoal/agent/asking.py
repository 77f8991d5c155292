"""How a coordinator asks a device for a worker: the bundle is offered by hash, and the request signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Offer:
    """Files given out by the hub that is open on this machine, whichever process opened it."""

    address: str = ""  # "https://host:port" for devices; none: the hub that each knows
    shelf: Shelf = field(default_factory=offers)

    def give(self, parts: Mapping[str, Path]) -> None:
        """Offer these files, by SHA-256, from now on; they are linked or copied, and may go.

        Raises:
            InputError: one cannot be read.
        """
        for sha256, path in parts.items():
            self.shelf.put(sha256, path)

    def close(self) -> None:
        """Nothing is held: what was offered stays, as on any shelf, until room is needed."""


def deploy(identity: Identity, folder: Path, offer: Offer | None = None) -> Deploy:
    """The request for a worker with the bundle in `folder`, whose files are offered from now on.

    Args:
        identity: the coordinator's.
        folder: of the bundle; its files are linked, and may go.
        offer: where to; none: to this machine's hub.

    Raises:
        InputError: it is no bundle, or cannot be read.
    """
    bundle, parts = bundles.read(folder), bundle_parts(folder)
    given = offer or Offer()
    given.give({sha256: folder / name for name, (sha256, _) in parts.items()})
    signature = signing.sign(identity, codec.encode(parts))
    signer = identity.paths.certificate.read_text()
    return Deploy(bundle.manifest.unit, bundle.program.epoch, parts, given.address, signature, signer)


def bundle_parts(folder: Path) -> Parts:
    """The files of the bundle in `folder`, as a Deploy names them.

    Raises:
        InputError: it is no bundle.
    """
    bundle = bundles.read(folder)
    own = {name: bundles.mark(folder / name) for name in (PROGRAM_FILE, MANIFEST_FILE)}
    marks = dict(bundle.manifest.files) | own
    return {name: (mark.sha256, mark.bytes) for name, mark in sorted(marks.items())}
