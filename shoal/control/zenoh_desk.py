"""A device's end of the control plane over Zenoh."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from shoal import codec
from shoal.control.contract import Desk
from shoal.control.handling import Handler, Handling
from shoal.control.judge import CLOCK_OFF_S, in_words
from shoal.control.messages import MAX_BYTES, Verdict, check_size, read
from shoal.control.values import Announcement, Vitals
from shoal.control.zenoh_config import address, client_config, close_session, open_session
from shoal.control.zenoh_keys import Keys
from shoal.control.zenoh_meeting import check_role, hub_name, plain
from shoal.control.zenoh_rules import device_rules
from shoal.errors import InputError, WireError
from shoal.identity import Identity, Party, check_name

if TYPE_CHECKING:
    import zenoh

LOG = logging.getLogger("shoal.control")
WELCOME_S = 6.0  # for the hub to say whether we may stay


def open_desk(identity: Identity | None, hub: str, name: str = "") -> Desk:
    """A device's end, connected with the hub at "tls/HOST:PORT"; it connects again by itself when the hub was away.

    Args:
        identity: the device's; None for a hub on this machine without certificates.
        hub: where the hub is.
        name: the device's, if there is no certificate to say it.

    Raises:
        InputError: the address or the name is wrong.
        WireError: it is no device's identity, no hub of this fleet answers, or it does not want us.
    """
    at = address(hub, identity is not None)
    me = check_role(identity, "device") if identity else plain(name, "device")
    rules = device_rules(me.fleet, me.name, hub_name(identity, at)) if identity else None
    return ZenohDesk(me, open_session(client_config(at, identity, rules), str(at)))


class ZenohDesk:
    """A device's end."""

    def __init__(self, me: Party, session: zenoh.Session) -> None:
        self._me, self._session = me, session
        self._handling = Handling(me.name)
        self._lock = threading.Lock()
        self._announcement: Announcement | None = None
        self._keys = Keys(me.fleet, me.name)
        self._entities: list[Any] = []  # what was declared
        self._heard = threading.Condition()
        self._verdict: Verdict | None = None

    def announce(self, announcement: Announcement) -> None:
        """Be there. See `Desk`.

        Raises:
            InputError: it is not of this device, or too large.
            WireError: the hub does not want us and says why: then we are seen, as refused, until `close`, and may
                announce ourselves anew. Or it does not answer: then we are not there.
        """
        check_name(announcement.boot, "start")
        check_size(len(codec.encode(announcement)), self._me.name)
        with self._lock:
            before, self._announcement = self._announcement, announcement
            if before is not None and before.boot == announcement.boot and not self._refused:
                self._put(self._keys.announcement, codec.encode(announcement), must_arrive=True)
                return
            self._withdraw()
            self._keys = Keys(self._me.fleet, self._me.name, announcement.boot)
            self._declare()
            if not self._welcomed():
                self._announcement = None
                self._withdraw()
                raise WireError(
                    f"the hub does not answer '{self._me.name}'",
                    needed=f"an answer within {WELCOME_S:g} s",
                    hint="was this device invited to this fleet, and not removed since?",
                )
            self._check_welcome()

    def tell(self, vitals: Vitals) -> None:
        """Say how the device is; lost while the hub is away or the line is full.

        Raises:
            WireError: the hub came to refuse us.
        """
        self._check_welcome()
        self._put(self._keys.vitals, codec.encode(vitals))

    def answer(self, handler: Handler) -> None:
        """Let `handler` answer requests. See `Desk`."""
        self._handling.handler = handler

    def close(self) -> None:
        """Be gone."""
        with self._lock:
            self._withdraw()
        self._handling.close()
        close_session(self._session)

    def _declare(self) -> None:
        """Be there for all to see; the token last, for then they ask."""
        session, keys = self._session, self._keys
        self._verdict = None
        self._entities = [
            session.declare_queryable(keys.announcement, self._say),
            session.declare_queryable(keys.verdict, self._hear),
            session.declare_queryable(keys.do, self._do),
            session.liveliness().declare_token(keys.alive),
        ]

    def _show(self) -> None:
        """Declare the token again: after a connection broke, the end of the old one may have taken it away."""
        with self._lock:
            if not self._entities or self._refused:
                return
            LOG.info("%s is not seen; shows itself again", self._me.name)
            self._entities.pop().undeclare()
            self._entities.append(self._session.liveliness().declare_token(self._keys.alive))

    def _withdraw(self) -> None:
        while self._entities:
            self._entities.pop().undeclare()

    def _welcomed(self) -> bool:
        """Whether the hub said something in time."""
        with self._heard:
            return self._heard.wait_for(lambda: self._verdict is not None, WELCOME_S)

    @property
    def _refused(self) -> str:
        verdict = self._verdict
        return verdict.refused if verdict else ""

    def _check_welcome(self) -> None:
        if self._refused:
            raise WireError(f"the hub refused this device: {self._refused}", where=self._me.name)

    def _put(self, key: str, data: bytes, *, must_arrive: bool = False) -> None:
        """Tell the hub; what need not arrive is dropped where the line is full: it is said again before long."""
        from zenoh import CongestionControl, ZError

        when_full = CongestionControl.BLOCK if must_arrive else CongestionControl.DROP
        try:
            self._session.put(key, data, congestion_control=when_full)
        except ZError as fault:
            raise WireError(f"cannot tell the hub: {fault}", where=self._me.name) from fault

    def _say(self, query: zenoh.Query) -> None:
        announcement = self._announcement
        if announcement is not None:
            _reply(query, self._keys.announcement, codec.encode(announcement))

    def _hear(self, query: zenoh.Query) -> None:
        try:
            verdict = read(Verdict, _payload(query), "the hub's verdict")
        except InputError as fault:
            LOG.warning("%s", fault.message)
            return
        if verdict.refused:
            LOG.error("%s: the hub refused this device: %s", self._me.name, verdict.refused)
        _compare_clocks(verdict)
        with self._heard:
            self._verdict = verdict
            self._heard.notify_all()
        _reply(query, self._keys.verdict, b"")
        if verdict.unseen:
            threading.Thread(target=self._show, name="show", daemon=True).start()

    def _do(self, query: zenoh.Query) -> None:
        key = self._keys.do
        self._handling.take(_payload(query), lambda data: _reply(query, key, data), query.drop)


def _reply(query: zenoh.Query, key: str, data: bytes) -> None:
    import zenoh

    try:
        query.reply(key, data)
    except zenoh.ZError as fault:
        LOG.info("an answer went nowhere: %s", fault)


def _payload(query: zenoh.Query) -> bytes:
    """What was sent along; one byte too many of what is too large, for the size is looked at before the content."""
    payload = query.payload
    if payload is None:
        return b""
    return payload.to_bytes() if len(payload) <= MAX_BYTES else bytes(MAX_BYTES + 1)


def _compare_clocks(verdict: Verdict) -> None:
    off_s = time.time() - verdict.time_s
    if abs(off_s) > CLOCK_OFF_S:
        side = "ahead of" if off_s > 0 else "behind"
        LOG.warning("this device's clock is %s %s the hub's", in_words(abs(off_s)), side)
