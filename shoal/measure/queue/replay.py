"""Calls executed by PyTorch again, in any grouping. Imported where torch is there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shoal.errors import InputError
from shoal.measure.queue.calls import Call, Calls

_OP = re.compile(r"aten\.([a-z_0-9]+)\.([A-Za-z_0-9]+)")


class Replay:
    """The state of a device: tensors by number."""

    def __init__(self, work: Calls) -> None:
        """Raise InputError unless all is known that is called."""
        self._calls = work.calls
        self._ops = [_op(call.op) for call in work.calls]
        self._tensors: dict[int, Tensor] = {
            number: torch.from_numpy(np.array(array)) for number, array in work.tensors.items()
        }
        self._output = work.output

    def run(self, places: Iterable[int]) -> None:
        """Execute the calls at `places`, one after another."""
        with torch.inference_mode():
            for place in places:
                self._one(self._calls[place], self._ops[place])

    def output(self) -> NDArray[np.float32]:
        """The values that all was for, flat; empty if they are not there yet."""
        found = self._tensors.get(self._output)
        return np.zeros(0, np.float32) if found is None else found.float().flatten().numpy()

    def _one(self, call: Call, op: Any) -> None:
        named = {name: self._value(value) for name, value in call.named.items()}
        found = op(*[self._value(value) for value in call.arguments], **named)
        results = found if isinstance(found, tuple | list) else (found,)
        tensors = (each for each in results if isinstance(each, Tensor))
        self._tensors.update(zip(call.results, tensors, strict=True))

    def _value(self, written: Any) -> Any:
        if isinstance(written, list | tuple):
            return [self._value(each) for each in written]
        if not isinstance(written, Mapping):
            return written
        ((kind, value),) = written.items()
        if kind == "tensor":
            return self._tensors[value]
        return (
            float(value) if kind == "float" else torch.device("cpu") if kind == "device" else getattr(torch, value)
        )


def _op(name: str) -> Any:
    """The operator of a name.

    Raises:
        InputError: there is none.
    """
    found = _OP.fullmatch(name)
    packet = getattr(torch.ops.aten, found[1], None) if found else None
    op = getattr(packet, found[2], None) if found and packet is not None else None
    if op is None:
        raise InputError("no such operator", where=name[:60])
    return op
