"""The hub: the coordinator all others connect to. It admits members, and says to each device whether it may stay."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from shoal import codec
from shoal.control.judge import Judgement
from shoal.control.messages import Verdict
from shoal.control.values import Reply, Request
from shoal.control.zenoh_config import Address, address, close_session, hub_config, open_session, with_port
from shoal.control.zenoh_control import GREET_S, ZenohControl
from shoal.control.zenoh_keys import Keys, name_and_boot
from shoal.control.zenoh_meeting import check_role, plain
from shoal.control.zenoh_rules import hub_rules
from shoal.errors import WireError
from shoal.identity import Authority, Identity, Party, Role, check_name

if TYPE_CHECKING:
    import zenoh

LOG = logging.getLogger("shoal.control")
UNSEEN_S = 3.0  # that a device must not be seen for, while it tells how it is, to be told so
RETURN_S = 3.0  # for devices to come back after the hub was opened anew
UNDISTURBED_S = 10.0  # that requests under way may delay that


def open_hub(
    identity: Identity | None,
    admitted: Mapping[str, Role] | None = None,
    listen: str = "tls/0.0.0.0:7447",
    name: str = "hub",
) -> ZenohHub:
    """The hub of a fleet, listening.

    Args:
        identity: its coordinator's; None on this machine alone.
        admitted: who may take part, by the name in the certificate: `members(authority)`.
        listen: where; port 0 takes a free one.
        name: its own, if there is no certificate to say it.

    Raises:
        InputError: a name or the address is wrong.
        WireError: it is no coordinator's identity, or it cannot listen there.
    """
    at = with_port(address(listen, identity is not None))
    me = check_role(identity, "coordinator") if identity else plain(name, "coordinator")
    return ZenohHub(me, identity, at, admitted or {})


def members(authority: Authority) -> dict[str, Role]:
    """Who has a certificate of the authority that was not taken back: name → role."""
    revoked = authority.revoked()
    return {each.name: each.role for each in authority.issued() if each.serial not in revoked}


class ZenohHub(ZenohControl):
    """The coordinator all others connect to."""

    def __init__(self, me: Party, identity: Identity | None, listen: Address, members: Mapping[str, Role]) -> None:
        self._at, self._identity = listen, identity
        self._members: dict[str, Role] = {check_name(name): role for name, role in members.items()}
        self._members[me.name] = "coordinator"
        self._calm = threading.Condition()
        self._asking, self._opening = 0, False
        if identity:
            _log_refusals()
        super().__init__(me, open_session(self._config(me), str(listen)))

    @property
    def address(self) -> str:
        """Where it listens: "tls/HOST:PORT"."""
        return str(self._at)

    def admit(self, members: Mapping[str, Role]) -> None:
        """Let these take part too (name → "device" or "coordinator").

        Zenoh reads its access rules only when a session opens. So the session is opened anew, on the same port: for
        about a second nobody can be asked, and for at most RETURN_S no device counts as gone.

        Raises:
            InputError: what cannot be a name.
        """
        self._change(self._members | {check_name(name): role for name, role in members.items()})

    def exclude(self, names: Collection[str]) -> None:
        """Let these take part no more: their certificates were revoked. As `admit` otherwise."""
        self._change({name: role for name, role in self._members.items() if name not in names})

    def _change(self, members: dict[str, Role]) -> None:
        if members == self._members:
            return
        with self._calm:
            self._calm.wait_for(lambda: not self._opening)
            self._opening = True
            self._calm.wait_for(lambda: self._asking == 0, UNDISTURBED_S)
        try:
            self._members = members
            self._reopen()
        finally:
            with self._calm:
                self._opening = False
                self._calm.notify_all()

    def ask(self, device: str, request: Request, timeout_s: float) -> Reply:
        """Ask a device and wait for its reply. See `Control`."""
        with self._calm:
            self._calm.wait_for(lambda: not self._opening)
            self._asking += 1
        try:
            return super().ask(device, request, timeout_s)
        finally:
            with self._calm:
                self._asking -= 1
                self._calm.notify_all()

    def _reopen(self) -> None:
        self._register.be_lenient()
        try:
            close_session(self._session)
            self._register.nobody()
            self._session = open_session(self._config(self._me), self.address)
            self._listen()
        finally:
            self._register.be_strict(RETURN_S)

    def _config(self, me: Party) -> dict[str, Any]:
        return hub_config(self._at, self._identity, hub_rules(me.fleet, self._members) if self._identity else None)

    def _conclude(self, name: str, boot: str, judgement: Judgement) -> None:
        super()._conclude(name, boot, judgement)
        if judgement.refused:
            LOG.warning("refused %s: %s", name, judgement.refused)
        self._pronounce(name, boot, judgement.refused)

    def _dismiss_second(self, name: str, boot: str) -> None:
        self._pronounce(name, boot, self._register.second(name))

    def _told(self, sample: zenoh.Sample) -> None:
        super()._told(sample)
        name, boot = name_and_boot(str(sample.key_expr))
        if self._register.unseen(name, boot, UNSEEN_S):
            self._greeters.submit(self._pronounce, name, boot, "", unseen=True)

    def _pronounce(self, name: str, boot: str, refused: str, *, unseen: bool = False) -> None:
        """Tell a device whether it may stay; or that it is not seen, which happens when Zenoh connected it anew."""
        verdict = codec.encode(Verdict(refused, unseen))
        try:
            self._get(Keys(self._me.fleet, name, boot).verdict, verdict, GREET_S, name)
        except WireError as fault:
            LOG.warning("could not tell %s whether it may stay: %s", name, fault.message)


def _log_refusals() -> None:
    """Let Zenoh write to standard output whom it does not let in: it knows no other place."""
    import zenoh

    zenoh.init_log_from_env_or("off,zenoh_link_tls::unicast=warn")
