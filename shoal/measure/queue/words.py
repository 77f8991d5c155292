"""How a host and its device talk: launches there, times and values back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal.program import CLIENT, Edge, Header, Program, Route, TensorSpec
from shoal.wire import Endpoint

UNIT = "device/queue"
LAUNCH, TIMES, VALUES = range(3)  # places of the edges
WAIT = np.array([-1], np.int32)  # in place of calls: answer when all before is done
_TYPES = ("int32", "float64", "float32")


def queue_program(calls: int, launches: int, values: int) -> Program:
    """A queue of at most so many launches, of at most so many calls each, for an output of so many values."""
    sizes = {"calls": calls, "times": 2 * launches, "values": values}
    edges = tuple(
        Edge(name, source, target, name, name, TensorSpec(kind, (name,)), room)
        for name, kind, source, target, room in (
            ("calls", _TYPES[LAUNCH], CLIENT, UNIT, launches + 1),
            ("times", _TYPES[TIMES], UNIT, CLIENT, 2),
            ("values", _TYPES[VALUES], UNIT, CLIENT, 2),
        )
    )
    return Program("queue", (UNIT,), edges, (), (Route("main", (), (), ()),), launches + 1, {}, sizes=sizes)


def put(end: Endpoint, edge: int, item: int, array: NDArray[np.generic]) -> None:
    """Send one message."""
    end.send(Header(edge, item, dtype=_TYPES[edge], shape=array.shape, payload_bytes=array.nbytes), array)
