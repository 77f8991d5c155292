"""The Programs of several epochs side by side: how their parts are called, and which may follow one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from shoal.errors import PlanError
from shoal.program.values import Program, Segment, TensorSpec


def epoch_name(epoch: int, name: str) -> str:
    """How a segment or edge of `epoch` is called where several epochs are told of together."""
    return f"e{epoch}.{name}" if epoch else name


def joined(programs: Mapping[int, Program]) -> Program:
    """One Program with the segments, edges and routes of all, by the names that spans of several epochs bear.

    It is for accounts of what was run, not to be run: a unit stands once and holds what it held in every epoch.
    """
    if set(programs) == {0}:
        return programs[0]
    named = [_named(epoch, programs[epoch]) for epoch in sorted(programs)]
    return replace(
        named[0],
        units=tuple(dict.fromkeys(unit for each in named for unit in each.units)),
        edges=tuple(edge for each in named for edge in each.edges),
        segments=tuple(segment for each in named for segment in each.segments),
        routes=tuple(route for each in named for route in each.routes),
        window=max(each.window for each in named),
        tensors={name: spec for each in named for name, spec in each.tensors.items()},
        sizes={name: size for each in named for name, size in each.sizes.items()},
    )


def _named(epoch: int, program: Program) -> Program:
    def name(old: str) -> str:
        return epoch_name(epoch, old)

    def segment(old: Segment) -> Segment:
        return replace(old, name=name(old.name))

    return replace(
        program,
        edges=tuple(replace(edge, name=name(edge.name)) for edge in program.edges),
        segments=tuple(segment(each) for each in program.segments),
        routes=tuple(
            replace(
                route,
                inputs=tuple(map(name, route.inputs)),
                outputs=tuple(map(name, route.outputs)),
                tasks=tuple(
                    replace(task, steps=tuple(replace(step, name=name(step.name)) for step in task.steps))
                    for task in route.tasks
                ),
            )
            for route in program.routes
        ),
    )


def checked(programs: Mapping[int, Program]) -> None:
    """Refuse programs between which items cannot be switched.

    Raises:
        PlanError: they do not take and give the same, or one of them carries something from item to item, which a
            switch would lose.
    """
    first = programs[min(programs)]
    for epoch, program in programs.items():
        if program.epoch != epoch:
            raise PlanError(f"the program of epoch {epoch} says that it is epoch {program.epoch}")
        if len(programs) > 1:
            _carries_nothing(program)
        if _faces(program) != _faces(first):
            raise PlanError(
                "programs of one run must take and give the same",
                where=f"epoch {epoch}", needed=_shown(first), had=_shown(program),
            )  # fmt: skip


def _carries_nothing(program: Program) -> None:
    kept = [f"state '{state.name}'" for state in program.states if state.scope != "item"]
    kept += [f"edge '{edge.name}'" for edge in program.edges if edge.takes != "every"]
    if kept:
        raise PlanError(
            f"a switch would lose what {kept[0]} carries from one item to the next",
            where=f"epoch {program.epoch}", hint="keep to one plan",
        )  # fmt: skip


Face = tuple[dict[str, TensorSpec], dict[str, TensorSpec]]


def _faces(program: Program) -> dict[str, Face]:
    """By entry: the values that it takes from the client, and those that it gives."""
    found: dict[str, Face] = {}
    for route in program.routes:
        takes = {program.edge[name].tensor: program.edge[name].spec for name in route.inputs}
        gives = {program.edge[name].delivers: program.edge[name].spec for name in route.outputs}
        found.setdefault(route.entry, (takes, gives))
    return found


def _shown(program: Program) -> str:
    def names(specs: Mapping[str, TensorSpec]) -> str:
        return ", ".join(f"{name} {spec.dtype}{list(spec.shape)}" for name, spec in specs.items())

    return "; ".join(
        f"{entry}: {names(takes)} → {names(gives)}" for entry, (takes, gives) in _faces(program).items()
    )
