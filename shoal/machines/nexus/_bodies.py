"""Inner bodies of kernels as a compiler for a CGRA gets them: `flat` ones are two nested loops made one.

A flat body goes on to the next row, or vertex, by a flag of the element before, so that no trip ends on what data tells. An
inner one (`…_row`) ends with its row, whose length is read outside of the array; its sum stays in a register. A word of a
memory has 32 bits, as in the array of messages: above a value, below twice an index, or the index itself where there is no
value, and last a flag where the row ends. Each is plain Python that computes the kernel, so it is its own reference.
"""

from __future__ import annotations

from shoal.machines.nexus._sparse import Ints


def weighted(a: Ints, index: Ints, begins: Ints, x: Ints, y: Ints, n: int) -> None:
    """SpMV, flat. The same for columns of a dense matrix: then `x` and `y` differ from lane to lane."""
    total = 0
    row = -1
    for k in range(n):
        total = a[k] * x[index[k]] + (0 if begins[k] else total)
        row += begins[k]
        y[row] = total


def weighted_row(a: Ints, index: Ints, x: Ints, n: int) -> None:
    """A row of SpMV, or of a sparse matrix times columns of a dense one."""
    total = 0
    for k in range(n):
        total += a[k] * x[index[k]]


def damped(a: Ints, index: Ints, begins: Ints, x: Ints, y: Ints, damping: int, base: int, n: int) -> None:
    """A round of PageRank, flat."""
    total = 0
    row = -1
    for k in range(n):
        total = a[k] * x[index[k]] * damping + (base if begins[k] else total)
        row += begins[k]
        y[row] = total


def gustavson(a: Ints, row: Ints, begin: Ints, b: Ints, c: Ints, n: int) -> None:
    """SpMSpM, flat, product after product: of each element of A its value, its row of C and the begin of its row of B stream by."""
    element = 0
    at = begin[0]
    following = begin[1]
    for _ in range(n):
        word = b[at]
        ends = word & 1
        there = row[element] + (word & 0xFFFE)
        c[there] = c[there] + a[element] * (word >> 16)
        at = following if ends else at + 1
        element += ends
        following = begin[element + 1]


def gustavson_row(b: Ints, c: Ints, a: int, row: int, begin: int, n: int) -> None:
    """A row of B times an element of A."""
    for k in range(n):
        word = b[begin + k]
        there = row + (word & 0xFFFE)
        c[there] = c[there] + a * (word >> 16)


def sampled(u: Ints, v: Ints, left: Ints, right: Ints, scale: Ints, out: Ints, depth: int, n: int) -> None:
    """SDDMM with a whole sample an iteration."""
    for e in range(n):
        i = left[e]
        j = right[e]
        total = 0
        for k in range(depth):
            total += u[i + k] * v[j + k]
        out[e] = total * scale[e]


def sampled_row(u: Ints, v: Ints, left: int, right: int, n: int) -> None:
    """A sample of SDDMM, but for its scale."""
    total = 0
    for k in range(n):
        total += u[left + k] * v[right + k]


def levelled(queue: Ints, first: Ints, graph: Ints, level: Ints, found: Ints, depth: int, n: int) -> None:
    """A level of BFS, flat: vertices of `queue` tell their neighbours; those that were farther are `found`."""
    element = 0
    tail = 0
    at = first[queue[0]]
    following = first[queue[1]]
    for _ in range(n):
        word = graph[at]
        ends = word & 1
        vertex = word >> 1
        old = level[vertex]
        level[vertex] = min(old, depth)
        found[tail] = vertex
        tail += depth < old
        at = following if ends else at + 1
        element += ends
        following = first[queue[element + 1]]


def levelled_row(graph: Ints, level: Ints, found: Ints, begin: int, tail: int, depth: int, n: int) -> None:
    """A vertex of BFS tells its neighbours."""
    for k in range(n):
        vertex = graph[begin + k]
        old = level[vertex]
        level[vertex] = min(old, depth)
        found[tail] = vertex
        tail += depth < old


def relaxed(
    queue: Ints, first: Ints, graph: Ints, near: Ints, distance: Ints, mark: Ints, found: Ints, turn: int, n: int
) -> None:
    """A round of shortest paths, flat: vertices of `queue`, `near` when it began, offer their neighbours a way over them.

    Those that are nearer by it are `found`, once a round, which `mark` tells.
    """
    element = 0
    tail = 0
    at = first[queue[0]]
    following = first[queue[1]]
    for _ in range(n):
        word = graph[at]
        ends = word & 1
        vertex = word & 0xFFFE
        new = near[queue[element]] + (word >> 16)
        old = distance[vertex]
        distance[vertex] = min(old, new)
        nearer = new < old
        told = mark[vertex]
        mark[vertex] = turn if nearer else told
        found[tail] = vertex
        tail += nearer & (told != turn)
        at = following if ends else at + 1
        element += ends
        following = first[queue[element + 1]]


def relaxed_row(
    graph: Ints, distance: Ints, mark: Ints, found: Ints, near: int, begin: int, tail: int, turn: int, n: int
) -> None:
    """A vertex of shortest paths offers its neighbours a way over it."""
    for k in range(n):
        word = graph[begin + k]
        vertex = word & 0xFFFE
        new = near + (word >> 16)
        old = distance[vertex]
        distance[vertex] = min(old, new)
        nearer = new < old
        told = mark[vertex]
        mark[vertex] = turn if nearer else told
        found[tail] = vertex
        tail += nearer & (told != turn)
