from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from shoal.graph import Carried, Graph, boundary, peak_live_bytes
from tests.graph.graphs import graph, random_graphs

NET = graph({"a": "x", "b": "a", "c": "a", "d": "b c", "e": "d y"}, "e b", sizes={"a": 5, "y": 7})


def test_boundary() -> None:
    assert boundary(NET, ["a", "b"]) == (("x",), ("a", "b"))
    assert boundary(NET, ["c", "a"]) == (("x",), ("a", "c"))
    assert boundary(NET, ["b", "e"]) == (("a", "d", "y"), ("b", "e"))
    assert boundary(NET, NET.position) == (("x", "y"), ("b", "e"))
    assert boundary(NET, []) == ((), ())


def test_peak() -> None:
    assert peak_live_bytes(NET, ["a"]) == 1 + 5
    assert peak_live_bytes(NET, ["a", "b", "c", "d"]) == 7  # a, b, c
    assert peak_live_bytes(NET, list(NET.position)) == 1 + 7 + 5 + 1  # y waits from the start
    assert peak_live_bytes(NET, []) == 0


def test_a_state_is_not_alive_in_those_that_keep_it() -> None:
    net = graph({"a": "x h", "n": "a h"}, "a n", sizes={"h": 9, "n": 9, "a": 2})
    kept = replace(net, inputs=("x",), outputs=("a",), carried=(Carried("h", "n"),))
    whole = ["a", "n"]
    assert peak_live_bytes(net, whole) == 1 + 9 + 2 + 9 - 1  # x goes after a
    assert peak_live_bytes(kept, whole) == 2 + 9  # h stands among the states, n is alive until it takes its place
    assert peak_live_bytes(kept, ["a"]) == 1 + 9 + 2  # comes from another unit: alive like any input


@given(random_graphs(), st.data())
def test_peak_against_counting_by_hand(net: Graph, data: st.DataObject) -> None:
    names = [op.name for op in net.ops]
    chosen = sorted(data.draw(st.sets(st.sampled_from(names))), key=net.position.__getitem__)
    inputs, outputs = boundary(net, chosen)
    steps = [net.ops[net.position[name]] for name in chosen]
    peak = sum(net.tensors[name].bytes for name in inputs)
    for now, op in enumerate(steps):
        later = {name for step in steps[now:] for name in step.inputs}
        made = {name for step in steps[:now] for name in step.outputs}
        alive = (later & ({*inputs} | made)) | (made & {*outputs}) | {*op.outputs}
        peak = max(peak, sum(net.tensors[name].bytes for name in alive))
    assert peak_live_bytes(net, chosen) == peak
