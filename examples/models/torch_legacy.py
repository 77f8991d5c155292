"""Weights out of PyTorch's old checkpoint format, read without PyTorch and without unpickling.

Such a file is five pickles (magic number, protocol, system facts, state dict, storage keys) and then, for
each key, an int64 element count and that many little-endian elements. The pickles are *interpreted*: of
pickle's instructions only those that build numbers, texts, tuples, lists and dicts are known, nothing named
in the file is ever imported or called, and four names stand for fixed meanings of ours. Format: PyTorch
`torch/serialization.py`, `_legacy_save`; instructions: CPython `Lib/pickletools.py`.
"""

from __future__ import annotations

import io
import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
DTYPES: dict[str, np.dtype[Any]] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch LongStorage": np.dtype("<i8"),
}
REBUILD = "torch._utils _rebuild_tensor_v2"
ORDERED = "collections OrderedDict"
COUNT = np.dtype("<i8")
ITEMS_LIMIT = 1 << 20  # instructions in one pickle; a state dict of 296 tensors takes about 11,000


@dataclass(frozen=True)
class Name:
    """One of the four global names a file may mention: "module name"."""

    text: str


@dataclass(frozen=True)
class Storage:
    """A run of `count` elements that follows the pickles under `key`."""

    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage, from element `offset` on; strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Return the state dict of a checkpoint: name → array, read-only views of the file's bytes.

    Raises:
        ModelError: the file is not such a checkpoint, is cut short, or holds anything beyond tensors.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError("the weight file cannot be read", where=str(path), had=str(error)) from error
    stream = io.BytesIO(data)
    try:
        state = _state_dict(stream)
        storages = _storages(stream, data, state)
        return {name: _view(tensor, storages) for name, tensor in state.items()}
    except _Refused as error:
        raise ModelError(str(error), where=str(path), needed="a legacy PyTorch state dict") from error


class _Refused(ValueError):
    """Something in the file is not allowed; the reader names the file."""


def _state_dict(stream: io.BytesIO) -> dict[str, Tensor]:
    if _interpret(stream) != MAGIC or _interpret(stream) != PROTOCOL:
        raise _Refused("magic number or protocol is another one")
    system = _interpret(stream)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise _Refused("the weights are not little-endian")
    state = _interpret(stream)
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise _Refused("the state dict is not a dict of names")
    if not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise _Refused("the state dict holds something that is not a tensor")
    return state


def _storages(stream: io.BytesIO, data: bytes, state: dict[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Key → elements; each count is checked against its declaration and the bytes that are left."""
    declared = {tensor.storage.key: tensor.storage for tensor in state.values()}
    if any(tensor.storage != declared[tensor.storage.key] for tensor in state.values()):
        raise _Refused("a storage is declared twice, not alike")
    keys = _interpret(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _Refused("the storage keys are not a list of names")
    if sorted(keys) != sorted(declared):
        raise _Refused("the storage keys are not those of the tensors")
    storages: dict[str, NDArray[Any]] = {}
    at = stream.tell()
    for key in keys:  # every count is a Python integer: no declared size can overflow or allocate
        storage, start = declared[key], at + COUNT.itemsize
        at = start + storage.count * storage.dtype.itemsize
        if at > len(data):
            raise _Refused(f"storage '{key}' is cut short")
        if int(np.frombuffer(data, COUNT, 1, start - COUNT.itemsize)[0]) != storage.count:
            raise _Refused(f"storage '{key}' holds another number of elements than its tensor says")
        storages[key] = np.frombuffer(data, storage.dtype, storage.count, start)
    if at != len(data):
        raise _Refused(f"{len(data) - at} bytes follow the last storage")
    return storages


def _view(tensor: Tensor, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
    elements = storages[tensor.storage.key][tensor.offset :]
    strides = [step * elements.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(elements, tensor.shape, strides, writeable=False)


def _interpret(stream: io.BytesIO) -> Any:
    """Run one pickle's instructions on a stack of plain values and return what it leaves."""
    machine = _Machine()
    try:
        for _ in range(ITEMS_LIMIT):
            name, argument = _instruction(stream)
            if name == "STOP":
                return machine.result()
            machine.step(name, argument)
    except (IndexError, KeyError, TypeError) as error:
        raise _Refused(f"a pickle that does not hold together: {error!r}") from error
    except _Refused:
        raise
    except ValueError as error:
        raise _Refused(f"a damaged pickle: {error}") from error
    raise _Refused(f"a pickle of more than {ITEMS_LIMIT} instructions")


def _instruction(stream: io.BytesIO) -> tuple[str, Any]:
    """The next instruction and its argument; what is not allowed is refused before its argument is read."""
    opcode = _OPCODES.get(stream.read(1).decode("latin-1"))
    if opcode is None:
        raise _Refused(f"the pickle instruction at byte {stream.tell() - 1} is not allowed")
    if opcode.name == "GLOBAL":  # two plain lines, without the escapes that pickletools would decode
        return "GLOBAL", " ".join(stream.readline().rstrip(b"\n").decode("ascii") for _ in range(2))
    return opcode.name, None if opcode.arg is None else opcode.arg.reader(stream)


class _Machine:
    """A pickle stack machine without the power to import or call anything."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Execute one allowed instruction."""
        if name in _PUSHED:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)

    def result(self) -> Any:
        """The one value left on the stack."""
        if len(self.stack) != 1 or self.marks:
            raise _Refused("a pickle that leaves more or less than one value")
        return self.stack[0]

    def pop(self, count: int) -> list[Any]:
        """Take the newest `count` values, oldest first."""
        if count > len(self.stack) - (self.marks[-1] if self.marks else 0):
            raise _Refused("a pickle that takes more than it gave")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def pop_to_mark(self) -> list[Any]:
        """Take everything above the newest mark, and the mark."""
        taken = self.pop(len(self.stack) - self.marks[-1])
        self.marks.pop()
        return taken


def _global(machine: _Machine, argument: str) -> None:
    if argument not in (ORDERED, REBUILD, *DTYPES):
        raise _Refused(f"name '{argument}' is not allowed")
    machine.stack.append(Name(argument))


def _persistent(machine: _Machine, _: None) -> None:
    """('storage', type, key, location, count[, view]) → Storage."""
    (facts,) = machine.pop(1)
    kind, type_name, key, _location, count = facts[:5]
    whole = len(facts) == 5 or facts[5] is None
    if kind != "storage" or not isinstance(type_name, Name) or not isinstance(key, str) or not whole:
        raise _Refused("a persistent id that is not a plain storage")
    machine.stack.append(Storage(key, DTYPES[type_name.text], _natural(count)))


def _reduce(machine: _Machine, _: None) -> None:
    """What a call would be: an empty ordered dict, or a tensor over a storage."""
    function, arguments = machine.pop(2)
    if function == Name(ORDERED) and arguments == ():
        machine.stack.append({})
    elif function == Name(REBUILD):
        machine.stack.append(_tensor(*arguments[:4]))
    else:
        raise _Refused("a call that builds neither a dict nor a tensor")


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise _Refused("a tensor without storage, shape or strides")
    sizes, steps = tuple(map(_natural, shape)), tuple(map(_natural, strides))
    if len(sizes) != len(steps) or 0 in sizes or math.prod(sizes) > storage.count:
        raise _Refused("a tensor with sizes that do not fit its storage")
    used = tuple(step if size > 1 else 0 for size, step in zip(sizes, steps, strict=True))
    last = _natural(offset) + sum((size - 1) * step for size, step in zip(sizes, used, strict=True))
    if last >= storage.count:
        raise _Refused("a tensor that reaches beyond its storage")
    return Tensor(storage, offset, sizes, used)


def _natural(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise _Refused("a size that is not a whole number from 0 on")
    return value


def _set_items(machine: _Machine, pairs: list[Any]) -> None:
    target = machine.stack[-1]
    if not isinstance(target, dict) or len(pairs) % 2:
        raise _Refused("items set on something that is not a dict")
    if not all(isinstance(key, str) for key in pairs[::2]):
        raise _Refused("a dict with a key that is not a name")
    target.update(zip(pairs[::2], pairs[1::2], strict=True))


def _append(machine: _Machine, items: list[Any]) -> None:
    if not isinstance(machine.stack[-1], list):
        raise _Refused("items appended to something that is not a list")
    machine.stack[-1].extend(items)


def _build(machine: _Machine, _: None) -> None:
    """Drop the attributes of a dict (a state dict's module versions); nothing else may have any."""
    machine.pop(1)
    if not isinstance(machine.stack[-1], dict):
        raise _Refused("attributes set on something that is not a dict")


def _remember(machine: _Machine, index: int) -> None:
    machine.memo[index] = machine.stack[-1]


def _tuple(count: int) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(tuple(machine.pop(count)))


_IGNORED = {"PROTO", "STOP"}
_PUSHED = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "BINFLOAT"}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_to_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "SETITEM": lambda machine, _: _set_items(machine, machine.pop(2)),
    "SETITEMS": lambda machine, _: _set_items(machine, machine.pop_to_mark()),
    "APPEND": lambda machine, _: _append(machine, machine.pop(1)),
    "APPENDS": lambda machine, _: _append(machine, machine.pop_to_mark()),
    "BINPUT": _remember,
    "LONG_BINPUT": _remember,
    "BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "GLOBAL": _global,
    "BINPERSID": _persistent,
    "REDUCE": _reduce,
    "BUILD": _build,
}
_ALLOWED = {*_IGNORED, *_PUSHED, *_CONSTANTS, *_ACTIONS}
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes if opcode.name in _ALLOWED}
