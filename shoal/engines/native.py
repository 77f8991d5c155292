"""The engine of few bits: products on packed codes by shoal's own kernels, everything between by onnxruntime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.engines import _bound, _host, _onnx, _session, _stage_files
from shoal.engines._faults import faults, refusal
from shoal.engines._stage_files import StageEntry
from shoal.engines._stages import Product, products, staged
from shoal.engines.contract import Arrays
from shoal.errors import InputError
from shoal.kernels.lowbit import lowbit_paths
from shoal.program import Program, Segment

if TYPE_CHECKING:
    from shoal.graph import Graph


@dataclass(frozen=True)
class Native:
    """Runs compressed models whose weights stay packed in memory: whole numbers, ternary, binary and bit planes.

    Activations that meet them become int8, group by group, so answers differ from the decoded model's by less than a
    percent. Products in formats without kernels, and models that are not compressed, run as onnxruntime runs them.
    """

    path: str = (
        ""  # instruction set of the kernels (see `kernels.lowbit.lowbit_paths`); none: the best that there is
    )
    spin: bool = True  # onnxruntime's threads wait busily between ops

    def write(self, graph: Graph, ops: Sequence[str], folder: Path, stem: str) -> tuple[str, ...]:
        """Write `ops` in stages (see `_stages`), codes laid out as the kernels want them on every machine."""
        from shoal.graph import extract

        return _stage_files.write(staged(extract(graph, ops)), folder, stem)

    def load(self, program: Program, segment: Segment, folder: Path, threads: int) -> NativeSession:
        """Map the codes, and open the stretches between products.

        Raises:
            ModelError: a file is missing or damaged, or onnxruntime has no kernel for an op.
            InputError: this machine has no kernels of that name.
        """
        if self.path and self.path not in lowbit_paths():
            raise InputError(f"this machine has no kernels '{self.path}'", had=", ".join(lowbit_paths()))
        where = f"segment '{segment.name}' (native)"
        path, *others = _onnx.paths(segment, folder)
        there = {file.name: file for file in others}
        stages = _stage_files.read(path, there, where)
        try:
            loaded = [self._loaded(entry, products, there, threads) for entry, products in stages]
        except faults() as fault:
            raise refusal(str(fault), where) from fault
        _host.trim()
        return NativeSession(program, segment, _lasting(loaded, segment.outputs), where, self.path, threads)

    def _loaded(
        self, entry: StageEntry, products: tuple[Product, ...], there: Mapping[str, Path], threads: int
    ) -> LoadedStage:
        if not entry.stretch:
            return LoadedStage(None, (), (), products)
        session = _session.opened(there[entry.stretch], threads, spin=self.spin)
        return LoadedStage(session, entry.inputs, entry.outputs, products)


@dataclass(frozen=True, eq=False)
class LoadedStage:
    """A stretch in onnxruntime, the products after it, and what nothing reads once they are done."""

    session: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    products: tuple[Product, ...]
    done: tuple[str, ...] = ()

    @property
    def reads(self) -> set[str]:
        """Tensors that it needs."""
        return {*self.inputs, *(each.input for each in self.products)}


class NativeSession:
    """The stages in turn."""

    def __init__(
        self,
        program: Program,
        segment: Segment,
        stages: Sequence[LoadedStage],
        where: str,
        path: str,
        threads: int,
    ) -> None:
        self._inputs = {name: _bound.form(program, name) for name in segment.inputs}
        self._outputs, self._stages, self._where = segment.outputs, stages, where
        self._path, self._threads = path, threads

    @property
    def products(self) -> tuple[Product, ...]:
        """Those on packed codes."""
        return tuple(each for stage in self._stages for each in stage.products)

    def run(self, inputs: Arrays, into: Arrays) -> Mapping[str, NDArray[Any]]:
        """Run once.

        Raises:
            ModelError: an input does not fit, or onnxruntime fails.
        """
        values = {
            name: _bound.fitting(name, inputs[name], form, self._where) for name, form in self._inputs.items()
        }
        for stage in self._stages:
            self._step(stage, values)
        return {name: _handed_out(values[name], into.get(name)) for name in self._outputs}

    def _step(self, stage: LoadedStage, values: dict[str, NDArray[Any]]) -> None:
        if stage.session is not None:
            given = {name: values[name] for name in stage.inputs}
            try:
                made = stage.session.run(list(stage.outputs), given)
            except faults() as fault:
                raise refusal(str(fault), self._where) from fault
            values.update(zip(stage.outputs, made, strict=True))
        values.update(products(stage.products, values, self._path, self._threads))
        for name in stage.done:
            del values[name]


def _lasting(stages: Sequence[LoadedStage], outputs: Iterable[str]) -> tuple[LoadedStage, ...]:
    """The stages, each with what can go after it."""
    needed, found = set(outputs), []
    for stage in reversed(stages):
        done = stage.reads - needed
        needed |= stage.reads
        found.append(replace(stage, done=tuple(sorted(done))))
    return tuple(reversed(found))


def _handed_out(value: NDArray[Any], target: NDArray[Any] | None) -> NDArray[Any]:
    if target is None or target.shape != value.shape or target.dtype != value.dtype:
        return np.ascontiguousarray(value)
    np.copyto(target, value)
    return target
