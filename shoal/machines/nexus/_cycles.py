"""The array of active messages cycle by cycle: routers, memories and ALUs act once a cycle, on arrays that hold all state.

Decisions see the FIFOs as they were when the cycle began (`full`), so no message moves twice in a cycle. Parts act in
this order: records from outside, then at each place its memory, its outputs, its ALU, its next record. Of several
messages that want the same, one is served whose turn rotates with the cycles.

Functions take the arrays they use one by one: a tuple of all, handed on, makes the loop several times as slow.
"""

from __future__ import annotations

import numpy as np

from shoal.machines._compiled import inlined, uncounted
from shoal.machines.nexus._state import (
    ADAPTIVE,
    ADD,
    ADD_TO,
    ADDRESS,
    ADDS,
    ALU,
    AT_WORK,
    CHILDREN,
    COLUMNS,
    CREDIT,
    CYCLES,
    DEPTH,
    DONE,
    DRAWN,
    EAST,
    EN_ROUTE,
    END,
    ENTERED,
    FIRST,
    FIRST_LANE,
    FIRST_PORT,
    HOPS,
    KILLED,
    LAST,
    LEG,
    LOAD,
    MEMORY,
    MOVED,
    MULTIPLY,
    NEIGHBOUR,
    NETWORKS,
    NEXT,
    NORTH,
    NUMBER,
    ON_THE_WAY,
    PATIENCE,
    PC,
    PHASES,
    PORT_WORDS,
    PRODUCTS,
    QUEUE,
    READS,
    RECORD_WORDS,
    RECORDS,
    RESULT,
    SERVED,
    SINGLE,
    SOUTH,
    SPARE,
    STALLS,
    STREAM,
    STREAM_LOAD,
    STUCK,
    TO,
    TO_TELL,
    TURN,
    UNDER_WAY,
    VIA,
    VISIT,
    WAITING,
    WEST,
    WINDOW,
    WRITES,
    Floats,
    Ints,
)


@inlined
def _push(setting: Ints, fifo: Ints, head: Ints, length: Ints, lane: int, one: int) -> None:
    at = head[lane] + length[lane]
    fifo[lane, at if at < setting[DEPTH] else at - setting[DEPTH]] = one
    length[lane] += 1


@inlined
def _pop(setting: Ints, head: Ints, length: Ints, lane: int) -> None:
    head[lane] = head[lane] + 1 if head[lane] + 1 < setting[DEPTH] else 0
    length[lane] -= 1


@inlined
def _inject(setting: Ints, value: Floats, message: Ints, fifo: Ints, head: Ints, length: Ints, now: Ints, lane:
        int, one: int) -> None:  # fmt: skip
    """A message begins a leg in its place's own FIFO; over a random place if there are two phases."""
    if setting[PHASES] == 2:
        now[DRAWN] = (now[DRAWN] * 1103515245 + 12345) & 0x7FFFFFFF
        message[one, VIA] = (now[DRAWN] >> 8) % len(value)
    _push(setting, fifo, head, length, lane, one)
    now[ENTERED] = 1


@inlined
def _new(free: Ints, now: Ints) -> int:
    """A message, which is under way from now on."""
    now[SPARE] -= 1
    now[UNDER_WAY] += 1
    return int(free[now[SPARE]])


@inlined
def _end(free: Ints, now: Ints, one: int) -> None:
    free[now[SPARE]] = one
    now[SPARE] += 1
    now[UNDER_WAY] -= 1


@inlined
def _arrived(message: Ints, place: int, one: int) -> bool:
    """Whether a message is at the end of its leg."""
    if message[one, VIA] == place:
        message[one, VIA] = -1
    return bool(message[one, VIA] < 0 and message[one, TO + message[one, LEG]] == place)


@inlined
def _arithmetic(configuration: Ints, message: Ints, one: int) -> bool:
    return bool(configuration[message[one, PC], 0] <= ADD)


@inlined
def _rounded(setting: Ints, number: float) -> float:
    return float(np.float32(number)) if setting[SINGLE] else number


@inlined
def _fetch(setting: Ints, queue: Ints, now: Ints) -> None:
    """Records from outside, as many as the port's words allow, to places in turn whose queues have room."""
    now[CREDIT] = min(now[CREDIT], setting[RECORD_WORDS]) + setting[PORT_WORDS]
    refused = 0
    while now[CREDIT] >= setting[RECORD_WORDS] and refused < len(queue):
        place = now[TURN]
        now[TURN] = (place + 1) % len(queue)
        refused += 1
        if queue[place, 1] < queue[place, 2] and queue[place, 1] - queue[place, 0] < setting[QUEUE]:
            queue[place, 1] += 1
            now[CREDIT] -= setting[RECORD_WORDS]
            refused = 0


@inlined
def _recall(setting: Ints, configuration: Ints, indices: Ints, value: Floats, message: Ints, left: Floats, right:
        Floats, free: Ints, fifo: Ints, head: Ints, length: Ints, full: Ints, taken: Ints, ring: Ints, tour:
        Ints, counts: Ints, now: Ints, place: int) -> None:  # fmt: skip
    """A place's memory serves one of the messages that have arrived, of the latest network that it can serve."""
    ports = len(taken)
    for each in range(ports):
        network = each // 5
        at = each + now[FIRST_PORT] - 5 * network  # of a network's five, from that whose turn it is
        at = ports - 5 * (network + 1) + (at if at < 5 else at - 5)
        lane = place * ports + at
        if full[lane] == 0:
            continue
        one = fifo[lane, head[lane]]
        if not _arrived(message, place, one) or _arithmetic(configuration, message, one):
            continue
        does = configuration[message[one, PC], 0]
        leg = (message[one, LEG] + 1) * setting[PHASES]
        onward = place * ports + 5 * min(leg, setting[NETWORKS] - 1)
        sends = does <= STREAM_LOAD
        if sends and full[onward] >= setting[DEPTH]:
            continue
        taken[at] = 1
        now[MEMORY] = 1
        now[SERVED] += 1
        if does == LOAD:
            _pop(setting, head, length, lane)
            _load(
                setting, configuration, value, message, right, fifo, head, length, counts, now, place, one, onward
            )
        elif sends:
            if _stream(setting, configuration, indices, value, message, left, right, free, fifo, head, length,
                counts, now, place, one, onward):  # fmt: skip
                _pop(setting, head, length, lane)
                _end(free, now, one)
        else:
            _pop(setting, head, length, lane)
            _end(free, now, one)
            if does == VISIT:
                _visit(value, message, left, ring, tour, counts, now, place, one)
            else:
                _accumulate(setting, value, message, left, counts, now, place, one, does == ADD_TO)
        return


@inlined
def _load(setting: Ints, configuration: Ints, value: Floats, message: Ints, right: Floats, fifo: Ints, head:
        Ints, length: Ints, counts: Ints, now: Ints, place: int, one: int, onward: int) -> None:  # fmt: skip
    """An address becomes the value that stands there, and the message goes on."""
    right[one] = value[place, message[one, ADDRESS]]
    counts[READS] += 1
    message[one, PC] = configuration[message[one, PC], 1]
    message[one, LEG] += 1
    _inject(setting, value, message, fifo, head, length, now, onward, one)


@inlined
def _accumulate(setting: Ints, value: Floats, message: Ints, left: Floats, counts: Ints, now: Ints, place: int,
        one: int, adds: bool) -> None:  # fmt: skip
    """The message ends in a sum, or in a product with what stands there."""
    at = message[one, RESULT]
    if adds:
        value[place, at] = _rounded(setting, value[place, at] + left[one])
        counts[ADDS] += 1
    else:
        value[place, at] = _rounded(setting, value[place, at] * left[one])
        counts[PRODUCTS] += 1
        counts[AT_WORK] += 1
    counts[READS] += 1
    counts[WRITES] += 1
    now[ALU] = 1


@inlined
def _stream(setting: Ints, configuration: Ints, indices: Ints, value: Floats, message: Ints, left: Floats, right:
        Floats, free: Ints, fifo: Ints, head: Ints, length: Ints, counts: Ints, now: Ints, place: int, one: int,
        onward: int) -> bool:  # fmt: skip
    """First the descriptor of a row, then a message for each element; whether that was the last."""
    counts[READS] += 1
    word = message[one, NEXT]
    if word < 0:
        word = indices[place, message[one, ADDRESS]]
        message[one, NEXT] = word
        message[one, LAST] = word + int(value[place, message[one, ADDRESS]])
        return bool(word == message[one, LAST])
    child = _new(free, now)
    message[one, NEXT] += 1
    for field in range(message.shape[1]):
        message[child, field] = message[one, field]
    message[child, PC] = configuration[message[one, PC], 1]
    message[child, LEG] += 1
    message[child, NEXT] = -1
    if configuration[message[one, PC], 0] == STREAM:
        left[child], right[child] = left[one], value[place, word]
        message[child, RESULT] += indices[place, word]
    else:
        left[child] = value[place, word]
        message[child, ADDRESS] = int(left[one]) + indices[place, word]
    _inject(setting, value, message, fifo, head, length, now, onward, child)
    counts[CHILDREN] += 1
    return bool(message[one, NEXT] == message[one, LAST])


@inlined
def _visit(value: Floats, message: Ints, left: Floats, ring: Ints, tour: Ints, counts: Ints, now: Ints, place:
        int, one: int) -> None:  # fmt: skip
    """A vertex that is nearer than was known remembers that, and that its neighbours are to be told; else nothing."""
    vertex = message[one, RESULT]
    counts[READS] += 1
    counts[ADDS] += 1
    now[ALU] = 1
    if value[place, vertex] <= left[one]:
        counts[KILLED] += 1
        return
    value[place, vertex] = left[one]
    counts[WRITES] += 1
    if value[place, vertex + 1] == 0:
        value[place, vertex + 1] = 1
        ring[place, (tour[place, FIRST] + tour[place, NUMBER]) % ring.shape[1]] = vertex
        tour[place, NUMBER] += 1
        now[TO_TELL] += 1


@inlined
def _tell(setting: Ints, configuration: Ints, indices: Ints, value: Floats, message: Ints, left: Floats, right:
        Floats, free: Ints, fifo: Ints, head: Ints, length: Ints, full: Ints, taken: Ints, ring: Ints, tour: Ints,
        level: Floats, counts: Ints, now: Ints, place: int) -> None:  # fmt: skip
    """A place whose memory is idle tells one neighbour of the vertex at hand, or takes up the next vertex.

    What it sends is the first entry: a level, which is one more, or a distance, to which the edge's is to be added.
    """
    lane = place * len(taken)
    if tour[place, NEIGHBOUR] < tour[place, END]:
        if full[lane] >= setting[DEPTH] or now[ENTERED]:
            return
        child, word = _new(free, now), tour[place, NEIGHBOUR]
        goal = indices[place, word]
        for field in range(message.shape[1]):
            message[child, field] = 0
        message[child, VIA] = -1
        message[child, TO] = goal // value.shape[1]
        message[child, RESULT] = goal % value.shape[1]
        if configuration[0, 0] == ADD:
            left[child], right[child] = level[place], value[place, word]
        else:
            left[child] = level[place] + 1
        _inject(setting, value, message, fifo, head, length, now, lane, child)
        counts[CHILDREN] += 1
        tour[place, NEIGHBOUR] += 1
    elif tour[place, NUMBER] > 0:
        vertex = ring[place, tour[place, FIRST]]
        tour[place, FIRST] = (tour[place, FIRST] + 1) % ring.shape[1]
        tour[place, NUMBER] -= 1
        tour[place, NEIGHBOUR], tour[place, END] = indices[place, vertex], indices[place, vertex + 1]
        level[place] = value[place, vertex]
        value[place, vertex + 1] = 0
    else:
        return
    counts[READS] += 1
    now[MEMORY] = 1
    if tour[place, NEIGHBOUR] == tour[place, END]:
        now[TO_TELL] -= 1


@inlined
def _move(setting: Ints, message: Ints, fifo: Ints, head: Ints, length: Ints, full: Ints, taken: Ints, outputs:
        Ints, counts: Ints, now: Ints, place: int) -> None:  # fmt: skip
    """Heads that are on their way, in rotating order, go to neighbours that have room; one an output."""
    ports = len(taken)
    for port in range(len(outputs)):
        outputs[port] = 0
    for each in range(ports):
        at = each + now[FIRST_LANE]
        if at >= ports:
            at -= ports
        lane = place * ports + at
        if full[lane] == 0 or taken[at]:
            continue
        one = fifo[lane, head[lane]]
        if _arrived(message, place, one):
            continue
        entry = _way(setting, message, full, taken, outputs, place, one)
        if entry >= 0:
            _pop(setting, head, length, lane)
            _push(setting, fifo, head, length, entry, one)
            counts[HOPS] += 1
            taken[at] = 1
            now[MOVED] = 1
            now[SERVED] += 1


@inlined
def _way(setting: Ints, message: Ints, full: Ints, taken: Ints, outputs: Ints, place: int, one: int) -> int:
    """The neighbour's FIFO, of those ways that are allowed and free the one with most room; -1: none."""
    columns = setting[COLUMNS]
    target, net = message[one, VIA], message[one, LEG] * setting[PHASES]
    if target < 0:
        target = message[one, TO + message[one, LEG]]
        net += setting[PHASES] - 1
    net = min(net, setting[NETWORKS] - 1)
    east, south = target % columns - place % columns, target // columns - place // columns
    turns = east == 0 or (setting[ADAPTIVE] == 1 and east > 0)
    best, room, entry = 0, 0, -1
    for port in range(NORTH, WEST + 1):
        if port == EAST:
            allowed, other = east > 0, place + 1
        elif port == WEST:
            allowed, other = east < 0, place - 1
        elif port == SOUTH:
            allowed, other = south > 0 and turns, place + columns
        else:
            allowed, other = south < 0 and turns, place - columns
        if allowed and not outputs[port]:
            there = other * len(taken) + net * 5 + opposite(port)
            if setting[DEPTH] - full[there] > room:
                best, room, entry = port, setting[DEPTH] - full[there], there
    outputs[best] = 1
    return entry


@inlined
def opposite(port: int) -> int:
    """The neighbour's port behind a port."""
    return 1 + (port + 1) % 4


@inlined
def _compute(setting: Ints, configuration: Ints, constants: Floats, message: Ints, left: Floats, right: Floats,
        fifo: Ints, head: Ints, full: Ints, taken: Ints, counts: Ints, now: Ints, place: int) -> None:  # fmt: skip
    """An ALU that no memory needs takes a message that has arrived; else one that has to wait on its way."""
    ports, chosen, arrived = len(taken), -1, False
    for each in range(ports):
        at = each + now[FIRST_LANE]
        if at >= ports:
            at -= ports
        lane = place * ports + at
        if full[lane] == 0 or taken[at]:
            continue
        one = fifo[lane, head[lane]]
        if not _arithmetic(configuration, message, one):
            continue
        if _arrived(message, place, one):
            chosen, arrived = at, True
            break
        if chosen < 0 and setting[EN_ROUTE]:
            chosen = at
    if chosen < 0:
        return
    lane = place * ports + chosen
    one = fifo[lane, head[lane]]
    pc = message[one, PC]
    if configuration[pc, 0] == ADD:
        left[one] = _rounded(setting, left[one] + right[one])
        counts[ADDS] += 1
    else:
        by = right[one] if configuration[pc, 0] == MULTIPLY else constants[pc]
        left[one] = _rounded(setting, left[one] * by)
        counts[PRODUCTS] += 1
    message[one, PC] = configuration[pc, 1]
    counts[AT_WORK if arrived else ON_THE_WAY] += 1
    now[ALU] = 1
    taken[chosen] = 1
    now[SERVED] += 1


@inlined
def _enter(setting: Ints, value: Floats, record: Ints, operand: Floats, queue: Ints, message: Ints, left:
        Floats, free: Ints, fifo: Ints, head: Ints, length: Ints, full: Ints, taken: Ints, counts: Ints, now:
        Ints, place: int) -> None:  # fmt: skip
    """The next record of a place's queue becomes a message."""
    lane, here = place * len(taken), queue[place, 0]
    if here == queue[place, 1] or full[lane] >= setting[DEPTH]:
        return
    one = _new(free, now)
    for field in range(message.shape[1]):
        message[one, field] = record[here, field]
    left[one] = operand[here]
    queue[place, 0] += 1
    _inject(setting, value, message, fifo, head, length, now, lane, one)
    counts[RECORDS] += 1
    now[WAITING] -= 1
    now[MOVED] = 1


@inlined
def _act(setting: Ints, configuration: Ints, constants: Floats, indices: Ints, value: Floats, record: Ints,
        operand: Floats, queue: Ints, message: Ints, left: Floats, right: Floats, free: Ints, fifo: Ints, head:
        Ints, length: Ints, full: Ints, taken: Ints, outputs: Ints, ring: Ints, tour: Ints, level: Floats, busy:
        Ints, history: Ints, counts: Ints, now: Ints, place: int) -> None:  # fmt: skip
    """One place in one cycle."""
    ports, held = len(taken), 0
    now[MEMORY], now[ALU], now[ENTERED], now[SERVED] = 0, 0, 0, 0
    for each in range(ports):
        held += full[place * ports + each] > 0
        taken[each] = 0
    if held > 0:
        _recall(setting, configuration, indices, value, message, left, right, free, fifo, head, length, full,
            taken, ring, tour, counts, now, place)  # fmt: skip
        _move(setting, message, fifo, head, length, full, taken, outputs, counts, now, place)
        if not now[ALU]:
            _compute(setting, configuration, constants, message, left, right, fifo, head, full, taken, counts,
                now, place)  # fmt: skip
        counts[STALLS] += held - now[SERVED]
    if now[TO_TELL] > 0 and not now[MEMORY]:
        _tell(setting, configuration, indices, value, message, left, right, free, fifo, head, length, full, taken,
            ring, tour, level, counts, now, place)  # fmt: skip
    if not now[ENTERED]:
        _enter(setting, value, record, operand, queue, message, left, free, fifo, head, length, full, taken,
            counts, now, place)  # fmt: skip
    if now[ALU]:
        busy[place, 0] += 1
        history[place, counts[CYCLES] // counts[WINDOW]] += 1
    if now[ALU] or now[MEMORY]:
        busy[place, 1] += 1
        now[MOVED] = 1


@inlined
def _fold(history: Ints, counts: Ints) -> None:
    """The history is full: windows of twice the length."""
    windows = history.shape[1]
    if counts[CYCLES] // counts[WINDOW] < windows:
        return
    for place in range(len(history)):
        for each in range(windows):
            history[place, each] = history[place, 2 * each : 2 * each + 2].sum()
    counts[WINDOW] *= 2


@uncounted
def run_cycles(setting: Ints, configuration: Ints, constants: Floats, indices: Ints, value: Floats, record: Ints,
        operand: Floats, queue: Ints, message: Ints, left: Floats, right: Floats, free: Ints, fifo: Ints, head:
        Ints, length: Ints, full: Ints, taken: Ints, outputs: Ints, ring: Ints, tour: Ints, level: Floats, busy:
        Ints, history: Ints, counts: Ints, now: Ints) -> int:  # fmt: skip
    """Run until nothing is under way (DONE) or nothing has moved for so long that it never will (STUCK)."""
    idle = 0
    while now[WAITING] > 0 or now[UNDER_WAY] > 0 or now[TO_TELL] > 0:
        now[MOVED] = 0
        for lane in range(len(length)):
            full[lane] = length[lane]
        now[FIRST_PORT], now[FIRST_LANE] = counts[CYCLES] % 5, counts[CYCLES] % len(taken)
        _fetch(setting, queue, now)
        for place in range(len(value)):
            _act(setting, configuration, constants, indices, value, record, operand, queue, message, left, right,
                free, fifo, head, length, full, taken, outputs, ring, tour, level, busy, history, counts, now,
                place)  # fmt: skip
        counts[CYCLES] += 1
        _fold(history, counts)
        idle = 0 if now[MOVED] else idle + 1
        if idle > setting[PATIENCE]:
            return STUCK
    return DONE
