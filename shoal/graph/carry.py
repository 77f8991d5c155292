"""Outputs of a loaded graph bound to inputs of its next item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from shoal.catalog import nearest
from shoal.errors import ModelError
from shoal.graph.loops import contracted
from shoal.graph.values import Carried, Graph

Carry = Mapping[str, str] | Iterable[Carried]  # input → output, or with initial value and scope


def pairs(carry: Carry) -> tuple[Carried, ...]:
    """`carry` as values."""
    if isinstance(carry, Mapping):
        return tuple(Carried(given, made) for given, made in carry.items())
    return tuple(carry)


def carry_over(graph: Graph, carry: Carry) -> Graph:
    """`graph` with these outputs carried over to these inputs, and the ops of each loop next to one another.

    What is carried is no longer asked of whoever brings an item, nor answered.

    Raises:
        ModelError: no such input or output, or one that no op reads or makes; another type or shape; an input
            carried twice; two scopes; nothing is left to bring, or to answer.
    """
    carried = pairs(carry)
    if not carried:
        return graph
    for each in carried:
        _check(graph, each)
    _check_all(graph, carried)
    given, made = {each.input for each in carried}, {each.output for each in carried}
    found = replace(
        graph,
        inputs=tuple(name for name in graph.inputs if name not in given),
        outputs=tuple(name for name in graph.outputs if name not in made),
        carried=carried,
    )
    if not found.inputs:
        raise ModelError("all inputs are carried: nothing would tell that an item is there", where=graph.source)
    if not found.outputs:
        raise ModelError(
            "all outputs are carried: nothing is left to answer",
            where=graph.source,
            hint="let the model also give the tensor under another name, by an Identity",
        )
    wholes = [[found.position[name] for name in loop] for loop in found.loops]
    order = [index for node in contracted(found, wholes) for index in node]
    return replace(found, ops=tuple(found.ops[index] for index in order))


def _check(graph: Graph, each: Carried) -> None:
    where = f"{graph.source}: carry {each.input}={each.output}"
    for what, name, known in (("input", each.input, graph.inputs), ("output", each.output, graph.outputs)):
        if name not in known:
            raise ModelError(f"the model has no {what} '{name}'", where=where, hint=nearest(name, known))
    if each.output not in graph.producer:
        raise ModelError(f"no op makes the output '{each.output}'", where=where)
    if not graph.consumers[each.input]:
        raise ModelError(f"no op reads the input '{each.input}'", where=where)
    forms = [
        f"{tensor.dtype}{list(tensor.shape)}"
        for tensor in map(graph.tensors.__getitem__, (each.input, each.output))
    ]
    if forms[0] != forms[1]:
        raise ModelError(
            "what is carried must fit the input",
            where=where,
            needed=f"{forms[0]}, as '{each.input}'",
            had=f"{forms[1]} in '{each.output}'",
        )


def _check_all(graph: Graph, carried: tuple[Carried, ...]) -> None:
    for name, count in Counter(each.input for each in carried).items():
        if count > 1:
            makers = ", ".join(each.output for each in carried if each.input == name)
            raise ModelError(f"the input '{name}' is carried {count} times", where=graph.source, had=makers)
    if len({each.scope for each in carried}) > 1:
        scopes = ", ".join(f"{each.input} {each.scope}" for each in carried)
        raise ModelError(
            "states of two scopes would see the items in two orders", where=graph.source, had=scopes,
            hint="give all of them one scope",
        )  # fmt: skip
