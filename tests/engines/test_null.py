"""The null engine: right shapes and types, and a gate that can be closed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.engines.null import Null
from shoal.program import Program, Segment, TensorSpec
from tests.engines.segments import passes_through


@pytest.mark.parametrize(("text", "gate"), [("null", True), ("null:gate=false", False)])
def test_gate_outputs_take_the_option(text: str, gate: bool, tmp_path: Path) -> None:
    case = passes_through()
    got = catalog.make("engines", text).load(case.program(), case.segment((), "null"), tmp_path, 1).run({}, {})
    assert got["gate"].dtype == bool
    assert bool(got["gate"].all()) is gate
    assert got["whole"].dtype == np.int64
    assert not got["whole"].any()


def test_named_sizes_stand_at_their_bound(tmp_path: Path) -> None:
    program = Program("p", ("a/cpu",), (), (), (), 1, {"y": TensorSpec("float32", (1, "2*n"))}, sizes={"n": 3})
    session = Null().load(program, Segment("s", "a/cpu", (), ("y",)), tmp_path, 1)
    assert session.run({}, {})["y"].shape == (1, 6)
    shorter = np.ones((1, 2), np.float32)
    assert session.run({}, {"y": shorter})["y"] is shorter
    assert not shorter.any()
