"""The rule of the ready set by scanning: slow, and as its words are."""

from __future__ import annotations

from dataclasses import dataclass, field

from shoal.program import Edge, Program, Step, ValueKey, inputs_of

Read = tuple[str, ValueKey]


@dataclass
class Held:
    """An item on the unit."""

    route: int
    session: int
    steps: list[Step]
    values: dict[str, bool] = field(default_factory=dict)  # name → empty or not


@dataclass
class Choice:
    """What the rule takes next."""

    item: int
    step: Step
    empty: bool
    reads: tuple[Read, ...]
    newest: tuple[tuple[str, int], ...]


class Scanning:
    """Keeps all that came, for ever, and looks at all of it each time."""

    def __init__(self, program: Program, unit: str) -> None:
        self.program, self.unit = program, unit
        self.items: dict[int, Held] = {}
        self.log: list[tuple[str, int, int, bool]] = []  # edge, session, item, empty: what registers were sent
        self.read_for: dict[tuple[str, int, Step], int] = {}  # previous edge, session, step → item it read for last

    def arrive(self, route: int, item: int, session: int, edge: Edge, *, empty: bool) -> None:
        if edge.takes != "every":
            self.log.append((edge.name, _owner(edge, session), item, empty))
            return
        if item not in self.items:
            self.items[item] = Held(route, session, [s for s in self._steps(route) if s.kind != "recv"])
        self.items[item].values[edge.delivers] = empty

    def pick(self) -> Choice | None:
        ready = [
            (step.kind != "send", item, held.steps.index(step), choice)
            for item, held in self.items.items()
            for step in held.steps
            if (choice := self._choice(item, held, step)) is not None
        ]
        return min(ready, key=lambda each: each[:3])[3] if ready else None

    def done(self, choice: Choice, outputs: dict[str, bool]) -> None:
        held = self.items[choice.item]
        held.steps.remove(choice.step)
        held.values |= outputs
        for _, key in choice.reads:
            if key.register and (edge := self.program.edge[key.name]).takes == "previous":
                self.read_for[edge.name, _owner(edge, held.session), choice.step] = choice.item
        if not held.steps:
            del self.items[choice.item]

    def _steps(self, route: int) -> list[Step]:
        return [step for task in self.program.routes[route].tasks if task.unit == self.unit for step in task.steps]

    def _choice(self, item: int, held: Held, step: Step) -> Choice | None:
        if step.kind == "send":
            names: tuple[str, ...] = (self.program.edge[step.name].tensor,)
        else:
            names = inputs_of(self.program, self.program.segment[step.name])
        received = [self.program.edge[s.name] for s in self._steps(held.route) if s.kind == "recv"]
        registers = {edge.delivers: edge for edge in received if edge.takes != "every"}
        reads, newest = [], []
        for name in names:
            if name in registers:
                key = self._register(registers[name], held.session, step)
                if registers[name].takes == "newest":
                    newest.append((registers[name].name, self._last(registers[name], held.session)))
            else:
                key = ValueKey(item, name) if name in held.values else None
            if key is None:
                return None
            reads.append((name, key))
        empty = any(held.values[name] for name in names if name not in registers)
        return Choice(item, step, empty, tuple(reads), tuple(newest))

    def _last(self, edge: Edge, session: int) -> int:
        owner = _owner(edge, session)
        came = [item for name, of, item, empty in self.log if (name, of) == (edge.name, owner) and not empty]
        return came[-1] if came else -1

    def _register(self, edge: Edge, session: int, step: Step) -> ValueKey | None:
        if edge.takes == "newest":
            return ValueKey(session, edge.name, register=True)
        owner = _owner(edge, session)
        came = {item: empty for name, of, item, empty in self.log if (name, of) == (edge.name, owner)}
        last = self.read_for.get((edge.name, owner, step), -1)
        if last >= 0 and last not in came:
            return None
        known = [item for item, empty in came.items() if item <= last and not empty]
        return ValueKey(max(known, default=-1), edge.name, register=True)


def _owner(edge: Edge, session: int) -> int:
    return session if edge.scope == "session" else -1
