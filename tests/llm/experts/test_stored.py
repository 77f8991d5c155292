"""Experts in few bits and as thin matrices: what they take and what is left of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal import formats
from shoal.errors import InputError
from shoal.llm.experts import blocks, seen, stored_bits
from shoal.llm.experts.low_rank import LowRank
from shoal.llm.experts.mixed_bits import MixedBits
from shoal.llm.experts.quantise import Quantise
from shoal.train.language import Stretches

SHAPES = ((128, 128), (128, 64))  # of an expert's matrices, as (rows, columns)


def test_experts_in_few_bits_take_what_the_format_says(model: Any, learned: Stretches) -> None:
    before = [each.experts.gate_up_proj.detach().numpy().copy() for each in blocks(model)]
    Quantise("int4g32").apply(model, learned.x)
    form = formats.make("int4g32")
    assert stored_bits(model) == 4 * 8 * sum(form.stored_bits(shape) for shape in SHAPES)
    for each, old in zip(blocks(model), before, strict=True):
        wanted = formats.restored(form, formats.quantise(form, old[3]))
        np.testing.assert_array_equal(each.experts.gate_up_proj[3].detach().numpy(), wanted)


def test_experts_in_ternary_values(model: Any, learned: Stretches) -> None:
    bits = stored_bits(model)
    Quantise("tern2").apply(model, learned.x)
    assert stored_bits(model) < bits / 6
    for each in blocks(model):
        for row in each.experts.gate_up_proj[0]:
            assert len(row.abs().unique()) <= 2  # a scale, and nothing


def test_busy_experts_have_more_bits(model: Any, learned: Stretches) -> None:
    mass = [each.mass(8) for each in seen(model, learned.x)]
    before = [each.experts.down_proj.detach().clone() for each in blocks(model)]
    MixedBits(fine="int8g32", coarse="int2g32", share=0.25).apply(model, learned.x)
    for each, known, old in zip(blocks(model), mass, before, strict=True):
        off = (each.experts.down_proj - old).square().mean((1, 2)) / old.square().mean((1, 2))
        assert set(off.argsort()[:2].tolist()) == set(known.argsort(descending=True)[:2].tolist())
    wanted = [formats.make(name).stored_bits(shape) for name in ("int8g32", "int2g32") for shape in SHAPES]
    assert stored_bits(model) == 4 * (2 * sum(wanted[:2]) + 6 * sum(wanted[2:]))


@pytest.mark.parametrize("shared", [True, False])
def test_thin_matrices_keep_the_energy_asked_for(model: Any, learned: Stretches, shared: bool) -> None:
    before = [each.experts.gate_up_proj.detach().clone() for each in blocks(model)]
    LowRank(energy=0.7, shared=shared).apply(model, learned.x)
    for each, old in zip(blocks(model), before, strict=True):
        centre = old.mean(0) if shared else 0 * old[0]
        kept = (each.experts.gate_up_proj - centre).square().sum((1, 2)) / (old - centre).square().sum((1, 2))
        assert float(kept.min()) >= 0.7 - 1e-4
        assert float(kept.max()) < 0.8


def test_bad_options_are_refused(model: Any, learned: Stretches) -> None:
    with pytest.raises(InputError, match="a share above 0 up to 1"):
        LowRank(energy=0.0).apply(model, learned.x)
    with pytest.raises(InputError, match="a share from 0 to 1"):
        MixedBits(share=2.0).apply(model, learned.x)
    with pytest.raises(InputError, match="no number format is called"):
        Quantise("int99q").apply(model, learned.x)
