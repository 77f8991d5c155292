"""What Plaid's compiler and machine refuse, and what a product on them takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shoal.errors import LimitError, ModelError, ShoalError
from shoal.machines.accelerators import Call, Operand, accelerator, price
from shoal.machines.cgra import Dataflow, Node, Read, conventional, kernel, mapped, plaid
from shoal.study.contract import Finding


def refused() -> Finding:
    """Each kind of wrong input, and whether it is told as such."""
    gemm = kernel("gemm").graph(2)
    cases: dict[str, tuple[type[ShoalError], str, Callable[[], object]]] = {
        "unknown op": (ModelError, "no unit does 'div'", lambda: Dataflow("x", (Node("div", (1, 2)),))),
        "cycle": (ModelError, "a cycle within one iteration",
                  lambda: Dataflow("x", (Node("add", (Read(1), 1)), Node("add", (Read(0), 1))))),
        "apart": (ModelError, "nothing to do with one another",
                  lambda: Dataflow("x", (Node("add", (Read(0, 1, (0,)), 1)), Node("add", (Read(1, 1, (0,)), 1))))),
        "contexts": (LimitError, "more configurations", lambda: mapped(gemm, plaid(contexts=1 + 1, rows=1, columns=1))),
        "no mapping": (LimitError, "no mapping was found", lambda: mapped(gemm, conventional(), most=2, rounds=0)),
    }  # fmt: skip
    told = {name: _told(*case) for name, case in cases.items()}
    return Finding("refused", all(told.values()), "computed", len(told), why=", ".join(told))


def _told(kind: type[ShoalError], words: str, does: Callable[[], object]) -> bool:
    try:
        does()
    except ShoalError as fault:
        return isinstance(fault, kind) and words in fault.message
    return False


def product() -> Finding:
    """A Gemm by the machine: its seconds are those of the mapped loop, and a plan's price is the same."""
    weights = np.random.default_rng(0).standard_normal((24, 32)).astype(np.float32)
    call = Call("y", "MatMul", (Operand("x", "float32", (16, 24)), Operand("w", "float32", (24, 32), lambda: weights)),
                (Operand("y", "float32", (16, 32)),))  # fmt: skip
    machine = accelerator("cgra")
    task = machine.compiled(call)
    ran, taken = machine.run(task), price("cgra", call)
    entry = task.mapping.ii * (24 - 1) + task.mapping.length
    same = ran.cycles == 16 * 32 * entry and (taken.seconds, taken.cycles) == (ran.seconds, ran.cycles)
    return Finding(
        "placed", same, "simulated", 1, why=f"{task.mapping.ii} cycles a product, {entry} an entry of the loop"
    )
