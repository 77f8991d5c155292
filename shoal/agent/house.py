"""A fleet's open hub: its control plane and its files, kept in step with who was invited and who was revoked."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from dataclasses import dataclass
from functools import cached_property

import shoal
from shoal import codec
from shoal.agent import fleets
from shoal.agent.asking import offers
from shoal.agent.hub import Hub
from shoal.agent.joining import Enrolled, Enrolment, Hello
from shoal.control import ZenohHub, members, open_hub
from shoal.errors import InputError, WireError
from shoal.identity import Authority, Identity, check_peer, contexts, invitation, load
from shoal.program.values import PROTOCOL

LOG = logging.getLogger(__name__)
LOOK_S = 1.0


@dataclass(frozen=True)
class FleetGate:
    """Lets the devices of one fleet in."""

    fleet: Authority
    identity: Identity
    control_port: int

    @cached_property
    def context(self) -> ssl.SSLContext:
        """Of the server; asks for a certificate, and takes none too."""
        return contexts.server(self.identity, strangers=True)

    @cached_property
    def authority(self) -> str:
        """The authority's certificate, PEM."""
        return self.fleet.pem.decode()

    def device(self, sock: ssl.SSLSocket) -> str | None:
        """Who the peer is; None: it showed no certificate. See `Gate`."""
        if not sock.getpeercert():
            return None
        party = check_peer(self.identity, sock)
        if party.role != "device":
            raise WireError("files are for devices", where=party.name, had=party.role)
        return party.name

    def enrol(self, asked: Enrolment) -> Enrolled:
        """Let a device in that has an invitation. See `Gate`."""
        invitation.redeem(self.fleet, asked.secret, asked.name)
        return Enrolled(self.fleet.issue(asked.request.encode(), asked.name, "device").decode())

    def hello(self, host: str) -> Hello:
        """What a device that is seen at `host` is told."""
        revoked = tuple(sorted(self.fleet.revoked()))
        return Hello(host, time.time(), shoal.__version__, PROTOCOL, self.control_port, revoked)


class House:
    """An open hub, until `close`."""

    def __init__(self, fleet: Authority, listen: str) -> None:
        """Open at "host:port" for files, and the next port for the control plane; port 0 takes free ones.

        Raises:
            InputError: not an address.
            WireError: it cannot listen there.
        """
        host, port = _split(listen)
        identity = load(fleet.folder / fleets.COORDINATOR)
        self._fleet, self._certified = fleet, members(fleet)
        shelf = offers()
        shelf.trim()
        wanted = fleets.members(fleet)
        self._admitted = set(wanted)
        shown = f"[{host}]" if ":" in host else host
        control_at = f"tls/{shown}:{port + 1 if port else 0}"
        self.control: ZenohHub = open_hub(identity, wanted, control_at)
        try:
            control_port = int(self.control.address.rpartition(":")[2])
            self.files = Hub(listen, FleetGate(fleet, identity, control_port), shelf)
        except (InputError, WireError):
            self.control.close()
            raise
        self.note = fleets.HubNote(f"tls/{_here(host)}:{control_port}", f"{_outside(host)}:{self.files.port}")
        codec.save(self.note, fleet.folder / fleets.NOTE_FILE)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="members", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End hub and control plane; workers on devices go on."""
        self._stop.set()
        self._thread.join()
        self.files.close()
        self.control.close()

    def _follow(self) -> None:
        """Other processes invite and revoke; here it takes effect.

        Every change disturbs the control plane for a second, so an invitation that runs out makes none.
        """
        while not self._stop.wait(LOOK_S):
            certified, wanted = members(self._fleet), fleets.members(self._fleet)
            gone, self._certified = self._certified.keys() - certified.keys(), certified
            for name in sorted(gone):
                LOG.warning("%s was revoked", name)
            self._admitted -= gone
            self.control.exclude(gone)
            if wanted.keys() - self._admitted:
                self._admitted |= wanted.keys()
                self.control.admit(wanted)


def _split(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 0xFFFE:
        raise InputError(f"'{listen}' is not an address", hint="write it host:port")
    return host.strip("[]"), int(port)


def _here(host: str) -> str:
    """How this machine reaches a server of its own at `host`."""
    own = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{own}]" if ":" in own else own


def _outside(host: str) -> str:
    """How devices probably reach it."""
    own = fleets.own_host() if host in ("0.0.0.0", "", "::") else host
    return f"[{own}]" if ":" in own else own
