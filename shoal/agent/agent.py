"""The agent of a device: joins its fleet, says how it is, and does what the coordinator asks, until it is stopped."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from shoal import codec
from shoal.agent import joining, way
from shoal.agent.crew import Crew
from shoal.agent.joining import Hello
from shoal.agent.membership import Member, member
from shoal.agent.orders import Orders
from shoal.agent.probing import described
from shoal.agent.room import Room
from shoal.agent.shelf import Shelf
from shoal.agent.source import Source
from shoal.agent.vitals import vitals
from shoal.control import Announcement, Deploy, Desk, open_desk
from shoal.errors import ShoalError, WireError
from shoal.fleet import Device
from shoal.identity import read_revoked, signing, write_revoked
from shoal.program.values import PROTOCOL

LOG = logging.getLogger(__name__)
TELL_S = 1.0
RETRY_S = 1.0  # while the hub does not answer
ADMISSIONS = 2  # tries: a hub takes a moment to hear of an invitation
GREET_S = 10.0  # between two looks at who was revoked
OVER = "tcp:identity={folder},beat_s={beat_s:g},wait_s={wait_s:g}"
BEAT_S = 0.3  # as the coordinator has it
WAIT_S = 600.0  # for a worker's coordinator to connect; then it ends, so that what was forgotten does not stay


@dataclass(frozen=True)
class Wishes:
    """What the user said."""

    identity: Path
    host: str = ""  # where others reach this device; none: where the hub sees it
    memory_limit_bytes: int | None = None


class Agent:
    """A device while it is in its fleet."""

    def __init__(self, wishes: Wishes) -> None:
        """Know who and what this device is.

        Raises:
            ShoalError: its identity is not good, or it cannot be probed.
        """
        self._wishes = wishes
        self._member: Member = member(wishes.identity)
        self._way = way.known(self._member.home.address, self._member.identity)
        self._device: Device = described(self._member.identity.party.name, wishes.memory_limit_bytes)
        self._boot = secrets.token_hex(8)
        self._greeted_s = 0.0
        self._complained = False

    def run(self, stop: threading.Event) -> None:
        """Be there until `stop`; then the workers end.

        Raises:
            ShoalError: the hub refuses this device, or its clock is off.
        """
        greeting = self._greeting(stop)
        if greeting is None:
            return
        host = self._wishes.host or greeting.host
        room, crew = Room(), Crew(self._over(), host, self._device.memory_limit_bytes)
        orders = Orders(self._device, Shelf(), room, crew, self._trust, self._source)
        desk = None
        try:
            desk = self._open(greeting, orders, host, stop)
            while desk is not None and not stop.is_set():
                self._beat(desk, crew, stop)
        finally:
            if desk is not None:
                desk.close()
            crew.close()
            room.close()
            LOG.info("left")

    def _greeting(self, stop: threading.Event) -> Hello | None:
        """The hub's greeting, waited for; None: stopped meanwhile."""
        told = False
        while not stop.is_set():
            try:
                return self._greet()
            except joining.Unreachable as fault:
                if not told:
                    LOG.warning("%s; trying again", fault.message)
                told = True
                stop.wait(RETRY_S)
        return None

    def _greet(self) -> Hello:
        self._greeted_s = time.monotonic()
        hello = joining.hello(self._way)
        if hello.protocol != PROTOCOL:
            raise WireError(
                "the hub is of another version of shoal", where=self._way.address,
                needed=f"protocol {PROTOCOL}", had=f"{hello.protocol} (shoal {hello.version})",
                hint="update the older of the two",
            )  # fmt: skip
        revoked = self._member.identity.paths.revoked
        if read_revoked(revoked) != frozenset(hello.revoked):
            write_revoked(hello.revoked, revoked)
        return hello

    def _open(self, greeting: Hello, orders: Orders, host: str, stop: threading.Event) -> Desk | None:
        """A desk that is announced, waited for; None: stopped meanwhile."""
        link = joining.link(self._way)
        announcement = Announcement(self._device, host, self._boot, link, joined_s=time.time())
        at = f"tls/{_bracketed(self._way.host)}:{greeting.control_port}"
        for last in (False,) * (ADMISSIONS - 1) + (True,):
            try:
                return self._announced(open_desk(self._member.identity, at), announcement, orders)
            except WireError as fault:
                if last:
                    raise
                LOG.info("%s; trying again", fault.message)
            if stop.wait(RETRY_S):
                break
        return None

    def _announced(self, desk: Desk, announcement: Announcement, orders: Orders) -> Desk:
        try:
            desk.answer(orders.answer)
            desk.announce(announcement)
        except ShoalError:
            desk.close()
            raise
        party = self._member.identity.party
        LOG.info("%s is in fleet %s; its workers listen at %s", party.name, party.fleet, announcement.host)
        self._announcement = announcement
        return desk

    def _beat(self, desk: Desk, crew: Crew, stop: threading.Event) -> None:
        """What is done every second."""
        began_s = time.monotonic()
        crew.reap()
        try:
            desk.tell(vitals(crew.vitals()))
            self._complained = False
        except WireError as fault:
            self._complain(fault)
            self._return(desk)
        if time.monotonic() - self._greeted_s > GREET_S:
            try:
                self._greet()
            except joining.Unreachable as fault:
                self._complain(fault)
        stop.wait(max(0.0, began_s + TELL_S - time.monotonic()))

    def _return(self, desk: Desk) -> None:
        """Offer ourselves again to a hub that did not want us: it may have been opened anew."""
        try:
            desk.announce(self._announcement)
        except WireError as fault:
            self._complain(fault)

    def _complain(self, fault: WireError) -> None:
        """Once, not every second."""
        if not self._complained:
            LOG.warning("%s; workers go on", fault.message)
        self._complained = True

    def _over(self) -> str:
        return OVER.format(folder=self._member.identity.folder, beat_s=BEAT_S, wait_s=WAIT_S)

    def _trust(self, request: Deploy) -> None:
        """Refuse what our fleet's coordinator did not sign.

        Raises:
            WireError: it did not.
        """
        paths = self._member.identity.paths
        signed = codec.encode(request.parts)
        revoked = read_revoked(paths.revoked)
        signing.verify(paths.authority.read_bytes(), request.signer.encode(), signed, request.signature, revoked)

    def _source(self, address: str) -> Source:
        """The hub at `address`; none given: the one we know."""
        return Source(way.known(address, self._member.identity) if address else self._way)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
