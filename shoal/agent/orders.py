"""What a device does when its coordinator asks: fetch, check and start; or end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from shoal import program as programs
from shoal.agent.crew import Crew, Key
from shoal.agent.room import Room
from shoal.agent.shelf import Shelf, check
from shoal.agent.source import Source
from shoal.control.values import Deploy, Deployed, Dismiss, Done, Reply, Request
from shoal.errors import InputError, ShoalError
from shoal.fleet import Device
from shoal.program import bundle as bundles
from shoal.program.bundle import MANIFEST_FILE, PROGRAM_FILE, Bundle

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Orders:
    """Answers requests. Safe to use from several threads."""

    device: Device
    shelf: Shelf
    room: Room
    crew: Crew
    trust: Callable[[Deploy], None]  # raises where its signature is not our coordinator's
    source: Callable[[str], Source]  # "https://host:port" → the hub there

    def answer(self, request: Request) -> Reply:
        """Do what is asked.

        Raises:
            ShoalError: it cannot be done; the log says it too.
        """
        try:
            if isinstance(request, Dismiss):
                self.crew.end(Key(request.program_hash, request.epoch, request.unit))
                return Done()
            return self._deploy(request)
        except ShoalError as fault:
            LOG.warning("refused: %s of %s: %s", type(request).__name__, request.unit, fault.message)
            raise

    def _deploy(self, request: Deploy) -> Deployed:
        self._check(request)
        fetched_bytes = self.shelf.fetch(request.parts, lambda: self.source(request.source))
        try:
            bundle = self._lay_out(request)
        except InputError:
            if not self.shelf.discard_damaged(request.parts):
                raise  # the files are those asked for, and no bundle
            fetched_bytes += self.shelf.fetch(request.parts, lambda: self.source(request.source))
            bundle = self._lay_out(request)
        return Deployed(self.crew.start(bundle), fetched_bytes)

    def _check(self, request: Deploy) -> None:
        """Before anything is written: who asks, and whether it is for us."""
        self.trust(request)
        check(request.parts)
        device, _, unit = request.unit.partition("/")
        if device != self.device.name or unit not in {each.name for each in self.device.units}:
            units = ", ".join(f"{self.device.name}/{each.name}" for each in self.device.units)
            raise InputError("this device has no such unit", where=request.unit, had=units)
        for name in (PROGRAM_FILE, MANIFEST_FILE):
            if name not in request.parts:
                raise InputError("a bundle without this file", where=name)

    def _lay_out(self, request: Deploy) -> Bundle:
        """The bundle in a folder of its own, every file read and checked."""
        folder = self.room.make()
        try:
            self.shelf.lay_out(request.parts, folder)
            bundle = bundles.read(folder)
            bundles.verify(bundle)
            _same(request, bundle)
            programs.check(bundle.program)
        except ShoalError:
            self.room.clear(folder)
            raise
        return bundle


def _same(request: Deploy, bundle: Bundle) -> None:
    """The bundle is for what was asked, and only of the files that were signed for."""
    asked, found = (request.unit, request.epoch), (bundle.manifest.unit, bundle.program.epoch)
    if asked != found:
        raise InputError(
            "the bundle is of another unit or epoch", needed="{} of epoch {}".format(*asked),
            had="{} of epoch {}".format(*found),
        )  # fmt: skip
    unknown = bundle.manifest.files.keys() - request.parts.keys()
    if unknown:
        raise InputError("the manifest names files nobody signed for", where=min(unknown))
