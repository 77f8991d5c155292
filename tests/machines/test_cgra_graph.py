"""Loops as graphs: what is traced, what waits for what, what is refused."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from shoal.errors import InputError, ModelError
from shoal.machines.cgra import KERNELS, Dataflow, Node, Read, conventional, kernel, traced
from shoal.machines.cgra._kernels import Ints


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_as_plain_python_gives_what_numpy_gives(name: str) -> None:
    each = kernel(name)
    memory = each.drawn(3)
    expected = each.expected({key: values.copy() for key, values in memory.items()})
    for scalars in each.entries():
        every = {**memory, **each.constants, **scalars}
        each.function(**{key: every[key] for key in inspect.signature(each.function).parameters})
    for key, values in expected.items():
        np.testing.assert_array_equal(memory[key], values.ravel())


def test_nodes_of_a_product_counted_by_hand() -> None:
    graph = kernel("gemm").graph()  # counter, i n + k, load, k n, + j, load, product, sum, store
    assert [node.op for node in graph.nodes] == ["add", "add", "load", "mul", "add", "load", "mul", "add", "store"]
    assert graph.trips == 8
    assert graph.recurrence_cycles == 1
    assert graph.heights[0] == 6
    assert kernel("gemm").graph(4).recurrence_cycles == 4  # four sums one after another
    assert kernel("gemm").graph(2).trips == 4


def test_values_in_memory_wait_for_one_another_only_where_they_meet() -> None:
    graph = kernel("seidel").graph()
    (store,) = (at for at, node in enumerate(graph.nodes) if node.op == "store")
    carried = [edge for edge in graph.edges if edge.source == store and edge.distance]
    assert [(graph.nodes[edge.target].op, edge.distance) for edge in carried] == [("load", 1)]  # a[j - 1]
    assert graph.recurrence_cycles == 4  # load, sum, shift, store


def shifted(a: Ints, b: Ints, n: int) -> None:
    """Names that hand values on from iteration to iteration."""
    older = 5
    old = 7
    for i in range(n):
        b[i] = older + a[i]
        older = old
        old = a[i]


def test_a_value_may_be_some_iterations_old() -> None:
    graph = traced(shifted, n=6)
    (found,) = (
        each for node in graph.nodes for each in node.operands if isinstance(each, Read) and each.distance == 2
    )
    assert found.first == (5, 7)
    assert graph.nodes[found.node].op == "load"


def followed(a: Ints, b: Ints, n: int) -> None:
    at = 0
    for _ in range(n):
        at = a[at]
        b[at] = at


def test_an_index_that_nobody_reads_is_no_node() -> None:
    graph = traced(followed, n=8)
    assert [node.op for node in graph.nodes] == ["load", "store"]
    assert graph.nodes[0].operands == (Read(0, 1, (0,)),)
    assert graph.nodes[1].after == ((1, 1),)


def dividing(a: Ints, n: int) -> None:
    """Not of the subset."""
    for i in range(n):
        a[i] = a[i] // 2


def unknown(a: Ints, n: int) -> None:
    """A name from nowhere."""
    for i in range(n):
        a[i] = a[i] + outside  # type: ignore[name-defined]  # noqa: F821


def test_what_is_outside_of_the_subset_is_named_with_its_line() -> None:
    with pytest.raises(ModelError, match=r"dividing, line 4: 'a\[i\] // 2' is outside"):
        traced(dividing, n=4)
    with pytest.raises(ModelError, match="'outside' is not known"):
        traced(unknown, n=4)
    with pytest.raises(InputError, match="8 trips in copies of 3"):
        kernel("gemm").graph(3)
    with pytest.raises(InputError, match="no kernel 'lu'"):
        kernel("lu")


def test_parts_in_lockstep_are_a_graph_where_that_is_said() -> None:
    two = (Node("load", (0,), "a"), Node("load", (1,), "a"))
    assert len(Dataflow("two", two, parts=True).nodes) == 2
    with pytest.raises(ModelError, match="nothing to do with one another"):
        Dataflow("two", two)
    least = conventional(edge=4).least_cycles(Dataflow("five", 5 * two[:1], parts=True))
    assert least == (1, 1)
    assert conventional().least_cycles(Dataflow("five", 5 * two[:1], parts=True)) == (2, 1)  # four ports


def test_graphs_that_are_none_are_refused() -> None:
    counter = Node("add", (Read(0, 1, (0,)), 1))
    with pytest.raises(ModelError, match="no unit does 'div'"):
        Dataflow("x", (Node("div", (Read(0, 1, (0,)), 1)),))
    with pytest.raises(ModelError, match=r"a cycle within one iteration \(had 0 add, 1 add\)"):
        Dataflow("x", (Node("add", (Read(1), 1)), Node("add", (Read(0), 1))))
    with pytest.raises(ModelError, match="node 1 'add' apart from node 0"):
        Dataflow("x", (counter, Node("add", (Read(1, 1, (0,)), 1))))
    with pytest.raises(ModelError, match="'add' with 1 operands"):
        Dataflow("x", (Node("add", (Read(0, 1, (0,)),)),))
    with pytest.raises(ModelError, match="two operands that are no node's"):
        Dataflow("x", (Node("add", (1, 2)),))
    with pytest.raises(ModelError, match="does nothing"):
        Dataflow("x", ())
