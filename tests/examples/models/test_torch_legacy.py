"""The checkpoint reader against files written by a real pickler, and against hostile ones."""

import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.models import torch_legacy
from shoal.errors import ModelError

MODULES = {"torch": ["FloatStorage", "LongStorage"], "torch._utils": ["_rebuild_tensor_v2"]}


@dataclass
class Kept:
    """What a pickler writes as a persistent id."""

    facts: tuple[Any, ...]


@dataclass
class Called:
    """What a pickler writes as a call."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.arguments


class Pickler(pickle.Pickler):
    """Writes `Kept` as PyTorch writes its storages."""

    def persistent_id(self, obj: Any) -> Any:
        return obj.facts if isinstance(obj, Kept) else None


def global_names() -> dict[str, Any]:
    """Stand-ins with the names a checkpoint mentions, importable while it is written."""
    made = {}
    for module, names in MODULES.items():
        sys.modules[module] = ModuleType(module)
        for name in names:
            made[name] = type(name, (), {"__module__": module})
            setattr(sys.modules[module], name, made[name])
    return made


def pickled(value: Any) -> bytes:
    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def written(make: Callable[[dict[str, Any]], Any], storages: Iterable[tuple[str, np.ndarray]]) -> bytes:
    """A checkpoint whose state dict is what `make` builds from the global names."""
    saved = {name: sys.modules.get(name) for name in MODULES}
    try:
        state = make(global_names())
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
        kept = list(storages)
        head = [torch_legacy.MAGIC, torch_legacy.PROTOCOL, system, state, [key for key, _ in kept]]
        data = b"".join(map(pickled, head))
    finally:
        for name, module in saved.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module
    return data + b"".join(np.int64(array.size).tobytes() + array.tobytes() for _, array in kept)


def tensor(names: dict[str, Any], key: str, *facts: Any) -> Called:
    """A weight: elements of its storage, then offset, shape and strides."""
    count, *view = facts
    storage = Kept(("storage", names["FloatStorage"], key, "cpu", count, None))
    function = names["_rebuild_tensor_v2"]
    return Called(function, (storage, *view, False, OrderedDict()))


def checkpoint() -> bytes:
    """Two tensors: one dense, one a transposed view that begins inside its storage."""

    def make(names: dict[str, Any]) -> OrderedDict[str, Any]:
        state = OrderedDict(
            dense=tensor(names, "a", 6, 0, (2, 3), (3, 1)), turned=tensor(names, "b", 8, 2, (2, 3), (1, 2))
        )
        state._metadata = OrderedDict(version=1)  # type: ignore[attr-defined]  # as PyTorch's modules do
        return state

    return written(make, [("a", np.arange(6, dtype="<f4")), ("b", np.arange(8, dtype="<f4"))])


def read(tmp_path: Path, data: bytes) -> dict[str, np.ndarray]:
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    return torch_legacy.read(path)


def test_tensors_come_back(tmp_path: Path) -> None:
    state = read(tmp_path, checkpoint())
    assert list(state) == ["dense", "turned"]
    np.testing.assert_array_equal(state["dense"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(state["turned"], [[2, 4, 6], [3, 5, 7]])


def test_a_command_in_the_file_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "was_here"
    data = written(lambda _: OrderedDict(weight=Called(Path.touch, (str(trace),))), [])
    with pytest.raises(ModelError, match="not allowed"):
        read(tmp_path, data)
    data = written(lambda _: OrderedDict(weight=Called(eval, (f"open({str(trace)!r}, 'w')",))), [])
    with pytest.raises(ModelError, match=r"builtin.* eval' is not allowed"):
        read(tmp_path, data)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ((6, 0, (2, 4), (4, 1)), "do not fit its storage"),
        ((6, 3, (2, 2), (2, 1)), "beyond its storage"),
        ((6, 0, (2, 2), (5, 1)), "beyond its storage"),
        ((6, 0, (-1,), (1,)), "whole number"),
        ((6, 0, (2,), (-1,)), "whole number"),
        ((2**62, 0, (2,), (1,)), "cut short"),
        ((7, 0, (2,), (1,)), "cut short"),
        ((5, 0, (2,), (1,)), "another number of elements"),
    ],
)
def test_sizes_that_contradict_the_file_are_refused(tmp_path: Path, facts: tuple[Any, ...], reason: str) -> None:
    data = written(lambda names: OrderedDict(weight=tensor(names, "a", *facts)), [("a", np.zeros(6, dtype="<f4"))])
    with pytest.raises(ModelError, match=reason):
        read(tmp_path, data)


def test_a_storage_declared_twice_must_agree(tmp_path: Path) -> None:
    """Else the larger declaration would let a view reach beyond the smaller one's bytes."""
    data = written(
        lambda names: OrderedDict(
            large=tensor(names, "a", 9999, 9000, (9,), (1,)), small=tensor(names, "a", 6, 0, (6,), (1,))
        ),
        [("a", np.zeros(6, dtype="<f4"))],
    )
    with pytest.raises(ModelError, match="declared twice"):
        read(tmp_path, data)


def test_bytes_after_the_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="1 bytes follow"):
        read(tmp_path, checkpoint() + b"x")


def test_every_shortened_file_is_refused(tmp_path: Path) -> None:
    data = checkpoint()
    for end in range(len(data)):
        with pytest.raises(ModelError):
            read(tmp_path, data[:end])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_changed_byte_gives_tensors_or_one_clear_error(data: st.DataObject, tmp_path_factory: Any) -> None:
    changed = bytearray(checkpoint())
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        state = read(tmp_path_factory.getbasetemp(), bytes(changed))
    except ModelError:
        return
    assert all(array.size <= len(changed) for array in state.values())
