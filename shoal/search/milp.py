"""Integer programmes by HiGHS: rows and columns are collected, then solved on one thread with a fixed seed.

HiGHS (highspy) is an extra, imported when a programme is solved. [Huangfu and Hall, "Parallelizing the dual
revised simplex method", Math. Prog. Comp. 10, 2018]
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, MissingExtra

F64 = NDArray[np.float64]
Status = Literal["optimal", "feasible", "infeasible", "unbounded", "unknown"]
POLL_S = 0.05  # how often a wait for the solver looks whether it is interrupted


@dataclass(frozen=True, eq=False)
class Solution:
    """What the solver found."""

    status: Status  # "feasible": stopped by the time limit with an answer; "unknown": stopped without one
    values: F64  # of the columns, integer ones rounded; empty if there is no answer
    objective: float  # of the answer; inf without one
    bound: float  # no answer is below it
    seconds: float  # wall-clock

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.status in ("optimal", "feasible")

    @property
    def gap(self) -> float:
        """How far the answer may be from the best, relative to it; 0 if it is the best, inf without one."""
        if self.status == "optimal":
            return 0.0
        if not math.isfinite(self.objective) or not math.isfinite(self.bound):
            return math.inf
        return max(0.0, self.objective - self.bound) / max(abs(self.objective), 1e-12)


@dataclass(eq=False)
class Milp:
    """A mixed-integer linear programme that is being written down: least cost · x with low ≤ rows · x ≤ high."""

    _costs: list[float] = field(default_factory=list)
    _bounds: list[tuple[float, float]] = field(default_factory=list)
    _integer: list[bool] = field(default_factory=list)
    _limits: list[tuple[float, float]] = field(default_factory=list)
    _starts: list[int] = field(default_factory=lambda: [0])
    _places: list[int] = field(default_factory=list)
    _factors: list[float] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns so far."""
        return len(self._limits), len(self._costs)

    def column(self, low: float = 0.0, high: float = math.inf, *, cost: float = 0.0, integer: bool = False) -> int:
        """A new unknown between `low` and `high`; its index.

        Raises:
            InputError: an empty range, or a figure that is not a number.
        """
        _check_range(low, high)
        _check_finite(cost)
        self._costs.append(cost)
        self._bounds.append((low, high))
        self._integer.append(integer)
        return len(self._costs) - 1

    def binary(self, *, cost: float = 0.0) -> int:
        """A new unknown that is 0 or 1; its index."""
        return self.column(0.0, 1.0, cost=cost, integer=True)

    def add_cost(self, column: int, cost: float) -> None:
        """Add to what a unit of `column` costs."""
        _check_finite(cost)
        self._costs[self._known(column)] += cost

    def row(self, terms: Iterable[tuple[int, float]], low: float = -math.inf, high: float = math.inf) -> int:
        """Demand `low` ≤ sum of factor · column ≤ `high`; the row's index. Terms of one column add up.

        Raises:
            InputError: a column that is not there, an empty range, or a figure that is not a number.
        """
        _check_range(low, high)
        merged: dict[int, float] = {}
        for column, factor in terms:
            _check_finite(factor)
            merged[self._known(column)] = merged.get(column, 0.0) + factor
        self._places += merged.keys()
        self._factors += merged.values()
        self._starts.append(len(self._places))
        self._limits.append((low, high))
        return len(self._limits) - 1

    def solve(
        self,
        *,
        time_limit_s: float = 60.0,
        gap: float = 0.0,
        seed: int = 0,
        start: Mapping[int, float] | None = None,
    ) -> Solution:
        """The best answer, or the best so far when the time is up. The same question has the same answer.

        An interrupt (Ctrl-C) stops the solver and is then passed on.

        Args:
            time_limit_s: wall-clock; an answer that it cut short need not come out the same again.
            gap: stop when the answer is known to be this near to the best, relative to it.
            seed: of the solver's random choices.
            start: values of some columns, the integer ones at least, of an answer to begin with.

        Raises:
            MissingExtra: highspy is not installed.
        """
        solver = _solver({"time_limit": time_limit_s, "mip_rel_gap": gap, "random_seed": seed})
        begun_s = time.monotonic()
        if not self._costs:
            return self._without_columns()
        solver.passModel(*self._arrays(solver))
        if start:
            indices = np.array([self._known(column) for column in start], dtype=np.int32)
            solver.setSolution(len(indices), indices, np.array(list(start.values()), dtype=np.float64))
        _run(solver)
        if _status_name(solver) == "kUnboundedOrInfeasible":  # only a run without presolve tells which
            solver.setOptionValue("presolve", "off")
            _run(solver)
        return self._solution(solver, time.monotonic() - begun_s)

    def _known(self, column: int) -> int:
        if not 0 <= column < len(self._costs):
            raise InputError("a column that is not there", needed=f"below {len(self._costs)}", had=str(column))
        return column

    def _without_columns(self) -> Solution:
        """The programme of no unknowns: every row is 0."""
        holds = all(low <= 0 <= high for low, high in self._limits)
        best = 0.0 if holds else math.inf
        return Solution("optimal" if holds else "infeasible", np.empty(0), best, best, 0.0)

    def _arrays(self, solver: Any) -> tuple[Any, ...]:
        """What `passModel` takes, rows one after another."""
        bounds, limits = np.array(self._bounds), np.array(self._limits).reshape(-1, 2)
        rowwise, minimise, offset = 2, 1, 0.0
        rows, columns = self.size
        starts = np.array(self._starts[:-1] if rows else [0], dtype=np.int32)
        return (
            columns, rows, len(self._places), rowwise, minimise, offset,
            np.array(self._costs), _highs_inf(solver, bounds[:, 0]), _highs_inf(solver, bounds[:, 1]),
            _highs_inf(solver, limits[:, 0]), _highs_inf(solver, limits[:, 1]),
            starts, np.array(self._places, dtype=np.int32), np.array(self._factors, dtype=np.float64),
            np.array(self._integer, dtype=np.int32),
        )  # fmt: skip

    def _solution(self, solver: Any, seconds: float) -> Solution:
        integer = np.array(self._integer)
        info, found = solver.getInfo(), solver.getSolution()
        has_answer = info.primal_solution_status == _FEASIBLE and found.value_valid
        status = _verdict(_status_name(solver), has_answer)
        if status not in ("optimal", "feasible"):
            return Solution(status, np.empty(0), math.inf, _bound(info, integer, status), seconds)
        values = np.array(found.col_value)
        values[integer] = np.round(values[integer])
        return Solution(status, values, info.objective_function_value, _bound(info, integer, status), seconds)


_FEASIBLE = 2  # kSolutionStatusFeasible


def _verdict(name: str, has_answer: bool) -> Status:
    if name == "kOptimal":
        return "optimal"
    if name in ("kInfeasible", "kUnbounded"):
        return "infeasible" if name == "kInfeasible" else "unbounded"
    return "feasible" if has_answer else "unknown"


def _bound(info: Any, integer: NDArray[np.bool_], status: Status) -> float:
    if status == "infeasible":
        return math.inf
    if integer.any():
        return float(info.mip_dual_bound)
    return float(info.objective_function_value) if status == "optimal" else -math.inf


def _solver(options: Mapping[str, float]) -> Any:
    try:
        import highspy
    except ImportError as fault:
        raise MissingExtra("highspy", "ilp") from fault
    made: Any = highspy.Highs  # typed only in part
    solver = made()
    for name, value in {"output_flag": False, "threads": 1, "mip_abs_gap": 0.0, **options}.items():
        solver.setOptionValue(name, value)
    return solver


def _run(solver: Any) -> None:
    """Solve on a thread of its own, so that an interrupt reaches this one, which then stops the solver."""
    stop, done = threading.Event(), threading.Event()

    def heed(event: Any) -> None:
        if stop.is_set():
            event.interrupt()

    def work() -> None:
        try:
            solver.run()
        finally:
            done.set()

    callbacks = (solver.cbMipInterrupt, solver.cbSimplexInterrupt, solver.cbIpmInterrupt)
    for callback in callbacks:
        callback.subscribe(heed)
    threading.Thread(target=work, name="highs", daemon=True).start()
    try:
        while not done.wait(POLL_S):  # not join(): interrupted, it takes the thread for ended
            pass
    finally:
        stop.set()
        done.wait()
        for callback in callbacks:
            callback.unsubscribe(heed)


def _status_name(solver: Any) -> str:
    return str(solver.getModelStatus().name)


def _highs_inf(solver: Any, figures: F64) -> F64:
    """`figures` as HiGHS has them: what is beyond its infinity is infinite."""
    return np.clip(figures, -solver.getInfinity(), solver.getInfinity())


def _check_range(low: float, high: float) -> None:
    if not low <= high or low == math.inf or high == -math.inf:
        raise InputError("an empty range", needed="low ≤ high", had=f"{low} to {high}")


def _check_finite(figure: float) -> None:
    if not math.isfinite(figure):
        raise InputError("a factor that is not finite", had=str(figure))
