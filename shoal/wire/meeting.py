"""The handshake by which the parties of a program find each other over stream sockets.

Who stands earlier in `program.parties` calls who stands later, so the client calls every unit. Both say hello
(a control message: its header carries magic, protocol and program hash). The client then tells every unit
where the others are, and each unit answers "ready" once it is connected to all its peers; nothing else goes
before. A stranger that calls is refused and logged while the meeting goes on; after it nobody can call.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from collections.abc import Callable, Mapping

from shoal.errors import ShoalError, WireError
from shoal.program import CLIENT, Program
from shoal.wire.talk import GATHER_S, HELLO_S, Link, Note, Sockets, Talk
from shoal.wire.topology import peers

MAX_STRANGERS = 64  # callers that have not said hello yet
LOG = logging.getLogger("shoal.wire")


def meet_as_worker(
    name: str,
    program: Program,
    sockets: Sockets,
    address: str,
    announce: Callable[[str], None],
    *,
    wait_s: float | None,
) -> dict[str, Link]:
    """Links to all peers of the unit `name`; waits `wait_s` for the client (None: for ever).

    Raises:
        WireError: the address is in use, the client did not come, or a peer cannot be reached.
    """
    expected = peers(program, name)
    listener, actual = sockets.listen(address)
    meeting = _Meeting(name, program, sockets, expected, listener)
    try:
        announce(actual)
        meeting.until(lambda: meeting.introduced, wait_s)
        meeting.until(lambda: meeting.complete, GATHER_S)
        meeting.tell(CLIENT, Note("ready", name))
    except ShoalError as fault:
        meeting.abandon(fault)
        raise
    return meeting.end()


def meet_as_client(program: Program, sockets: Sockets, addresses: Mapping[str, str]) -> dict[str, Link]:
    """Links to all units, every one of which is connected to all its peers.

    Raises:
        WireError: a unit without an address or that cannot be reached, or that runs another program.
    """
    meeting = _Meeting(CLIENT, program, sockets, program.units, None)
    try:
        for unit in program.units:
            if unit not in addresses:
                raise WireError("has no address", where=unit)
            meeting.call(unit, addresses[unit])
        meeting.until(lambda: meeting.complete, HELLO_S)
        for unit in program.units:
            meeting.tell(unit, Note("peers", addresses=dict(addresses)))
        meeting.until(lambda: meeting.all_ready, GATHER_S)
    except ShoalError as fault:
        meeting.abandon(fault)
        raise
    return meeting.end()


class _Meeting:
    """All connections of one party before the run, in one thread."""

    def __init__(
        self,
        name: str,
        program: Program,
        sockets: Sockets,
        expected: tuple[str, ...],
        listener: socket.socket | None,
    ) -> None:
        self._name, self._program, self._sockets, self._expected = name, program, sockets, expected
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._open: set[Talk] = set()
        self._known: dict[str, Talk] = {}
        self._ready: set[str] = set()
        self.introduced = False  # the client said where the others are
        if listener:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ)

    @property
    def complete(self) -> bool:
        return len(self._known) == len(self._expected)

    @property
    def all_ready(self) -> bool:
        return self._ready == set(self._expected)

    def until(self, done: Callable[[], bool], wait_s: float | None) -> None:
        """Attend to all connections until `done`."""
        until = None if wait_s is None else time.monotonic() + wait_s
        while not done():
            now = time.monotonic()
            if until is not None and now >= until:
                missing = [peer for peer in self._expected if peer not in self._known]
                raise WireError("not everyone is there", where=self._name, needed=", ".join(missing) or "ready")
            self._expire(now)
            ends = [talk.until for talk in self._open if not talk.peer] + ([until] if until else [])
            timeout = max(0.0, min(ends) - now) if ends else None
            for key, _ in self._selector.select(timeout):
                self._attend(key.data)

    def call(self, peer: str, address: str) -> None:
        """Connect to `peer` and say hello; its answer comes later."""
        try:
            talk = Talk(self._sockets, self._sockets.dial(address), peer, dialed=peer)
        except OSError as fault:
            raise WireError(f"cannot be reached at {address}: {fault}", where=peer) from fault
        except WireError as fault:
            what = f"cannot be reached at {address}: {fault.what}"
            raise WireError(what, where=peer, needed=fault.needed, had=fault.had, hint=fault.hint) from fault
        self._enter(talk)
        try:
            self._sockets.vouch(talk.sock, peer)
        except WireError as fault:
            self._refuse(talk, fault)
            raise
        talk.descriptor = self._sockets.offer(peer)
        talk.write(self._hello(), self._program, talk.descriptor)

    def tell(self, peer: str, note: Note) -> None:
        self._known[peer].write(note, self._program)

    def end(self) -> dict[str, Link]:
        """The links; everything else is closed."""
        links = {peer: Link(peer, talk.sock, talk.descriptor, talk.beat_s) for peer, talk in self._known.items()}
        for talk in self._open - set(self._known.values()):
            talk.close()
        self._close()
        return links

    def abandon(self, fault: ShoalError) -> None:
        """Tell the client why (as far as it can be told), and close everything."""
        client = self._known.get(CLIENT)
        if client is not None:
            self._refuse(client, fault)
            client.part()
        for talk in self._open:
            talk.close()
        self._close()

    def _close(self) -> None:
        self._selector.close()
        if self._listener:
            self._listener.close()

    def _enter(self, talk: Talk) -> None:
        self._open.add(talk)
        self._selector.register(talk.sock, selectors.EVENT_READ, talk)

    def _drop(self, talk: Talk) -> None:
        self._open.discard(talk)
        self._selector.unregister(talk.sock)
        talk.close()

    def _attend(self, talk: Talk | None) -> None:
        if talk is None:
            self._accept()
        elif talk not in self._open:  # dropped since it had something to read
            return
        elif talk.refused:
            if talk.parted():
                self._drop(talk)
        else:
            try:
                # What TLS has decrypted does not make the socket readable: read until nothing is left.
                while talk.mine and (note := talk.read(self._program)) is not None:
                    self._hear(talk, note)
            except WireError as fault:
                self._fail(talk, fault)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, where = self._listener.accept()
        except OSError:  # the caller has gone again
            return
        caller = f"caller {where[0]}:{where[1]}" if isinstance(where, tuple) else "caller"
        strangers = [other for other in self._open if not other.peer]
        if len(strangers) >= MAX_STRANGERS and (parting := [other for other in strangers if other.refused]):
            strangers.remove(parting[0])
            self._drop(parting[0])
        if len(strangers) >= MAX_STRANGERS:
            LOG.warning("refused a connection: %s: too many callers", caller)
            sock.close()
            return
        try:
            self._enter(Talk(self._sockets, self._sockets.admit(sock), caller))
        except (WireError, OSError) as fault:
            LOG.warning("refused a connection: %s", fault)
            sock.close()

    def _expire(self, now: float) -> None:
        for talk in [talk for talk in self._open if not talk.peer and talk.until <= now]:
            if talk.refused:
                self._drop(talk)
                continue
            self._fail(talk, WireError(f"did not say hello within {HELLO_S:g} s", where=talk.where))

    def _hear(self, talk: Talk, note: Note) -> None:
        if note.kind == "refused":
            raise WireError(f"refused the connection: {note.why}", where=talk.where)
        if not talk.peer:
            self._greet(talk, note)
        elif note.kind == "peers" and talk.peer == CLIENT and not self.introduced:
            self.introduced = True
            self._call_later_ones(note.addresses)
        elif note.kind == "ready" and self._name == CLIENT:
            self._ready.add(talk.peer)
            self._let_go(talk)
        else:
            raise WireError(f"said '{note.kind}' out of turn", where=talk.where)

    def _greet(self, talk: Talk, note: Note) -> None:
        party = note.party
        if note.kind != "hello" or party not in self._expected or talk.dialed not in ("", party):
            raise WireError(f"is '{party}', whom nobody expects here", where=talk.where)
        self._sockets.vouch(talk.sock, party)
        if party in self._known:
            raise WireError(f"says it is '{party}', who is already connected", where=talk.where)
        if not talk.dialed:
            talk.write(self._hello(), self._program)
        talk.peer = talk.where = party
        talk.beat_s = note.beat_s
        self._known[party] = talk
        if CLIENT not in (party, self._name):
            self._let_go(talk)

    def _hello(self) -> Note:
        return Note("hello", self._name, beat_s=self._sockets.beat_s)

    def _let_go(self, talk: Talk) -> None:
        """What follows belongs to the run."""
        talk.mine = False
        self._selector.unregister(talk.sock)

    def _call_later_ones(self, addresses: Mapping[str, str]) -> None:
        mine = self._program.parties.index(self._name)
        for peer in self._expected:
            if self._program.parties.index(peer) > mine:
                if peer not in addresses:
                    raise WireError("has no address", where=peer)
                self.call(peer, addresses[peer])

    def _fail(self, talk: Talk, fault: WireError) -> None:
        """A caller that is a stranger is refused; anyone we need ends the meeting."""
        if talk.peer or talk.dialed:
            raise fault
        LOG.warning("refused a connection: %s", fault)
        if talk.speaks_shoal:
            self._refuse(talk, fault)
        if not talk.part():
            self._drop(talk)

    def _refuse(self, talk: Talk, fault: ShoalError) -> None:
        try:
            talk.write(Note("refused", self._name, why=str(fault)), self._program)
        except WireError:
            LOG.info("could not tell %s why", talk.where)
