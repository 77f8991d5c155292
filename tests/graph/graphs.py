"""Graphs of ops without an ONNX model behind them, for what only reads the structure."""

from __future__ import annotations

from typing import cast

import onnx_ir as ir
from hypothesis import strategies as st

from shoal.graph import Graph, Op, Tensor, Weight


def graph(
    edges: dict[str, str],
    outputs: str,
    kinds: dict[str, str] | None = None,
    sizes: dict[str, int] | None = None,
) -> Graph:
    """Ops named like their one output; `edges` maps op to the names it reads, in upper case if weights.

    Names nobody makes are inputs. Tensors hold `sizes` bytes, 1 by default.
    """
    sizes = sizes or {}
    reads = {name: tuple(text.split()) for name, text in edges.items()}
    weights = {name for names in reads.values() for name in names if name.isupper()}
    inputs = tuple(
        dict.fromkeys(n for names in reads.values() for n in names if n not in reads and n not in weights)
    )
    tensors = {name: Tensor(name, "int8", (sizes.get(name, 1),)) for name in (*inputs, *reads)}
    ops = tuple(
        Op(
            name,
            (kinds or {}).get(name, "Op"),
            tuple(n for n in names if n not in weights),
            tuple(n for n in names if n in weights),
            (name,),
            0,
            0,
            sum(tensors[n].bytes for n in names if n not in weights),
            tensors[name].bytes,
        )
        for name, names in reads.items()
    )
    holders = {name: Weight(name, "int8", (1,)) for name in weights}
    nothing = cast(ir.Model, None)
    return Graph("small", "", "", ops, tensors, holders, inputs, tuple(outputs.split()), nothing)


@st.composite
def random_graphs(draw: st.DrawFn, most: int = 14) -> Graph:
    """Any small graph: several inputs, constant ops, branches, outputs in the middle."""
    count = draw(st.integers(1, most))
    known = ["in0", "in1"]
    edges = {}
    for index in range(count):
        read = draw(st.lists(st.sampled_from(known), max_size=3, unique=True))
        edges[f"op{index}"] = " ".join(read)
        known.append(f"op{index}")
    unread = set(edges) - {name for text in edges.values() for name in text.split()}
    extra = draw(st.sets(st.sampled_from(sorted(edges)), max_size=2))
    sizes = {name: draw(st.integers(1, 9)) for name in known}
    return graph(edges, " ".join(sorted(unread | extra)), sizes=sizes)
