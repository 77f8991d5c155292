"""Named, bounded sizes: a number, or arithmetic over names that an item's bindings fill in.

`"2*tokens*64"` with `{"tokens": 12}` is 1536. Memory is planned at the names' bounds, time at an item's
values. Only whole numbers, names, `+ - * //`, brackets, `max` and `min` are understood.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache

from shoal.errors import InputError

Size = int | str

LONGEST = 500  # characters: expressions come over the network too

_BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}
_CALLS: dict[str, Callable[..., int]] = {"max": max, "min": min}


def evaluate(size: Size, bindings: Mapping[str, int]) -> int:
    """The number `size` stands for under `bindings`.

    Raises:
        InputError: not such an expression, an unknown name, division by zero, or a negative result.
    """
    result = size if isinstance(size, int) else _value(_parse(size), bindings, size)
    if result < 0:
        raise InputError("a size came out negative", where=f"size '{size}'", had=str(result))
    return result


def names(size: Size) -> frozenset[str]:
    """The names `size` depends on.

    Raises:
        InputError: not such an expression.
    """
    return frozenset() if isinstance(size, int) else _names(_parse(size), size)


@lru_cache(maxsize=4096)
def _parse(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise InputError(f"a size of {len(text)} characters", needed=f"at most {LONGEST}")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
        raise _refusal(text) from fault


def _value(node: ast.expr, bindings: Mapping[str, int], text: str) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        if node.id not in bindings:
            known = ", ".join(sorted(bindings)) or "none"
            raise InputError(f"nothing binds '{node.id}'", where=f"size '{text}'", hint=f"known: {known}")
        return bindings[node.id]
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _value(node.left, bindings, text), _value(node.right, bindings, text)
        if isinstance(node.op, ast.FloorDiv) and right == 0:
            raise InputError("division by zero", where=f"size '{text}'")
        return _BINARY[type(node.op)](left, right)
    call, arguments = _call(node, text)
    return call(_value(argument, bindings, text) for argument in arguments)


def _names(node: ast.expr, text: str) -> frozenset[str]:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return frozenset()
    if isinstance(node, ast.Name):
        return frozenset((node.id,))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return _names(node.left, text) | _names(node.right, text)
    _, arguments = _call(node, text)
    return frozenset[str]().union(*(_names(argument, text) for argument in arguments))


def _call(node: ast.expr, text: str) -> tuple[Callable[..., int], list[ast.expr]]:
    plain = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS
    if not plain or node.keywords or not node.args:  # type: ignore[attr-defined]  # a Call, by `plain`
        raise _refusal(text)
    return _CALLS[node.func.id], node.args  # type: ignore[attr-defined]  # as above


def _refusal(text: str) -> InputError:
    return InputError(f"'{text}' is no size", needed="whole numbers, names, + - * // ( ) max min")
