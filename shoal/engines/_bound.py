"""A loaded onnxruntime segment: inputs read and outputs written where the caller's arrays are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.engines._faults import faults, refusal
from shoal.engines.contract import Arrays
from shoal.errors import ModelError
from shoal.program import Program, Segment
from shoal.program.sizes import evaluate, names

_KEPT_BINDINGS = 64  # rings have a few slots; outputs nobody gave memory for come and go
_CPU = ("cpu", 0)

Form = tuple[np.dtype[Any], tuple[int, ...] | None]


class OnnxruntimeSession:
    """Runs by pointer where the shapes of outputs are known before, by copy where one is not."""

    def __init__(self, session: Any, program: Program, segment: Segment, where: str) -> None:
        self._session = session
        self._where = where
        self._inputs = {name: form(program, name) for name in segment.inputs}
        self._outputs = {name: form(program, name) for name in segment.outputs}
        self._bindings: dict[tuple[Any, ...], Any] = {}
        self._shapes = Shapes(program, segment)
        self._check()

    def run(self, inputs: Arrays, into: Arrays) -> Mapping[str, NDArray[Any]]:
        """Run once, straight into the arrays of `into` that have the output's type and shape.

        Raises:
            ModelError: an input does not fit, or onnxruntime fails.
        """
        given = {name: fitting(name, inputs[name], form, self._where) for name, form in self._inputs.items()}
        try:
            return self._run_bound(given, into) if self._shapes.known else self._run_copying(given, into)
        except faults() as fault:
            raise refusal(str(fault), self._where) from fault

    def _run_bound(self, inputs: Arrays, into: Arrays) -> Mapping[str, NDArray[Any]]:
        shapes = self._shapes.of(inputs)
        results = {name: self._target(name, shapes[name], into) for name in self._outputs}
        arrays = (*inputs.values(), *results.values())
        key = (*(array.ctypes.data for array in arrays), *self._shapes.open(inputs))
        self._session.run_with_iobinding(self._bindings.get(key) or self._bind(key, inputs, results))
        return results

    def _run_copying(self, inputs: Arrays, into: Arrays) -> Mapping[str, NDArray[Any]]:
        values = self._session.run(list(self._outputs), dict(inputs))
        results: dict[str, NDArray[Any]] = {}
        for name, value in zip(self._outputs, values, strict=True):
            target = into.get(name)
            if target is None or target.shape != value.shape or target.dtype != value.dtype:
                results[name] = value
            else:
                np.copyto(target, value)
                results[name] = target
        return results

    def _target(self, name: str, shape: tuple[int, ...], into: Arrays) -> NDArray[Any]:
        dtype, _ = self._outputs[name]
        array = into.get(name)
        if array is not None and array.dtype == dtype and array.shape == shape and array.flags.c_contiguous:
            return array
        return np.empty(shape, dtype)

    def _bind(self, key: tuple[Any, ...], inputs: Arrays, results: Arrays) -> Any:
        """A binding to these addresses; pointers only, the caller's arrays are not kept alive."""
        if len(self._bindings) >= _KEPT_BINDINGS:
            self._bindings.clear()
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_input(name, *_CPU, array.dtype.type, array.shape, array.ctypes.data)
        for name, array in results.items():
            binding.bind_output(name, *_CPU, array.dtype.type, array.shape, array.ctypes.data)
        self._bindings[key] = binding
        return binding

    def _check(self) -> None:
        """Refuse a file whose inputs and outputs are not the segment's."""
        made = {value.name for value in self._session.get_outputs()}
        read = {value.name for value in self._session.get_inputs()}
        wrong = (read ^ set(self._inputs)) | (set(self._outputs) - made)
        if wrong:
            raise ModelError(f"its file and the program disagree about {', '.join(sorted(wrong))}",
                             where=self._where, hint="deploy the bundle again")  # fmt: skip


class Shapes:
    """The shapes of a segment's outputs: fixed, or what follows from sizes that its inputs bring."""

    def __init__(self, program: Program, segment: Segment) -> None:
        self._outputs = {name: program.tensors[name].shape for name in segment.outputs}
        self._places: dict[str, tuple[str, int]] = {}  # an open size → an input and its axis
        for given in segment.inputs:
            for axis, size in enumerate(program.tensors[given].shape):
                if isinstance(size, str) and size.isidentifier():
                    self._places.setdefault(size, (given, axis))
        needed = {name for shape in self._outputs.values() for size in shape for name in names(size)}
        self.known = needed <= set(self._places)
        self._fixed = None if needed else self._bound({})

    def open(self, inputs: Arrays) -> tuple[int, ...]:
        """The values of the open sizes."""
        return tuple(inputs[given].shape[axis] for given, axis in self._places.values())

    def of(self, inputs: Arrays) -> Mapping[str, tuple[int, ...]]:
        """Every output's shape for these inputs."""
        return self._fixed or self._bound(dict(zip(self._places, self.open(inputs), strict=True)))

    def _bound(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        return {name: tuple(evaluate(size, sizes) for size in shape) for name, shape in self._outputs.items()}


def fitting(name: str, array: NDArray[Any], form: Form, where: str) -> NDArray[Any]:
    """`array`, C-contiguous.

    Raises:
        ModelError: it is not of the form that the input has.
    """
    dtype, shape = form
    if array.dtype != dtype or (shape is not None and array.shape != shape):
        needed = f"{dtype}{list(shape) if shape is not None else ''}"
        raise ModelError(f"input '{name}' does not fit", where=where, needed=needed,
                         had=f"{array.dtype}{list(array.shape)}")  # fmt: skip
    return np.asarray(array, order="C")


def form(program: Program, name: str) -> Form:
    """Type and, where it is fixed, shape of a tensor."""
    spec = program.tensors[name]
    fixed = all(isinstance(size, int) for size in spec.shape)
    return np.dtype(spec.dtype), spec.bound(program.sizes) if fixed else None
