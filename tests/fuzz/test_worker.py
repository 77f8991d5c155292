"""A worker that is told nonsense by its coordinator, and one that is given odd messages by its peers."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import ShoalError
from shoal.program import Header, Program
from shoal.program.bundle import Bundle, Manifest
from shoal.program.message import Flag
from shoal.wire import Delivery, Left
from shoal.wire.transports.memory import Memory
from shoal.worker import say, serve
from shoal.worker.serve import load
from tests.fuzz.mutations import fuzzed, mutated_json
from tests.programs import chain

UNIT = "a/cpu"
MADE = chain(UNIT)
WORDS = [
    {"do": "start", "origin": {"monotonic_s": 12.5, "boot": "b"}, "stretch": 1.0},
    {"do": "clock"},
    {"do": "settle"},
    {"do": "report"},
]


class Served:
    """A worker in a thread, and its coordinator's end."""

    def __init__(self, program: Program) -> None:
        self.fault: BaseException | None = None
        transport = Memory()
        bundle = Bundle(program, Manifest(UNIT, program.hash.hex(), 1, {}), Path())
        self._thread = threading.Thread(target=self._serve, args=(transport, bundle), daemon=True)
        self._thread.start()
        self.endpoint = transport.client(program, {UNIT: UNIT})

    def _serve(self, transport: Memory, bundle: Bundle) -> None:
        try:
            serve(bundle, load(bundle), transport.worker(UNIT, bundle.program, "", lambda _: None))
        except BaseException as fault:  # noqa: BLE001  # whatever it is, the test is to see it
            self.fault = fault

    def ended(self) -> None:
        """Tell it to stop, hear what it says, and see that it ended as it should."""
        say(self.endpoint, {"do": "stop"}, UNIT)
        self._thread.join(20.0)
        assert not self._thread.is_alive()
        while isinstance(came := self.endpoint.receive(0.0), Delivery | Left):
            if isinstance(came, Delivery) and came.array is not None:
                self.endpoint.release(came)
        self.endpoint.close()
        assert self.fault is None or isinstance(self.fault, ShoalError), repr(self.fault)


@given(st.lists(st.sampled_from(WORDS).flatmap(mutated_json), min_size=1, max_size=3))
@fuzzed(60)
def test_a_worker_told_nonsense_says_so_and_leaves(words: list[bytes]) -> None:
    served = Served(MADE)
    for text in words:
        header = Header(0xFFFFFFFF, flags=Flag.CONTROL, shape=(len(text),), payload_bytes=len(text))
        served.endpoint.send(header, np.frombuffer(text, np.uint8), UNIT)
    served.ended()


NUMBERS = st.sampled_from((0, 1, 2, 3, 7, 2**31 - 1, 2**32 - 1, 2**62, 2**63 - 1))


@given(
    st.lists(
        st.tuples(NUMBERS, st.integers(0, 3), st.integers(-1, 3), st.integers(0, 7), st.booleans()),
        min_size=1,
        max_size=4,
    )
)
@fuzzed(60)
def test_odd_items_of_a_peer_end_in_words(rows: list[tuple[int, int, int, int, bool]]) -> None:
    """Items come twice, out of order, of sessions nobody opened, with any flags."""
    served = Served(MADE)
    array = np.zeros(4, np.float32)
    for item, epoch, session, flags, late in rows:
        kept = Flag(flags)
        empty = bool(kept & Flag.EMPTY)
        header = Header(
            0, item, 0, 0, session, epoch, kept, "float32", () if empty else (4,), 0 if empty else 16,
            1e300 if late else 0.0,
        )  # fmt: skip
        served.endpoint.send(header, None if empty else array)
    served.ended()
