"""Calls that PyTorch makes while something runs, taken down below its dispatcher.

Imported where torch is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from shoal.measure.queue.calls import Call, Calls
from shoal.measure.queue.counts import Work, work_of


def recorded(run: Callable[[], Tensor]) -> Calls:
    """The calls of `run`, which gives the tensor that they are for; gradients are not taken down."""
    recorder = _Recorder()
    with torch.no_grad(), _Watch(recorder.take):
        output = run()
    number = recorder.number(output)
    return Calls(tuple(recorder.calls), recorder.initial(), number, output.numel(), tuple(recorder.stops))


def counted(run: Callable[[], object]) -> tuple[Work, ...]:
    """What each call of `run` that does work on a device asks of it; tensors may be of torch's device "meta"."""
    works: list[Work] = []

    def take(func: Any, given: Any, found: Any) -> None:
        if not looks(func):
            works.append(work_of(str(func), _tensors(given), _tensors(found)))

    with torch.no_grad(), _Watch(take):
        run()
    return tuple(works)


Take = Callable[[Any, tuple[tuple[Any, ...], dict[str, Any]], Any], None]  # operator, arguments, what it gave


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Tells of each call below the dispatcher, after it was made."""

    def __init__(self, take: Take) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self._take = take

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        found = func(*args, **named)
        self._take(func, (args, named), found)
        return found


class _Recorder:
    """Numbers tensors as it meets them, and keeps them, so that no number is given twice."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.stops: list[int] = []
        self._numbers: dict[int, int] = {}
        self._kept: list[Tensor] = []
        self._made: set[int] = set()

    def take(self, func: Any, given: tuple[tuple[Any, ...], dict[str, Any]], found: Any) -> None:
        """Write a call down; one that gives Python a figure to go on with makes the host wait, and no more."""
        args, named = given
        results = _tensors(found)
        if not results:
            self.stops.append(sum(not call.looks for call in self.calls))
            return
        arguments = tuple(self._written(each) for each in args)
        options = {name: self._written(value) for name, value in named.items()}
        numbers = tuple(self.number(each, made=True) for each in results)
        self.calls.append(Call(str(func), arguments, options, numbers, looks(func)))

    def number(self, tensor: Tensor, *, made: bool = False) -> int:
        """The number of a tensor; a new one if it was not met before."""
        key = id(tensor)
        if key not in self._numbers:
            self._numbers[key] = len(self._kept)
            self._kept.append(tensor)
            if made:
                self._made.add(self._numbers[key])
        return self._numbers[key]

    def initial(self) -> dict[int, Any]:
        """By number, the tensors that no call made."""
        return {
            number: each.detach().contiguous().numpy()
            for number, each in enumerate(self._kept)
            if number not in self._made
        }

    def _written(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return {"tensor": self.number(value)}
        if isinstance(value, tuple | list):
            return tuple(self._written(each) for each in value)
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": str(value)}
        if isinstance(value, torch.device):
            return {"device": value.type}
        if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
            return {"torch": str(value).removeprefix("torch.")}
        return value


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [each for part in value for each in _tensors(part)]
    return _tensors(tuple(value.values())) if isinstance(value, dict) else []


def looks(func: Any) -> bool:
    """Whether what a call gives is the memory it was given, unchanged, or memory that nothing was written to."""
    given = func._schema.returns
    aliased = bool(given) and all(each.alias_info is not None and not each.alias_info.is_write for each in given)
    return aliased or func.overloadpacket.__name__ in (
        "empty",
        "empty_like",
        "empty_strided",
        "detach_",
        "_unsafe_view",
    )
