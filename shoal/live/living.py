"""The devices of a living fleet as the ground of a service: found by the control plane, sent bundles, asked to work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from shoal import catalog
from shoal.agent.asking import deploy
from shoal.control import Announcement, Control, Deployed, Dismiss, Sighting, Vitals
from shoal.errors import ShoalError, WireError
from shoal.fleet import Fleet, Link
from shoal.identity import Identity
from shoal.plan import Plan
from shoal.program import Gone, Here, Program
from shoal.run.crew import Crew
from shoal.run.deploy import lay_out, manifest_of

SOURCE = "live"  # of a fleet's description
DEPLOY_S = 300.0  # a device may fetch hundreds of megabytes, and optimise them at its first start
DISMISS_S = 5.0
READY_S = 60.0
BEAT_S = 0.3  # a peer that is not heard for three of these is gone


class LivingFleet:
    """A Ground. Devices fetch their bundles from the fleet's hub, which gives out what this machine offers."""

    def __init__(self, control: Control, identity: Identity) -> None:
        self._control, self._identity = control, identity
        self._lock = Lock()
        self._told: dict[str, str] = {}  # device → boot of the agent that was told to be here

    def fleet(self) -> Fleet:
        """Every device that announced itself and can be used, there or not; each pair joined by the slower's link."""
        known = [each for _, each in sorted(self._control.sightings().items())]
        return fleet_of([each.announcement for each in known if each.announcement and not each.refused])

    def present(self) -> frozenset[str]:
        """Those that are there."""
        return frozenset(name for name, each in self._control.sightings().items() if _usable(each))

    def vitals(self) -> Mapping[str, Vitals]:
        """How the devices are, as they told last."""
        return {name: each.vitals for name, each in self._control.sightings().items() if each.vitals}

    def watch(self, told: Callable[[Here | Gone], None]) -> None:
        """Call `told` when a device comes, goes, or begins anew."""

        def changed(sighting: Sighting) -> None:
            for event in self._events(sighting):
                told(event)

        for sighting in self._control.sightings().values():
            if _usable(sighting) and sighting.announcement:
                self._told[sighting.name] = sighting.announcement.boot
        self._control.watch(changed)

    @contextmanager
    def crew(self, plan: Plan, program: Program, folder: Path) -> Iterator[Crew]:
        """A worker on the device of each unit, with its bundle.

        Raises:
            WireError: a device is not there, or does not answer in time.
            WorkError: a worker does not start.
        """
        transport = catalog.make("wire/transports", f"tcp:identity={self._identity.folder},beat_s={BEAT_S}")
        with ExitStack() as stack, TemporaryDirectory(prefix="shoal-") as scratch:
            stack.callback(self._dismiss, program)
            addresses = self._deploy(plan, program, folder, Path(scratch))
            endpoint = transport.client(program, addresses)
            stack.callback(endpoint.close)
            crew = Crew(program, endpoint, patience_s=READY_S)
            crew.wait_ready()
            yield crew

    def _events(self, sighting: Sighting) -> Iterator[Here | Gone]:
        boot = sighting.announcement.boot if sighting.announcement else ""
        with self._lock:
            before = self._told.get(sighting.name)
            if _usable(sighting):
                self._told[sighting.name] = boot
            else:
                self._told.pop(sighting.name, None)
        if before is not None and (not _usable(sighting) or before != boot):
            yield Gone(
                sighting.name, sighting.refused or ("it began anew" if _usable(sighting) else "it is silent")
            )
        if _usable(sighting) and before != boot:
            yield Here(sighting.name)

    def _deploy(self, plan: Plan, program: Program, folder: Path, scratch: Path) -> dict[str, str]:
        with ThreadPoolExecutor(len(program.units)) as pool:
            asked = partial(self._ask, plan, program, folder, scratch)
            return dict(zip(program.units, pool.map(asked, program.units), strict=True))

    def _ask(self, plan: Plan, program: Program, folder: Path, scratch: Path, unit: str) -> str:
        """Have the unit's device start its worker; where that listens."""
        place, device = scratch / unit.replace("/", "-"), plan.fleet.device(unit)
        threads = len(device.cores) if device.cores else plan.fleet.unit(unit).cores
        manifest = manifest_of(program, unit, folder, threads=threads, cores=device.cores or ())
        lay_out(program, manifest, folder, place)
        reply = self._control.ask(device.name, deploy(self._identity, place), DEPLOY_S)
        if not isinstance(reply, Deployed):
            raise WireError(f"answered a request to deploy with {type(reply).__name__}", where=device.name)
        return reply.address

    def _dismiss(self, program: Program) -> None:
        """Have the workers end; those of a device that is gone end by themselves."""
        there = [unit for unit in program.units if unit.partition("/")[0] in self.present()]
        for unit in there:
            try:
                request = Dismiss(unit, program.epoch, program.hash.hex())
                self._control.ask(unit.partition("/")[0], request, DISMISS_S)
            except ShoalError:  # it has just gone, or ends the worker when its connections end
                continue


def fleet_of(announced: Sequence[Announcement]) -> Fleet:
    """The devices that announced themselves.

    A device measured its way to the hub when it joined; two of them are joined at the rate of the slower one, and
    with the longer latency.
    """
    devices = tuple(each.device for each in announced)
    links = tuple(
        _between(one, other)
        for one, other in combinations(announced, 2)
        if one.link is not None and other.link is not None
    )
    return Fleet(devices, links, Link("lan", (), 1.25e7, 1e-3), source=SOURCE)


def _between(one: Announcement, other: Announcement) -> Link:
    assert one.link is not None
    assert other.link is not None
    names = (one.device.name, other.device.name)
    slower = min(one.link, other.link, key=lambda link: link.bandwidth_bytes_per_s)
    latency_s = max(one.link.latency_s, other.link.latency_s)
    return replace(slower, name="-".join(names), members=names, latency_s=latency_s)


def _usable(sighting: Sighting) -> bool:
    return sighting.present and not sighting.refused and sighting.announcement is not None
