"""What goes in and what must come out: inputs given or drawn, and the undivided model's answers to them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shoal import catalog
from shoal.errors import InputError
from shoal.graph import Carried, Graph
from shoal.plan.lower import program_of
from shoal.plan.values import Group, Replica
from shoal.plan.written import with_files
from shoal.program import TensorSpec, Workload
from shoal.run.arrays import Array, load_arrays

Arrays = Mapping[str, Array]

TOLERANCE = 1e-4  # of the largest reference magnitude: what counts as equal


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs, taken in turn by the items of a run, and the answers that are expected (none: not compared).

    The answers stand in the order of the inputs, or, where items depend on those before them, of the items.
    """

    inputs: tuple[Arrays, ...]
    expected: tuple[Arrays, ...] = ()
    by_item: bool = False  # one answer for each of the first items; later ones are not compared

    def of(self, item: int) -> Arrays:
        """The inputs of `item`."""
        return self.inputs[item % len(self.inputs)]

    def answer(self, item: int) -> Arrays:
        """The expected answer of `item`; nothing if it is not known."""
        if self.by_item and item >= len(self.expected):
            return {}
        return self.expected[item % len(self.expected)]


@dataclass(frozen=True)
class Comparison:
    """How far the answers are from the expected ones."""

    max_abs_difference: float
    reference_magnitude: float

    @property
    def match(self) -> bool:
        """Whether the largest difference is within the tolerance; NaN never is."""
        return self.max_abs_difference <= TOLERANCE * self.reference_magnitude


def drawn(specs: Mapping[str, TensorSpec], count: int, seed: int) -> Samples:
    """`count` random inputs: normal for floats, zeros and ones for integers (always legal as an index)."""
    source = np.random.default_rng(seed)
    return Samples(
        tuple(
            {name: _random(source, spec.dtype, spec.bound({})) for name, spec in specs.items()}
            for _ in range(count)
        )
    )


def read(path: Path, specs: Mapping[str, TensorSpec]) -> Samples:
    """Inputs from a .npy (a model with one input) or a .npz file, one item or many along a new first axis.

    Raises:
        InputError: the file cannot be read, or an array is missing or of the wrong shape or type.
    """
    arrays = load_arrays(path, next(iter(specs)))
    missing = set(specs) - set(arrays)
    if missing:
        raise InputError(f"no array for the input '{min(missing)}'", where=str(path), had=", ".join(arrays))
    stacks = {name: _stack(path, name, arrays[name], spec) for name, spec in specs.items()}
    counts = {name: len(stack) for name, stack in stacks.items()}
    if len(set(counts.values())) > 1:
        had = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError("the inputs do not hold equally many items", where=str(path), had=had)
    count = counts[next(iter(counts))]
    return Samples(tuple({name: stack[index] for name, stack in stacks.items()} for index in range(count)))


def answered(
    graph: Graph, samples: Samples, workload: Workload, machines: Mapping[str, str] | None = None
) -> Samples:
    """The samples with the undivided model's answers, computed here by onnxruntime.

    Where tensors are carried over, the items of `workload` are computed one after another, each session's apart.

    Args:
        graph: divided or not.
        samples: the inputs.
        workload: the items that are to come.
        machines: ops that a simulated machine does, with that engine: what it loses in few bits belongs to the
            answer that is expected; dividing the model may lose nothing more.
    """
    graph = graph if machines else graph.base or graph
    program, folder = with_files(graph, program_of(graph, (_alone(graph, machines or {}),), 1, graph.name))
    sessions = [
        (segment, catalog.make("engines", segment.engine).load(program, segment, folder, 1))
        for segment in program.segments
    ]

    def computed(values: dict[str, Array]) -> dict[str, Array]:
        for segment, session in sessions:
            values |= session.run({name: values[name] for name in segment.inputs}, {})
        return values

    def answer(values: Arrays) -> Arrays:
        return {name: values[name].copy() for name in graph.outputs}

    if not graph.carried:
        return Samples(samples.inputs, tuple(answer(computed(dict(inputs))) for inputs in samples.inputs))
    found, states = [], _States(graph)
    for number in range(workload.items):
        session = workload.item(number).session
        values = computed({**samples.of(number), **states.of(session)})
        states.keep(session, values)
        found.append(answer(values))
    return Samples(samples.inputs, tuple(found), by_item=True)


def _alone(graph: Graph, machines: Mapping[str, str]) -> Replica:
    """Everything in one place, each op by its own machine."""
    engines: dict[str, list[str]] = {}
    for op in graph.ops:
        engines.setdefault(machines.get(op.name, "onnxruntime"), []).append(op.name)
    groups = (Group(f"reference/{at}", tuple(ops), engine) for at, (engine, ops) in enumerate(engines.items()))
    return Replica(tuple(groups))


class _States:
    """What the items of each session have left behind, under the names the next one takes it."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._kept: dict[tuple[str, int], Array] = {}

    def of(self, session: int) -> dict[str, Array]:
        return {
            each.input: self._kept.get(self._key(each, session), self._fresh(each)) for each in self._graph.carried
        }

    def keep(self, session: int, values: Arrays) -> None:
        for each in self._graph.carried:
            self._kept[self._key(each, session)] = values[each.output].copy()

    def _fresh(self, each: Carried) -> Array:
        tensor = self._graph.tensors[each.input]
        return np.full(tensor.shape, each.initial, tensor.dtype)

    @staticmethod
    def _key(each: Carried, session: int) -> tuple[str, int]:
        return each.input, session if each.scope == "session" else -1


def compare(samples: Samples, answers: Mapping[int, Arrays]) -> Comparison:
    """The answers of the items against the expected ones; items that a gate stopped are left out."""
    worst = magnitude = 0.0
    for item, outputs in answers.items():
        for name, expected in samples.answer(item).items():
            if name in outputs:
                reference = expected.astype(np.float64)
                difference = np.abs(outputs[name].astype(np.float64) - reference)
                worst = float(np.maximum(worst, difference.max(initial=0.0)))  # keeps NaN
                magnitude = max(magnitude, float(np.abs(reference).max(initial=0.0)))
    return Comparison(worst, magnitude)


def digest(outputs: Arrays) -> str:
    """SHA-256 over the outputs in the order of their names."""
    found = hashlib.sha256()
    for name in sorted(outputs):
        found.update(np.ascontiguousarray(outputs[name]).tobytes())
    return found.hexdigest()


def _random(source: np.random.Generator, dtype: str, shape: Sequence[int]) -> Array:
    if np.issubdtype(np.dtype(dtype), np.floating):
        return source.standard_normal(shape).astype(dtype)
    return source.integers(0, 2, shape).astype(dtype)


def _stack(path: Path, name: str, array: Array, spec: TensorSpec) -> Array:
    shape = spec.bound({})
    if array.shape == shape:
        array = array[None]
    if array.shape[1:] != shape or str(array.dtype) != spec.dtype or not len(array):
        raise InputError(
            f"input '{name}' does not fit the model",
            where=str(path),
            needed=f"{spec.dtype}{list(shape)}, or several along a new first axis",
            had=f"{array.dtype}{list(array.shape)}",
        )
    return np.asarray(array, order="C")
