"""What the cycle loop works on: names of columns and counters, and all state of an array as numpy arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# what an entry of the configuration does: up to ADD arithmetic, up to STREAM_LOAD it sends, the others end a message
MULTIPLY, SCALE, ADD, LOAD, STREAM, STREAM_LOAD, ADD_TO, SCALE_AT, VISIT = range(9)
# columns of a message; the places of its legs stand from TO on
PC, ADDRESS, RESULT, LEG, NEXT, LAST, VIA, TO = range(8)
# elements of the setting
COLUMNS, ROWS, NETWORKS, PHASES, DEPTH, ADAPTIVE, EN_ROUTE, SINGLE, PORT_WORDS, RECORD_WORDS, QUEUE, PATIENCE = (
    range(12)
)
# elements of what is counted
CYCLES, HOPS, READS, WRITES, ADDS, PRODUCTS, AT_WORK, ON_THE_WAY, RECORDS, CHILDREN, STALLS, KILLED, WINDOW = range(
    13
)
COUNTS = 13
# elements of what is under way; the last four are of the place at hand, in this cycle
(SPARE, CREDIT, TURN, DRAWN, UNDER_WAY, TO_TELL, WAITING, MOVED, FIRST_PORT, FIRST_LANE,
 MEMORY, ALU, ENTERED, SERVED) = range(14)  # fmt: skip
HERE, NORTH, EAST, SOUTH, WEST = range(5)  # ports, of which the first is the place's own
# a place's vertices that are to tell their neighbours: first of the ring, their number, next and last neighbour at hand
FIRST, NUMBER, NEIGHBOUR, END = range(4)
DONE, STUCK = range(2)


class State(NamedTuple):
    """All of it. There are five FIFOs a network and place, one a port."""

    setting: Ints
    configuration: Ints  # (entries, 2): what it does, and the entry that follows
    constants: Floats  # of entries that scale
    indices: Ints  # (places, words): local memories hold an index with each value
    value: Floats
    record: Ints  # (records, TO + legs): messages that are known beforehand, those of a place together
    operand: Floats
    queue: Ints  # (places, 3): of a place's records the next to enter, the next to fetch, and the end
    message: Ints  # (messages, TO + legs)
    left: Floats  # operands of messages
    right: Floats
    free: Ints  # messages that are none at present, of which there are now[SPARE]
    fifo: Ints  # (FIFOs, depth): messages, from `head` on, `length` of them
    head: Ints
    length: Ints
    full: Ints  # `length` when the cycle began
    taken: Ints  # (FIFOs of a place): whose head has been served in this cycle
    outputs: Ints  # (ports): which are taken in this cycle
    ring: Ints  # (places, words): vertices that are to tell their neighbours
    tour: Ints  # (places, 4)
    level: Floats  # of the vertex at hand
    busy: Ints  # (places, 2): cycles of its ALU, and cycles in which it did anything
    history: Ints  # (places, windows): cycles of its ALU by time
    counts: Ints
    now: Ints


def fresh(setting: Ints, configuration: Ints, constants: Floats, indices: Ints, value: Floats, record: Ints, operand: Floats,
          queue: Ints, busy: Ints, windows: int) -> State:  # fmt: skip
    """Nothing is under way yet; memories and `busy` are used as they are, and changed."""
    places, fifos = len(value), len(value) * 5 * int(setting[NETWORKS])
    messages = fifos * int(setting[DEPTH])
    counts, now = np.zeros(COUNTS, np.int64), np.zeros(14, np.int64)
    counts[WINDOW], now[SPARE], now[WAITING], now[DRAWN] = 1, messages, len(record), 1
    return State(
        setting, configuration, constants, indices, value, record, operand, queue,
        np.zeros((messages, record.shape[1]), np.int64), np.zeros(messages), np.zeros(messages), np.arange(messages),
        np.zeros((fifos, int(setting[DEPTH])), np.int64), np.zeros(fifos, np.int64), np.zeros(fifos, np.int64),
        np.zeros(fifos, np.int64), np.zeros(fifos // places, np.int64), np.zeros(5, np.int64),
        np.zeros(value.shape, np.int64), np.zeros((places, 4), np.int64), np.zeros(places), busy,
        np.zeros((places, windows), np.int64), counts, now,
    )  # fmt: skip
