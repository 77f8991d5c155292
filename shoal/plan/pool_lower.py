"""A schedule over pools as a Program: every stage's devices are units that run segments of the engine `kernels`.

On a stage of n devices each computes a share of every kernel's rows. Where the next kernel mixes rows the shares
are exchanged first, each device sending its own to all others. The next stage's devices get all shares; the answer
is put together on the last stage's first device. The sparse matrix goes from the client to every unit that needs
it. Sizes stay named: every item brings its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import shoal
from shoal import cache, codec
from shoal.engines.kernels import Form, KernelFile, KernelSession, KernelStep
from shoal.errors import PlanError
from shoal.measure import drawn_matrix
from shoal.plan.pools import Chain, KernelSpec, PoolSchedule, Stage
from shoal.program import CLIENT, Edge, Program, Route, Segment, Step, Task, TensorSpec, check
from shoal.program.sizes import Size, evaluate
from shoal.record import MIXING

Array = NDArray[Any]
Weights = Mapping[str, Array]  # kernel → (inner, columns)

X, POINTERS, COLUMNS, VALUES, ANSWER = "x", "pointers", "columns", "values", "y"
MATRIX = (POINTERS, COLUMNS, VALUES)


def drawn_weights(chain: Chain, seed: int = 0) -> Weights:
    """Seeded weights of the chain's dense products, scaled so that values keep their size."""
    rng = np.random.default_rng(seed)
    works = zip(chain.kernels, chain.at({}), strict=True)
    return {
        spec.name: (rng.standard_normal((work.inner, work.columns)) * (2 / work.inner) ** 0.5).astype(np.float32)
        for spec, work in works
        if spec.kind == "gemm"
    }


def pool_program(
    chain: Chain,
    schedule: PoolSchedule,
    units: Mapping[str, Sequence[str]],
    forms: Mapping[str, Form],
    weights: Weights,
    *,
    window: int = 4,
    epoch: int = 0,
) -> tuple[Program, Path]:
    """The Program that runs `schedule`, and the folder its segments' files are in.

    Inputs are `x`, and `pointers`, `columns`, `values` (CSR) where the chain has sparse products; the answer is `y`.

    Args:
        chain: what to run.
        schedule: who runs what.
        units: of each type of device, as many as the schedule uses of it.
        forms: the engine's form on each type.
        weights: of every dense product.
        window: items in flight.
        epoch: of the program.

    Raises:
        PlanError: too few units, kernels that do not fit one another, or a schedule that does not fit the chain.
        InputError: the cache folder cannot be written.
    """
    _fits(chain, schedule)
    builder = _Builder(chain, window)
    left = {name: list(found) for name, found in units.items()}
    before: list[str] = []
    for number, stage in enumerate(schedule.stages):
        here = _taken(left, stage)
        final = number + 1 == len(schedule.stages)
        _lower_stage(builder, stage, before, here, f"kernels:form={forms[stage.device]}", final=final)
        before = here
    program = builder.program(epoch)
    check(program)
    return _with_files(program, builder.steps, weights)


def undivided(chain: Chain, weights: Weights, inputs: Mapping[str, Array], form: Form = "sparse") -> Array:
    """The chain's answer to one item, computed here in one piece."""
    steps = _kernels(chain, (0, len(chain.kernels)), 0, 1, ANSWER)
    files = {f"{name}.npy": array for name, array in weights.items()}
    answer: Array = KernelSession(form, tuple(steps), files, (ANSWER,)).run(inputs, {})[ANSWER]
    return answer


def pool_inputs(chain: Chain, bindings: Mapping[str, int], seed: int = 0) -> Mapping[str, Array]:
    """Seeded inputs of one item with these sizes: x, and the sparse matrix if the chain needs one."""
    works = chain.at(bindings)
    spec = _value(chain, 0)
    shape = spec.bound({**chain.sizes, **bindings})
    found: dict[str, Array] = {X: np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}
    sparse = next((work for work in works if work.kind == "spmm"), None)
    if sparse is not None:
        found |= dict(zip(MATRIX, drawn_matrix(sparse.rows, sparse.inner, sparse.nnz, seed), strict=True))
    return found


@dataclass
class _Builder:
    """Edges, segments and the order of each unit's steps, as they come up."""

    chain: Chain
    window: int
    edges: dict[str, Edge] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    steps: dict[str, tuple[KernelStep, ...]] = field(default_factory=dict)
    tasks: dict[str, list[Step]] = field(default_factory=dict)
    tensors: dict[str, TensorSpec] = field(default_factory=dict)

    def carry(self, ways: Sequence[tuple[str, str, str]], specs: Mapping[str, TensorSpec]) -> None:
        """Bring values along `ways` (value, source, target), each once: all sends stand before all receipts."""
        fresh = [way for way in ways if way[1] != way[2] and f"{way[0]}>{way[2]}" not in self.edges]
        for value, source, target in fresh:
            name, spec = f"{value}>{target}", specs[value]
            self.tensors[value] = spec
            self.edges[name] = Edge(name, source, target, value, value, spec, self.window)
            if source != CLIENT:
                self.tasks[source].append(Step("send", name))
        for value, _, target in fresh:
            if target != CLIENT:
                self.tasks.setdefault(target, []).append(Step("recv", f"{value}>{target}"))

    def run(self, unit: str, engine: str, steps: Sequence[KernelStep], gives: str, spec: TensorSpec) -> None:
        """Run `steps` on `unit` as one segment that gives `gives`."""
        inside = {step.gives for step in steps}
        reads = tuple(dict.fromkeys(name for step in steps for name in step.reads if name not in inside))
        name = f"{gives}@{unit}"
        self.tensors[gives] = spec
        self.steps[name] = tuple(steps)
        ops = tuple(step.weights.removesuffix(".npy") or f"{step.op}>{step.gives}" for step in steps)
        self.segments.append(Segment(name, unit, reads, (gives,), engine, ops=ops))
        self.tasks.setdefault(unit, []).append(Step("run", name))

    def program(self, epoch: int) -> Program:
        edges = tuple(self.edges.values())
        return Program(
            name=self.chain.name,
            units=tuple(self.tasks),
            edges=edges,
            segments=tuple(self.segments),
            routes=(
                Route(
                    "main",
                    tuple(edge.name for edge in edges if edge.source == CLIENT),
                    tuple(edge.name for edge in edges if edge.target == CLIENT),
                    tuple(Task(unit, tuple(steps)) for unit, steps in self.tasks.items()),
                ),
            ),
            window=self.window,
            tensors=self.tensors,
            sizes=dict(self.chain.sizes),
            epoch=epoch,
        )


def _lower_stage(
    builder: _Builder, stage: Stage, before: Sequence[str], here: Sequence[str], engine: str, *, final: bool
) -> None:
    """The stage in rounds: kernels between two exchanges run as one segment on each device."""
    chain, parts = builder.chain, len(here)
    held, sources = stage.first, tuple(before) or (CLIENT,)
    for first, last in _rounds(chain, stage, parts):
        _bring(builder, held, sources, here)
        if any(spec.kind == "spmm" for spec in chain.kernels[first:last]):
            ways = [(name, CLIENT, unit) for unit in here for name in MATRIX]
            builder.carry(ways, _matrix_specs(chain))
        for part, unit in enumerate(here):
            gives = ANSWER if final and last == stage.last and parts == 1 else _named(last, part, parts)
            steps = _joining(held, len(sources)) + _kernels(chain, (first, last), part, parts, gives)
            builder.run(unit, engine, steps, gives, _share(_value(chain, last), parts))
        held, sources = last, tuple(here)
    if not final:
        return
    if parts > 1:
        _bring(builder, held, sources, here[:1])
        builder.run(
            here[0], engine, [KernelStep("concat", _names(held, parts), ANSWER)], ANSWER, _value(chain, held)
        )
    builder.carry([(ANSWER, here[0], CLIENT)], {ANSWER: _value(chain, held)})


def _bring(builder: _Builder, held: int, sources: Sequence[str], targets: Sequence[str]) -> None:
    """All shares of the value after `held` kernels to every target."""
    names = _names(held, len(sources))
    spec = _share(_value(builder.chain, held), len(sources))
    ways = [(name, source, target) for target in targets for name, source in zip(names, sources, strict=True)]
    builder.carry(ways, dict.fromkeys(names, spec))


def _rounds(chain: Chain, stage: Stage, parts: int) -> list[tuple[int, int]]:
    """The stage's kernels, parted before each that mixes rows, if rows are shared at all."""
    cuts = [stage.first]
    for index in range(stage.first + 1, stage.last):
        if parts > 1 and chain.kernels[index].kind in MIXING:
            cuts.append(index)
    return list(zip(cuts, [*cuts[1:], stage.last], strict=True))


def _joining(held: int, shares: int) -> list[KernelStep]:
    """Put shares together, if there are several."""
    return [KernelStep("concat", _names(held, shares), _named(held, 0, 1))] if shares > 1 else []


def _kernels(chain: Chain, place: tuple[int, int], part: int, parts: int, gives: str) -> list[KernelStep]:
    """The kernels of one round on the device that computes share `part`."""
    steps: list[KernelStep] = []
    first, last = place
    value = _named(first, 0, 1)
    if parts > 1 and chain.kernels[first].kind not in MIXING:
        steps.append(KernelStep("rows", (value,), f"{value}.own", part=part, parts=parts))
        value = f"{value}.own"
    for index in range(first, last):
        result = gives if index + 1 == last else f"v{index + 1}.own"
        step = _step(chain.kernels[index], value, result)
        shared = chain.kernels[index].kind in MIXING
        steps.append(replace(step, part=part, parts=parts) if shared else step)
        value = result
    return steps


def _step(spec: KernelSpec, value: str, result: str) -> KernelStep:
    match spec.kind:
        case "spmm":
            return KernelStep("spmm", (*MATRIX, value), result)
        case "gemm":
            return KernelStep("gemm", (value,), result, weights=f"{spec.name}.npy")
        case "attention":
            return KernelStep("attention", (value,), result, window=evaluate(spec.window, {}), heads=spec.heads)
        case _:
            return KernelStep("relu", (value,), result)


def _named(index: int, part: int, parts: int) -> str:
    """The value after `index` kernels, or a share of it."""
    whole = f"v{index}" if index else X
    return f"{whole}.{part}" if parts > 1 else whole


def _names(index: int, parts: int) -> tuple[str, ...]:
    return tuple(_named(index, part, parts) for part in range(parts))


def _value(chain: Chain, index: int) -> TensorSpec:
    """Type and shape of the value after `index` kernels."""
    if index:
        spec = chain.kernels[index - 1]
        return TensorSpec("float32", (spec.rows, spec.columns))
    spec = chain.kernels[0]
    shapes: Mapping[str, tuple[Size, Size]] = {
        "gemm": (spec.rows, spec.inner),
        "spmm": (spec.inner, spec.columns),
        "attention": (spec.inner, f"3*({spec.columns})"),
    }
    return TensorSpec("float32", shapes.get(spec.kind, (spec.rows, spec.columns)))


def _share(spec: TensorSpec, parts: int) -> TensorSpec:
    """The largest of so many shares of the rows."""
    rows, *others = spec.shape
    return spec if parts == 1 else TensorSpec(spec.dtype, (f"(({rows})+{parts - 1})//{parts}", *others))


def _matrix_specs(chain: Chain) -> Mapping[str, TensorSpec]:
    spec = next(spec for spec in chain.kernels if spec.kind == "spmm")
    return {
        POINTERS: TensorSpec("int32", (f"({spec.rows})+1",)),
        COLUMNS: TensorSpec("int32", (spec.nnz,)),
        VALUES: TensorSpec("float32", (spec.nnz,)),
    }


def _taken(left: dict[str, list[str]], stage: Stage) -> list[str]:
    """The next free units of the stage's type.

    Raises:
        PlanError: there are too few.
    """
    free = left.get(stage.device, [])
    if len(free) < stage.count:
        raise PlanError(f"too few units of type '{stage.device}'", needed=str(stage.count), had=str(len(free)))
    left[stage.device] = free[stage.count :]
    return free[: stage.count]


def _fits(chain: Chain, schedule: PoolSchedule) -> None:
    """Refuse kernels of which one cannot read what the one before gives, and stages that leave some out."""
    works = chain.at({})
    for index, (one, other) in enumerate(pairwise(works)):
        if one.out_bytes != other.in_bytes:
            raise PlanError(
                "a kernel does not give what the next one reads", where=chain.kernels[index].name,
                needed=f"{other.in_bytes} B", had=f"{one.out_bytes} B",
            )  # fmt: skip
    ends = [0, *(stage.last for stage in schedule.stages)]
    if [stage.first for stage in schedule.stages] != ends[:-1] or ends[-1] != len(works):
        raise PlanError("the stages do not cover the chain", where=chain.name, had=str(schedule))


def _with_files(
    program: Program, steps: Mapping[str, Sequence[KernelStep]], weights: Weights
) -> tuple[Program, Path]:
    """The program with its segments' files, which are written once for each content."""
    segments = tuple(_written(segment, steps[segment.name], weights) for segment in program.segments)
    return replace(program, segments=segments), cache.folder("written")


def _written(segment: Segment, steps: Sequence[KernelStep], weights: Weights) -> Segment:
    used = {step.weights: weights[step.weights.removesuffix(".npy")] for step in steps if step.weights}
    marks = [(name, hashlib.sha256(array.tobytes()).hexdigest()) for name, array in sorted(used.items())]
    key = hashlib.sha256(codec.encode((shoal.__version__, "kernels", steps, marks))).hexdigest()[:32]

    def build(folder: Path) -> None:
        codec.save(KernelFile(tuple(steps)), folder / "segment.json")
        for name, array in used.items():
            np.save(folder / name, array, allow_pickle=False)

    cache.entry("written", key, build, cache.MOST_BYTES)
    files = (f"{key}/segment.json", *(f"{key}/{name}" for name in used))
    return replace(segment, files=files, weights_bytes=sum(array.nbytes for array in used.values()))
