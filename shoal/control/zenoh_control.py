"""A coordinator's end of the control plane over Zenoh."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from shoal.control.contract import Control
from shoal.control.faults import check_there, late, left
from shoal.control.judge import SILENT, Judgement, judge
from shoal.control.messages import check_size, granted, pack_request, read, unpack_reply
from shoal.control.register import Register
from shoal.control.values import Reply, Request, Sighting, Vitals
from shoal.control.zenoh_config import address, client_config, close_session, open_session
from shoal.control.zenoh_keys import Keys, name_and_boot
from shoal.control.zenoh_meeting import check_role, hub_name, plain
from shoal.control.zenoh_rules import coordinator_rules
from shoal.errors import InputError, WireError
from shoal.identity import Identity, Party

if TYPE_CHECKING:
    import zenoh

LOG = logging.getLogger("shoal.control")
GREET_S = 2.0  # for a device that came to say what it is
PATIENCE_S = 1.5  # for an earlier start of a device to be known as gone
GREETERS = 4


def open_control(identity: Identity | None, hub: str, name: str = "control") -> Control:
    """The end of another coordinator, connected with the hub at "tls/HOST:PORT".

    Who is there already is seen within a moment.

    Raises:
        InputError: the address is wrong.
        WireError: it is no coordinator's identity, no hub of this fleet answers, or it does not want us.
    """
    at = address(hub, identity is not None)
    me = check_role(identity, "coordinator") if identity else plain(name, "coordinator")
    rules = coordinator_rules(me.fleet, hub_name(identity, at)) if identity else None
    return ZenohControl(me, open_session(client_config(at, identity, rules), str(at)))


class ZenohControl:
    """A coordinator's end."""

    def __init__(self, me: Party, session: zenoh.Session) -> None:
        self._me, self._session = me, session
        self._register = Register()
        self._greeters = ThreadPoolExecutor(GREETERS, "greeter")
        self._entities: list[Any] = []
        self._listen()

    def sightings(self) -> Mapping[str, Sighting]:
        """All devices that were ever seen in this session, by name."""
        return self._register.sightings()

    def watch(self, changed: Callable[[Sighting], None]) -> None:
        """Call `changed` with every change from now on. See `Control`."""
        self._register.watch(changed)

    def ask(self, device: str, request: Request, timeout_s: float) -> Reply:
        """Ask a device and wait for its reply. See `Control`."""
        check_there(device, self.sightings().get(device))
        keys = Keys(self._me.fleet, device, self._register.holder(device))
        data = self._get(keys.do, pack_request(request), timeout_s, device)
        try:
            return granted(unpack_reply(data, device), device)
        except InputError as fault:
            raise WireError(f"its reply cannot be read: {fault.message}") from fault

    def close(self) -> None:
        """End the session."""
        self._register.close()
        close_session(self._session)
        self._greeters.shutdown(cancel_futures=True)

    def _listen(self) -> None:
        session, anyone = self._session, Keys(self._me.fleet)
        self._entities = [
            session.declare_subscriber(anyone.announcement, self._announced),
            session.declare_subscriber(anyone.vitals, self._told),
            session.liveliness().declare_subscriber(anyone.alive, partial(self._alive, session), history=True),
        ]

    def _alive(self, session: zenoh.Session, sample: zenoh.Sample) -> None:
        from zenoh import SampleKind

        if session is not self._session:
            return  # one that was closed
        name, boot = name_and_boot(str(sample.key_expr))
        if sample.kind == SampleKind.DELETE:
            self._register.went(name, boot)
        elif self._register.came(name, boot):
            self._greeters.submit(self._greet, name, boot)

    def _greet(self, name: str, boot: str) -> None:
        """Find out what the device is that came."""
        if not self._register.claim(name, boot, PATIENCE_S):
            if self._register.there(name, boot):
                self._dismiss_second(name, boot)
            return
        keys = Keys(self._me.fleet, name, boot)
        try:
            judgement = judge(name, self._get(keys.announcement, b"", GREET_S, name))
        except WireError as fault:
            LOG.warning("%s came, but: %s", name, fault.message)
            judgement = SILENT
        self._conclude(name, boot, judgement)

    def _conclude(self, name: str, boot: str, judgement: Judgement) -> None:
        self._register.judged(name, boot, judgement)

    def _dismiss_second(self, name: str, boot: str) -> None:
        self._register.second(name)

    def _announced(self, sample: zenoh.Sample) -> None:
        name, boot = name_and_boot(str(sample.key_expr))
        size = len(sample.payload)
        try:
            check_size(size, name)
        except InputError as fault:
            LOG.warning("refused an announcement: %s", fault.message)
            return
        self._conclude(name, boot, judge(name, sample.payload.to_bytes()))

    def _told(self, sample: zenoh.Sample) -> None:
        name, boot = name_and_boot(str(sample.key_expr))
        try:
            check_size(len(sample.payload), name)
            vitals = read(Vitals, sample.payload.to_bytes(), name)
        except InputError as fault:
            LOG.warning("refused vitals: %s", fault.message)
            return
        self._register.told(name, boot, vitals)

    def _get(self, key: str, payload: bytes, timeout_s: float, device: str) -> bytes:
        """The first answer at `key`.

        Raises:
            WireError: none in time, the device left meanwhile, or its answer is too large.
        """
        import zenoh

        asked_s = time.monotonic()
        try:
            replies = list(self._session.get(key, payload=payload, timeout=timeout_s))
        except zenoh.ZError as fault:
            raise WireError(f"cannot ask: {fault}", where=device) from fault
        for reply in replies:
            if reply.ok is None:
                raise late(device, timeout_s)
            try:
                check_size(len(reply.ok.payload), device)
            except InputError as fault:
                raise WireError(fault.message) from fault
            return reply.ok.payload.to_bytes()
        if (
            time.monotonic() - asked_s >= timeout_s
        ):  # the hub's clock rang first; rules of access keep its word back
            raise late(device, timeout_s)
        raise left(device)
