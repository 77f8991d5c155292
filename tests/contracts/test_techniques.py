"""Every technique of compression keeps what `compress/contract.py` promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal import catalog, formats
from shoal.compress import Equaliser, Reading, Rounder, Seen, Turner, Work, layers_of
from shoal.graph import load
from tests.compress import nets
from tests.graph.models import write

FAMILY = "compress/techniques"
ROWS, COLUMNS = 6, 128


def problem() -> tuple[Work, Seen]:
    source = np.random.default_rng(0)
    x = source.standard_normal((1, 300, COLUMNS)).astype(np.float32)
    seen = Seen(COLUMNS)
    seen.add(x, x + np.float32(0.1))
    weights = source.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    return Work(weights, wanted=weights), seen


@pytest.mark.parametrize("name", catalog.names(FAMILY))
def test_a_technique_keeps_its_promises(name: str, multiplier: str, tmp_path: Path) -> None:
    technique = catalog.make(FAMILY, name)
    work, seen = problem()
    before = work.weights.copy()
    assert isinstance(technique.needs_samples, bool)
    if isinstance(technique, Equaliser):
        readings = [Reading(work.weights, seen, np.arange(COLUMNS)[None], formats.make("int4g32"))]
        scales = technique.scales(readings)
        assert scales.shape == (COLUMNS,)
        assert np.isfinite(scales).all()
        assert (scales > 0).all()
    elif isinstance(technique, Turner):
        graph = load(write(nets.mlp(), tmp_path))
        found = technique.turned(graph, layers_of(graph))
        assert {layer.op for layer in layers_of(graph)} <= {layer.op for layer in layers_of(found)}
        assert (found.inputs, found.outputs) == (graph.inputs, graph.outputs)
    elif isinstance(technique, Rounder):
        x = np.random.default_rng(1).standard_normal((2, 5, COLUMNS)).astype(np.float32)
        rounding = technique.rounding([x[:1], x[1:]], -1, False)
        assert rounding.told
        left = rounding.rounded(x)
        assert (left.shape, left.dtype) == (x.shape, x.dtype)
        assert np.square(left - x).mean() < 0.1 * np.square(x).mean()
    else:
        found = technique.apply(work, seen, 0)
        assert found.weights.shape == (ROWS, COLUMNS)
        assert np.isfinite(found.weights).all()
        assert (found.coded is not None) == hasattr(technique, "format")
        if found.coded is not None:
            form = formats.make(technique.format)
            assert found.coded.codes.shape == (ROWS, COLUMNS)
            streams = form.pack(found.coded)
            assert 8 * sum(stream.size for stream in streams.values()) == form.stored_bits((ROWS, COLUMNS))
    np.testing.assert_array_equal(work.weights, before)
