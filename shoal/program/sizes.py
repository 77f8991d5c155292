"""Named, bounded sizes: an integer, or an expression over names such as "2*tokens*64".

Memory is planned with every name at its bound, time with the binding an item brings.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

from shoal.errors import InputError

Size = int | str

_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}
_FUNCTIONS: Mapping[str, Callable[..., int]] = {"max": max, "min": min}


def evaluate(size: Size, bindings: Mapping[str, int]) -> int:
    """The value of `size` with its names replaced by `bindings`.

    Raises:
        InputError: a name without a binding, a form that is not allowed, or a negative result.
    """
    value = size if isinstance(size, int) else _value(_parse(size), size, bindings)
    if value < 0:
        raise InputError(f"size '{size}' is negative", had=str(value))
    return value


def names(size: Size) -> frozenset[str]:
    """The names `size` depends on."""
    if isinstance(size, int):
        return frozenset()
    found = {node.id for node in ast.walk(_parse(size)) if isinstance(node, ast.Name)}
    return frozenset(found - set(_FUNCTIONS))


def _parse(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as fault:
        raise InputError(f"'{text}' is not a size", hint='write it like "2*tokens*64"') from fault


def _value(node: ast.expr, text: str, bindings: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            if name not in bindings:
                raise InputError(f"size '{text}' needs '{name}'", hint=f"bind it: {name}=…")
            return bindings[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            divisor = _value(right, text, bindings)
            if isinstance(op, ast.FloorDiv) and divisor == 0:
                raise InputError(f"size '{text}' divides by zero")
            return _OPERATORS[type(op)](_value(left, text, bindings), divisor)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS and args:
            return _FUNCTIONS[name](*(_value(arg, text, bindings) for arg in args))
        case _:
            raise InputError(f"'{text}' is not a size", hint="allowed: integers, names, + - * // max min")
