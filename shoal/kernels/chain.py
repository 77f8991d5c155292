"""The chain kernels: the native ones where they are built, else numpy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.kernels import chain_labels
from shoal.kernels.chain_nodes import ChainNode
from shoal.kernels.chain_values import ChainPlans, ChainTables

try:
    from shoal.kernels import _native
except ImportError:  # shoal was installed where there is no C++ compiler
    _native = None  # type: ignore[assignment]  # a module or nothing

F64 = NDArray[np.float64]
Kernel = Literal["native", "numpy"]


def chain_kernel() -> Kernel:
    """The kernel used if none is asked for: "native" where it was built, else "numpy"."""
    return "numpy" if _native is None else "native"


def sweep_chain(
    tables: ChainTables,
    nodes: Sequence[ChainNode],
    goals: Collection[int],
    known: F64,
    epsilon: float = 0.0,
    time_limit_s: float = 60.0,
    kernel: Kernel | None = None,
) -> ChainPlans:
    """One pass of the label programme over all nodes: the plans that no known one beats.

    If it finishes with epsilon 0, its plans and the known ones hold every Pareto-optimal value; of plans equal in
    the goals there is one. Both kernels give the same values but for rounding.

    Args:
        tables: costs by unit and cuts.
        nodes: which units may follow which.
        goals: wanted columns of `ChainPlans.values`.
        known: (n, 4) values of complete plans, none dominating another; plans these beat are not looked for.
        epsilon: 0: exact; above: one label a box of this relative size, quicker.
        time_limit_s: afterwards what was found so far; ignored while there is no plan at all.
        kernel: which one; None: the best there is.

    Raises:
        InputError: the native kernel was asked for and is not built.
    """
    if (kernel or chain_kernel()) == "numpy":
        return chain_labels.sweep(tables, nodes, goals, known, epsilon, time_limit_s)
    _need_native()
    known = np.ascontiguousarray(known, dtype=np.float64)
    return ChainPlans(*_native.sweep(_dense(tables), nodes, goals, known, epsilon, max(0.0, time_limit_s)))


def climb_chain(
    tables: ChainTables, goals: Collection[int], plans: NDArray[np.int64], in_order: bool, time_limit_s: float
) -> ChainPlans:
    """Better plans near `plans`, by small changes, over and over: a front that no given plan improves on.

    Native only: it saves the native sweep much work and would cost numpy more than it saves.

    Args:
        tables: costs by unit and cuts.
        goals: wanted columns of `ChainPlans.values`.
        plans: (rows, 3), as `ChainPlans.groups`; those that are not possible are left out.
        in_order: only plans whose units ascend.
        time_limit_s: afterwards what was found so far.

    Raises:
        InputError: the native kernel is not built.
    """
    _need_native()
    plans = np.ascontiguousarray(plans, dtype=np.int64)
    return ChainPlans(*_native.climb(_dense(tables), goals, plans, in_order, max(0.0, time_limit_s)))


def _need_native() -> None:
    if _native is None:
        raise InputError("the native kernel is not built", hint="install shoal where there is a C++ compiler")


def _dense(tables: ChainTables) -> ChainTables:
    """The same with every array in the memory layout that native code reads."""
    arrays = ((each.name, getattr(tables, each.name)) for each in fields(tables))
    dense: dict[str, Any] = {name: np.ascontiguousarray(a) for name, a in arrays if isinstance(a, np.ndarray)}
    return replace(tables, **dense)
