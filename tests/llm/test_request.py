"""Both entries chosen for a request: what a prompt leaves behind costs its way, and nothing better is among the pairs."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from shoal.errors import InputError
from shoal.llm.planning import plan_entry
from shoal.llm.request import Request, kept_bytes, plan_request
from shoal.plan import Objective, Wishes
from tests.llm.test_phases import BITNET, fleet, written

ENTRIES = {"prefill": "prefill:tokens=64,weights=tern3x5t", "decode": "decode:context=128,weights=tern3x5t"}
BOARDS = {"fpga": "kv260-ternary", "laptop": "laptop-i7-1165g7"}
KEPT = 24 * 2 * 64 * 1536 * 2  # layers, keys and values, tokens, width, bytes of float16


@pytest.mark.parametrize("goal", ["latency", "energy"])
def test_the_placement_is_as_good_as_the_best_of_four(goal: str, tmp_path: Path) -> None:
    path, machines, objective = written(tmp_path, BITNET), fleet(**BOARDS), Objective((goal,))

    def alone(entry: str, device: str) -> Wishes:
        others = tuple(name for name in BOARDS if name != device)
        return Wishes(objective=objective, exclude=(*others, *["fpga/cpu"][: device == "fpga"]))

    plans = {(name, device): plan_entry(path, ENTRIES[name], machines, alone(name, device)).plan
             for name in ENTRIES for device in BOARDS}  # fmt: skip
    kept = kept_bytes(plans["prefill", "fpga"])
    assert sum(kept.values()) == KEPT
    fronts, found = plan_request(path, ENTRIES, machines, Wishes(objective=objective), 16)
    figures = []
    for one, other in product(BOARDS, repeat=2):
        each = Request(plans["prefill", one], plans["decode", other], 16, kept)
        moved = KEPT if one != other else 0
        assert sum(each.moved_bytes.values()) == moved
        assert each.moved_s == pytest.approx(moved / 1.25e9 + 50e-6 * (moved > 0))
        assert each.seconds == each.first_token_s + each.moved_s + 16 * each.decode.prediction.alone_latency_s
        figures.append(each.seconds if goal == "latency" else each.joules)
    assert (found.seconds if goal == "latency" else found.joules) <= min(figures) * (1 + 1e-9)
    assert fronts["prefill"].plan.owners == found.prefill.owners
    assert fronts["decode"].plan.owners == found.decode.owners


def test_other_goals_and_no_token_are_refused(tmp_path: Path) -> None:
    path, machines = written(tmp_path, BITNET), fleet(**BOARDS)
    for goal, new in (("throughput", 8), ("latency", 0)):
        with pytest.raises(InputError, match="a request has no such figure"):
            plan_request(path, ENTRIES, machines, Wishes(objective=Objective((goal,))), new)
