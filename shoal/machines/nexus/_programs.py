"""Kernels as programs of active messages: what lies where, which records there are, and what a message turns into."""

from __future__ import annotations

import numpy as np

from shoal.errors import InputError, LimitError
from shoal.machines.nexus._array import MessageArray, Outcome, joined
from shoal.machines.nexus._placement import blocks, by_users, swapped, used_by
from shoal.machines.nexus._program import WORD_BYTES, Entry, Memories, Program, Records, check_total
from shoal.machines.nexus._sparse import Array, Floats, Ints, Sparse
from shoal.machines.nexus._state import ADD, ADD_TO, LOAD, MULTIPLY, SCALE, SCALE_AT, STREAM, STREAM_LOAD, VISIT
from shoal.units import format_bytes

SUM_WORDS = 2
MOST_INT16 = 2**15 - 1
UNSEEN = 2**15 - 1  # level of a vertex that is not reached
FAR = 2**31 - 1  # its distance


def spmv(
    array: MessageArray, matrix: Sparse, vector: Array, start: Array | None = None, by: float | None = None
) -> Outcome:
    """y = A·x (+ start): of each non-zero a message that reads its x, multiplies on its way and is added to its y.

    Args:
        array: the machine.
        matrix: A.
        vector: x.
        start: what y holds before.
        by: products are multiplied by it as well, one more thing that messages turn into.

    Raises:
        InputError: operands that are no 16-bit integers, on an array of such.
        LimitError: vectors do not fit into the local memories.
    """
    _check(array, matrix.value, vector)
    rows, columns = matrix.shape
    check_total({"x": columns * array.operand_words, "y": rows * SUM_WORDS}, array.places, array.words)
    memories = Memories(array.places, array.words)
    room = np.full(array.places, array.words // SUM_WORDS)
    row_place = blocks(matrix.lengths, room)
    held = np.zeros(rows) if start is None else np.asarray(start, np.float64)
    y = memories.spread("y", row_place, held, SUM_WORDS, load=start is not None)
    users = used_by(matrix.column, row_place[matrix.row], columns, array.places)
    x_place = _dealt(array, users, np.full(columns, array.operand_words), memories.room)
    x = memories.spread("x", x_place, vector, array.operand_words)
    to = np.stack([x_place[matrix.column], row_place[matrix.row]], axis=1)
    records = Records(to[:, 1], np.zeros(matrix.count, np.int64), matrix.value, x[matrix.column], y[matrix.row], to)
    entries: tuple[Entry, ...] = (Entry(LOAD, 1), Entry(MULTIPLY, 2), Entry(ADD_TO))
    if by is not None:
        entries = (Entry(LOAD, 1), Entry(MULTIPLY, 2), Entry(SCALE, 3, by), Entry(ADD_TO))
    return array.run(Program(entries, memories, (records,), row_place, y, legs=2))


def spmspm(array: MessageArray, left: Sparse, right: Sparse | Array) -> Outcome:
    """C = A·B after Gustavson: a non-zero of A visits its row of B, which sends it on once for each of its elements.

    So many rows of C as fit are made at a time. Of a dense B all elements are sent, zeros too, and no index is kept.

    Raises:
        InputError: operands that are no 16-bit integers, on an array of such; sizes that do not match.
        LimitError: B and one row of C do not fit into the local memories.
    """
    dense = not isinstance(right, Sparse)
    right = _whole(right) if not isinstance(right, Sparse) else right
    _check(array, left.value, right.value)
    if left.shape[1] != right.shape[0]:
        raise InputError("inner sizes differ", where="A·B", needed=str(left.shape[1]), had=str(right.shape[0]))
    words = right.lengths * (array.operand_words + (not dense)) + 2
    check_total({"B": int(words.sum()), "a row of C": right.shape[1] * SUM_WORDS}, array.places, array.words)
    most = _rows_of_a_place(array, words, right.shape[1])
    step = most * array.places
    c_place = np.concatenate([_balanced(left.rows(begin, min(begin + step, left.shape[0])), right, most, array.places)
                              for begin in range(0, left.shape[0], step)])  # fmt: skip
    users = used_by(left.column, c_place[left.row], right.shape[0], array.places) * right.lengths[:, None]
    b_place = _dealt(array, users, words, np.full(array.places, array.words - most * right.shape[1] * SUM_WORDS))
    parts = []
    for begin in range(0, left.shape[0], step):
        rows = left.rows(begin, min(begin + step, left.shape[0]))
        parts.append(
            array.run(_gustavson(array, rows, right, words, c_place[begin : begin + step], b_place, begin == 0))
        )
    return joined(parts, np.concatenate([each.values for each in parts]).reshape(left.shape[0], -1))


def _rows_of_a_place(array: MessageArray, words: Ints, columns: int) -> int:
    """Rows of C that a place holds beside its share of B, whose rows are whole."""
    room = array.words - int(np.ceil(words.sum() / array.places)) - int(words.max())
    found = room // (columns * SUM_WORDS)
    if found < 1:
        raise LimitError("does not fit into a local memory beside B", where="tensor 'C', one row",
                         needed=format_bytes(WORD_BYTES * SUM_WORDS * columns),
                         had=format_bytes(WORD_BYTES * max(0, room)))  # fmt: skip
    return found


def rows_at_once(array: MessageArray, inner: int, columns: int, name: str) -> int:
    """Columns of a dense B of `inner` rows that fit beside as many of a C of `columns` rows, both dealt out evenly.

    Raises:
        LimitError: not even one; it names the tensor.
    """
    of_b, of_c = -(-inner // array.places) + 1, -(-columns // array.places)
    found = (array.words - 2 * of_b) // (of_b * array.operand_words + of_c * SUM_WORDS)
    if found < 1:
        raise LimitError("one row of inputs and results does not fit into the local memories", where=f"nexus, tensor '{name}'",
                         needed=format_bytes(WORD_BYTES * (inner * array.operand_words + columns * SUM_WORDS)),
                         had=format_bytes(WORD_BYTES * array.places * array.words))  # fmt: skip
    return found


def _whole(values: Array) -> Sparse:
    """A dense matrix with its zeros."""
    row, column = np.indices(values.shape)
    return Sparse(
        (values.shape[0], values.shape[1]), row.ravel(), column.ravel(), values.ravel().astype(np.float64)
    )


def _balanced(left: Sparse, right: Sparse, most: int, places: int) -> Ints:
    """The places of rows of C, equally many products at each."""
    work = np.bincount(left.row, right.lengths[left.column], left.shape[0]).astype(np.int64)
    return blocks(work, np.full(places, most))


def _gustavson(
    array: MessageArray, left: Sparse, right: Sparse, words: Ints, c_place: Ints, b_place: Ints, load: bool
) -> Program:
    memories = Memories(array.places, array.words)
    rows, columns = left.shape[0], right.shape[1]
    b, first = np.zeros(right.shape[0], np.int64), right.first
    for row, place in enumerate(b_place.tolist()):
        own = slice(first[row], first[row + 1])
        data = memories.put("B", place, right.value[own], int(words[row]) - 2, right.column[own], load)
        b[row] = memories.put("B", place, np.array([first[row + 1] - first[row]]), 2, np.array([data]), load)
    c = _spread_rows(memories, "C", c_place, np.zeros((rows, columns)), columns * SUM_WORDS, load=False)
    to = np.stack([b_place[left.column], c_place[left.row]], axis=1)
    records = Records(to[:, 0], np.zeros(left.count, np.int64), left.value, b[left.column], c[left.row], to)
    entries = (Entry(STREAM, 1), Entry(MULTIPLY, 2), Entry(ADD_TO))
    addresses = (c[:, None] + np.arange(columns)).ravel()
    return Program(entries, memories, (records,), np.repeat(c_place, columns), addresses, legs=2)


def sddmm(array: MessageArray, samples: Sparse, left: Array, right: Array) -> Outcome:
    """S ∘ (U·Vᵀ): of each sample a message that sends the elements of its u to its v, where they find their partners.

    The values are those of the samples, in their order.

    Raises:
        InputError: operands that are no 16-bit integers, on an array of such.
        LimitError: the factors and samples do not fit into the local memories.
    """
    _check(array, samples.value, left, right)
    depth, size = left.shape[1], array.operand_words
    check_total({"U": left.size * size, "V": right.size * size, "samples": samples.count * SUM_WORDS},
                array.places, array.words)  # fmt: skip
    memories = Memories(array.places, array.words)
    row_words = depth * size + 2
    u_place = blocks(samples.lengths, np.full(array.places, array.words // (row_words + SUM_WORDS)))
    u = _streamed_rows(memories, "U", u_place, left, row_words)
    c_place = u_place[samples.row]
    c = memories.spread("samples", c_place, np.zeros(samples.count), SUM_WORDS, load=False)
    users = used_by(samples.column, c_place, len(right), array.places)
    v_place = _dealt(array, users, np.full(len(right), depth * size), memories.room)
    v = _spread_rows(memories, "V", v_place, right, depth * size)
    to = np.stack([u_place[samples.row], v_place[samples.column], c_place], axis=1)
    products = Records(
        to[:, 0], np.zeros(samples.count, np.int64), v[samples.column].astype(np.float64), u[samples.row], c, to
    )
    scales = Records(
        c_place, np.full(samples.count, 4), samples.value, c, c, np.repeat(c_place[:, None], 3, axis=1)
    )
    entries = (Entry(STREAM_LOAD, 1), Entry(LOAD, 2), Entry(MULTIPLY, 3), Entry(ADD_TO), Entry(SCALE_AT))
    return array.run(Program(entries, memories, (products, scales), c_place, c, legs=3))


def bfs(array: MessageArray, graph: Sparse, root: int) -> Outcome:
    """Levels from a root, -1 where none leads: a message that lowers a vertex's level has its neighbours told.

    Raises:
        InputError: there is no such vertex.
        LimitError: the graph does not fit into the local memories.
    """
    words = graph.lengths + 4  # level, flag, first and last neighbour
    found = array.run(_spread_out(array, graph, root, (Entry(VISIT),), words, UNSEEN, result_words=1))
    return joined([found], np.where(found.values == UNSEEN, -1, found.values))


def sssp(array: MessageArray, graph: Sparse, root: int) -> Outcome:
    """Lengths of shortest ways from a root, infinite where none leads; edges are as long as their values.

    A message that lowers a vertex's distance has its neighbours told; on its way to one it becomes longer by the edge.

    Raises:
        InputError: there is no such vertex, an edge is shorter than zero, or its length no 16-bit integer on an array of such.
        LimitError: the graph does not fit into the local memories.
    """
    _check(array, graph.value)
    if graph.value.min(initial=0) < 0:
        raise InputError("an edge shorter than zero", where="sssp", had=f"{graph.value.min():g}")
    words = graph.lengths * (1 + array.operand_words) + 3 + SUM_WORDS  # flag, first and last neighbour, distance
    entries, far = (Entry(ADD, 1), Entry(VISIT)), FAR if array.values == "int16" else np.inf
    found = array.run(_spread_out(array, graph, root, entries, words, far, SUM_WORDS))
    return joined([found], np.where(found.values == far, np.inf, found.values))


def _spread_out(
    array: MessageArray, graph: Sparse, root: int, entries: tuple[Entry, ...], words: Ints, unseen: float, result_words: int
) -> Program:  # fmt: skip
    """One message visits the root; from there on places tell neighbours by the first entry, which ends in the last."""
    count = graph.shape[0]
    if not 0 <= root < count:
        raise InputError(f"no vertex {root}", where="nexus, graph", needed=f"0 to {count - 1}")
    check_total({"graph": int(words.sum())}, array.places, array.words)
    memories = Memories(array.places, array.words)
    even = int(np.ceil(count / array.places))
    place = blocks(words, np.full(array.places, max(even, array.words // 4)))
    address = np.zeros(count, np.int64)
    for each in range(array.places):  # two words of a vertex first, then the neighbours of all
        mine = np.flatnonzero(place == each)
        address[mine] = 2 * np.arange(len(mine))
    first = graph.first
    slots = max(
        (2 * int((place == each).sum()) + int(graph.lengths[place == each].sum()) for each in range(array.places)),
        default=1,
    )
    for each in range(array.places):
        mine = np.flatnonzero(place == each)
        if not len(mine):
            continue
        ends = 2 * len(mine) + np.cumsum(graph.lengths[mine])
        heads = np.stack([ends - graph.lengths[mine], ends], axis=1).ravel()
        held = np.stack([np.full(len(mine), unseen), np.zeros(len(mine))], axis=1).ravel()
        edges = np.concatenate([np.arange(first[vertex], first[vertex + 1]) for vertex in mine])
        told = graph.column[edges]
        memories.put("graph", each, np.concatenate([held, graph.value[edges]]), int(words[mine].sum()),
                     np.concatenate([heads, place[told] * slots + address[told]]))  # fmt: skip
    one, zero = np.array([place[root]]), np.zeros(1, np.int64)
    records = Records(one, zero + len(entries) - 1, np.zeros(1), zero, address[[root]], one[:, None])
    return Program(entries, memories, (records,), place, address, legs=1, result_words=result_words)


def pagerank(
    array: MessageArray, graph: Sparse, damping: float = 0.85, near: float = 1e-7, most: int = 100
) -> Outcome:
    """Ranks of vertices: SpMV again and again, damping as what a message turns into last, until ranks differ by less.

    Vertices without a way out give their rank to all. That needs float32.

    Raises:
        InputError: an array of integers.
        LimitError: the ranks do not fit into the local memories.
    """
    if array.values != "float32":
        raise InputError("ranks are no whole numbers", where="pagerank", needed="values=float32", had=array.values)
    count = graph.shape[0]
    degree = graph.lengths
    turned = graph.transposed
    shares = Sparse(turned.shape, turned.row, turned.column, single(1.0 / degree[turned.column]))
    ranks, parts = single(np.full(count, 1.0 / count)), []
    for _ in range(most):
        base = (1 - damping) / count + damping * ranks[degree == 0].sum() / count
        parts.append(spmv(array, shares, ranks, single(np.full(count, base)), float(single(np.array(damping)))))
        change, ranks = float(np.abs(parts[-1].values - ranks).sum()), parts[-1].values
        if change < near:
            break
    return joined(parts, ranks)


def single(values: Array) -> Floats:
    """Rounded to float32, in which an array of such computes."""
    return np.asarray(values).astype(np.float32).astype(np.float64)


def _spread_rows(
    memories: Memories, tensor: str, owner: Ints, values: Array, words: int, load: bool = True
) -> Ints:
    """Put each row at its owner, of `words` each; the addresses of their first elements."""
    return np.array([memories.put(tensor, place, row, words, load=load)
                     for place, row in zip(owner.tolist(), values, strict=True)], np.int64)  # fmt: skip


def _streamed_rows(memories: Memories, tensor: str, owner: Ints, values: Array, words: int) -> Ints:
    """Put each row and a descriptor of it at its owner, of `words` together; the addresses of the descriptors."""
    steps, found = np.arange(values.shape[1]), np.zeros(len(owner), np.int64)
    for row, place in enumerate(owner.tolist()):
        data = memories.put(tensor, place, values[row], words - 2, steps)
        found[row] = memories.put(tensor, place, np.array([len(steps)]), 2, np.array([data]))
    return found


def _dealt(array: MessageArray, users: Ints, words: Ints, room: Ints) -> Ints:
    """The place of each element: where it is used most, then swapped if the array's placement is to be."""
    found = by_users(users, words, room)
    return swapped(found, users, words, room, array.columns) if array.swaps else found


def _check(array: MessageArray, *operands: Array) -> None:
    for each in operands:
        if array.values == "int16" and (np.abs(each).max(initial=0) > MOST_INT16 or (each != np.rint(each)).any()):
            raise InputError("operands are no 16-bit integers", where="nexus", hint="values=float32")
