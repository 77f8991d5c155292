"""A loop of Python as a dataflow graph. The same text runs as plain Python, so it is its own reference.

The subset: scalars set before one `for k in range(…)`; in it assignments to names and array elements, and loops over known
ranges, which are written out; + - * << >> & | ^,
one comparison, `a if c else b`, min, max. Arrays are flat. Names that are not constants are outer loops' scalars.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from shoal.errors import InputError, ModelError
from shoal.machines.cgra._graph import Dataflow, Live, Node, Operand, Read, Scalar
from shoal.machines.cgra._ops import LOAD, OPS, STORE

BINARY: Mapping[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.LShift: "shl", ast.RShift: "shr",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
}  # fmt: skip
COMPARED: Mapping[type[ast.cmpop], tuple[str, bool]] = {  # op, and whether the sides change places
    ast.Lt: ("lt", False), ast.LtE: ("le", False), ast.Gt: ("lt", True), ast.GtE: ("le", True),
    ast.Eq: ("eq", False), ast.NotEq: ("ne", False),
}  # fmt: skip
COMMUTATIVE = ("add", "mul", "and", "or", "xor", "min", "max", "eq", "ne")


@dataclass(frozen=True)
class _Carried:
    """What a name held at the end of the iteration before; which node that is turns out at the end of the body."""

    name: str


_Value: TypeAlias = Operand | _Carried
_Form: TypeAlias = dict[Scalar | str, int]  # a sum: how many of each scalar, of the iteration "@", and of one ""


@dataclass
class _Access:
    """A load or store of the body, with its index as a sum if it is one."""

    node: int
    array: str
    stores: bool
    form: _Form | None


def traced(function: Callable[..., None], unroll: int = 1, **constants: int) -> Dataflow:
    """The innermost loop of `function`.

    Args:
        function: one loop of the subset, written in a file.
        unroll: copies of the body in an iteration.
        constants: parameters that are known now; the others are arrays, if indexed, or scalars of outer loops.

    Raises:
        ModelError: something outside of the subset; the message names the line.
        InputError: a number of trips that the copies do not divide.
    """
    source = textwrap.dedent(inspect.getsource(function))
    (definition,) = ast.parse(source).body
    if not isinstance(definition, ast.FunctionDef):
        raise ModelError("no function", where=function.__name__)
    parameters = tuple(each.arg for each in definition.args.args)
    return _Tracer(function.__name__, dict(constants), parameters).graph(definition, unroll)


@dataclass
class _Tracer:
    """Carries out the body with nodes in place of numbers."""

    name: str
    known: dict[str, _Value]
    parameters: tuple[str, ...]
    nodes: list[Node] = field(default_factory=list)
    reads: list[tuple[_Value, ...]] = field(default_factory=list)  # of each node, carried names still by name
    forms: list[_Form | None] = field(default_factory=list)
    made: dict[tuple[object, ...], Read] = field(default_factory=dict)  # equal operations are one node
    accesses: list[_Access] = field(default_factory=list)
    stored: set[str] = field(default_factory=set)

    def graph(self, definition: ast.FunctionDef, unroll: int) -> Dataflow:
        *before, loop = [each for each in definition.body if not _docstring(each)]
        for each in before:
            self._assign(each)
        if not isinstance(loop, ast.For) or not isinstance(loop.target, ast.Name):
            raise self._outside(loop)
        start, trips = self._range(loop, unroll)
        first = {name: self._named(name, loop) for name in _assigned(loop.body)
                 if name in self.known or name in self.parameters}  # fmt: skip
        self.known |= {name: _Carried(name) for name in first}
        self.stored = {each.value.id for each in ast.walk(loop) if isinstance(each, ast.Subscript)
                       and isinstance(each.ctx, ast.Store) and isinstance(each.value, ast.Name)}  # fmt: skip
        index = self._index(start, unroll)
        for copy in range(unroll):
            self.known[loop.target.id] = self._node("add", index, copy) if copy else index
            for each in loop.body:
                self._assign(each)
        return self._closed(first, trips)

    def _range(self, loop: ast.For, unroll: int) -> tuple[int, int]:
        start, stop = self._bounds(loop)
        if unroll < 1 or stop <= start or (stop - start) % unroll:
            raise InputError(f"{stop - start} trips in copies of {unroll}", where=self.name, needed="a divisor")
        return start, (stop - start) // unroll

    def _bounds(self, loop: ast.For) -> tuple[int, int]:
        call = loop.iter
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "range":
            raise self._outside(loop)
        ends = [self._value(each) for each in call.args]
        bounds = [each for each in ends if isinstance(each, int)]
        if len(bounds) != len(ends) or len(bounds) > 2:
            raise ModelError("a range that is not known", where=f"{self.name}, line {loop.lineno}")
        start, stop = (0, *bounds)[-2:]
        return start, stop

    def _index(self, start: int, unroll: int) -> Read:
        """The loop's own counter: what it held plus a step."""
        at = len(self.nodes)
        self._append("add", (Read(at, 1, (start - unroll,)), unroll), {"@": unroll, "": start})
        return Read(at)

    def _assign(self, each: ast.stmt) -> None:
        if isinstance(each, ast.AugAssign) and type(each.op) in BINARY:
            old = _loading(each.target)
            self._put(each.target, self._value(ast.copy_location(ast.BinOp(old, each.op, each.value), each)))
        elif isinstance(each, ast.Assign) and len(each.targets) == 1:
            self._put(each.targets[0], self._value(each.value))
        elif isinstance(each, ast.For) and isinstance(each.target, ast.Name):
            for at in range(*self._bounds(each)):  # a loop inside is written out
                self.known[each.target.id] = at
                for inner in each.body:
                    self._assign(inner)
        else:
            raise self._outside(each)

    def _put(self, target: ast.expr, value: _Value) -> None:
        if isinstance(target, ast.Name):
            self.known[target.id] = value
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            index = self._value(target.slice)
            self._access(STORE, target.value.id, index, value)
        else:
            raise self._outside(target)

    def _value(self, each: ast.expr) -> _Value:  # noqa: PLR0911  # one return a form
        match each:
            case ast.Constant(value=int(value)):
                return value
            case ast.Name(id=name):
                return self._named(name, each)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return self._node("sub", 0, self._value(inner))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
                return self._node(BINARY[type(op)], self._value(left), self._value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARED:
                name, turned = COMPARED[type(op)]
                sides = self._value(left), self._value(right)
                return self._node(name, *(sides[::-1] if turned else sides))
            case ast.IfExp(test=test, body=body, orelse=other):
                return self._node("select", self._value(body), self._value(other), self._value(test))
            case ast.Call(func=ast.Name(id="min" | "max" as name), args=[left, right]):
                return self._node(name, self._value(left), self._value(right))
            case ast.Subscript(value=ast.Name(id=array), slice=index):
                return self._access(LOAD, array, self._value(index))
        raise self._outside(each)

    def _named(self, name: str, each: ast.AST) -> _Value:
        if name in self.known:
            return self.known[name]
        if name not in self.parameters:
            raise ModelError(f"'{name}' is not known", where=f"{self.name}, line {getattr(each, 'lineno', '?')}")
        return Live("name", name=name)

    def _node(self, op: str, *of: _Value) -> _Value:
        """A node, or a number if all operands are; the same node for the same operation."""
        scalars = tuple(each for each in of if isinstance(each, int | Live))
        if len(scalars) == len(of):
            plain = tuple(each for each in scalars if isinstance(each, int))
            return OPS[op].of(*plain) if len(plain) == len(of) else Live(op, scalars)
        if op in COMMUTATIVE and isinstance(of[0], int):
            of = of[::-1]
        if _idle(op, of):
            return of[0]
        key = (op, *(sorted(of, key=repr) if op in COMMUTATIVE else of))
        if key not in self.made:
            self.made[key] = self._append(op, of, self._form(op, of))
        return self.made[key]

    def _access(self, op: str, array: str, index: _Value, *value: _Value) -> _Value:
        key = (op, array, index)
        if op == LOAD and array not in self.stored and isinstance(index, int | Live):
            return Live(LOAD, (index,), array)
        if op == LOAD and array not in self.stored and key in self.made:
            return self.made[key]
        self.accesses.append(_Access(len(self.nodes), array, op == STORE, self._formed(index)))
        self.made[key] = self._append(op, (index, *value), None, array)
        return self.made[key]

    def _append(self, op: str, of: tuple[_Value, ...], form: _Form | None, array: str = "") -> Read:
        self.nodes.append(Node(op, (), array))
        self.reads.append(of)
        self.forms.append(form)
        return Read(len(self.nodes) - 1)

    def _formed(self, value: _Value) -> _Form | None:
        match value:
            case Read(node=node, distance=0):
                return self.forms[node]
            case int():
                return {"": value}
            case Live(op="add" | "sub" | "mul" as op, of=of):
                return self._form(op, of) or {value: 1}
            case Live():
                return {value: 1}
        return None

    def _form(self, op: str, of: Sequence[_Value]) -> _Form | None:
        if op not in ("add", "sub", "mul"):
            return None
        left, right = (self._formed(each) for each in of)
        if left is None or right is None:
            return None
        if op == "mul":
            if set(left) == {""}:
                left, right = right, left
            return {term: count * right[""] for term, count in left.items()} if set(right) == {""} else None
        sign = 1 if op == "add" else -1
        return {term: left.get(term, 0) + sign * right.get(term, 0) for term in {**left, **right}}

    def _closed(self, first: Mapping[str, _Value], trips: int) -> Dataflow:
        """The graph, once it is known what each name holds at the end of the body."""
        made = [replace(node, operands=tuple(self._resolved(each, first) for each in of))
                for node, of in zip(self.nodes, self.reads, strict=True)]  # fmt: skip
        for at, other, distance in _waits(self.accesses):
            if distance >= trips:
                continue
            made[at] = replace(made[at], after=(*made[at].after, (other, distance)))
        return Dataflow(self.name, tuple(_without_idle_index(made)), trips)

    def _resolved(self, value: _Value, first: Mapping[str, _Value]) -> Operand:
        if not isinstance(value, _Carried):
            return value
        before: list[Scalar] = []
        while isinstance(value, _Carried):  # a name may hold what another one held
            start = first[value.name]
            if not isinstance(start, int | Live):
                raise ModelError(f"'{value.name}' starts as no number", where=self.name)
            before.append(start)
            value = self.known[value.name]
            if len(before) > len(first):
                raise ModelError("names that only hold one another", where=self.name)
        if not isinstance(value, Read):
            raise ModelError("a name is set to a number in the loop", where=self.name)
        return Read(value.node, len(before), tuple(before))

    def _outside(self, each: ast.AST) -> ModelError:
        where = f"{self.name}, line {getattr(each, 'lineno', '?')}"
        return ModelError(f"'{ast.unparse(each).splitlines()[0]}' is outside of what loops may hold", where=where)


def _idle(op: str, of: tuple[_Value, ...]) -> bool:
    """Whether the operation gives its first operand back."""
    return (op in ("add", "sub", "shl", "shr", "or", "xor") and of[1] == 0) or (op == "mul" and of[1] == 1)


def _without_idle_index(nodes: list[Node]) -> list[Node]:
    """An index that no other node reads is left out: arrays count iterations beside."""
    if len(nodes) == 1 or any(
        isinstance(each, Read) and not each.node for node in nodes[1:] for each in node.operands
    ):
        return nodes
    return [replace(node, operands=tuple(replace(each, node=each.node - 1) if isinstance(each, Read) else each
                                         for each in node.operands),
                    after=tuple((other - 1, distance) for other, distance in node.after))
            for node in nodes[1:]]  # fmt: skip


def _waits(accesses: list[_Access]) -> list[tuple[int, int, int]]:
    """Which access waits for which, how many iterations on: those of one array of which one stores and that may meet."""
    found = []
    for at, early in enumerate(accesses):
        for late in accesses[at:]:
            if early.array == late.array and (early.stores or late.stores):
                found += [each for each in _meeting(early, late) if each[0] != each[1] or each[2]]
    return found


def _meeting(early: _Access, late: _Access) -> list[tuple[int, int, int]]:
    always = [(late.node, early.node, 0), (early.node, late.node, 1)]
    if early.form is None or late.form is None:
        return always
    terms = {**early.form, **late.form}
    if any(early.form.get(term, 0) != late.form.get(term, 0) for term in terms if term != ""):
        return always
    apart, step = early.form.get("", 0) - late.form.get("", 0), early.form.get("@", 0)
    if not step:
        return [] if apart else always
    distance, rest = divmod(apart, step)
    if rest:
        return []
    return [(late.node, early.node, distance)] if distance >= 0 else [(early.node, late.node, -distance)]


def _assigned(body: list[ast.stmt]) -> list[str]:
    targets = [each.target if isinstance(each, ast.AugAssign) else each.targets[0] for each in body
               if isinstance(each, ast.AugAssign | ast.Assign)]  # fmt: skip
    return list(dict.fromkeys(each.id for each in targets if isinstance(each, ast.Name)))


def _loading(target: ast.expr) -> ast.expr:
    copied: ast.expr = ast.parse(ast.unparse(target), mode="eval").body
    return ast.copy_location(copied, target)


def _docstring(each: ast.stmt) -> bool:
    return isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
