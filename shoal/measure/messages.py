"""Messages that a transport is tried with: each is answered by one byte."""

from __future__ import annotations

import numpy as np

from shoal.program import CLIENT, Edge, Header, Program, Route, TensorSpec
from shoal.wire import Delivery, Endpoint

UNIT = "echo/cpu"


def echo_program(most_bytes: int, burst: int) -> Program:
    """The client and one unit that answers each message of at most `most_bytes` with one byte."""
    there = Edge("there", CLIENT, UNIT, "x", "x", TensorSpec("uint8", ("n",)), burst)
    back = Edge("back", UNIT, CLIENT, "y", "y", TensorSpec("uint8", (1,)), burst)
    return Program(
        "echo", (UNIT,), (there, back), (), (Route("main", (), (), ()),), burst, {}, sizes={"n": most_bytes}
    )


def answer_messages(end: Endpoint) -> None:
    """Answer each message until whoever asks has gone."""
    answer = np.ones(1, np.uint8)
    while isinstance(found := end.receive(None), Delivery):
        end.release(found)
        end.send(Header(1, found.header.item, shape=(1,), payload_bytes=1), answer)
    end.close()
