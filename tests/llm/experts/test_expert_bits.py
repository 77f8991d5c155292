"""Bits of experts: the least sensitive first, no further than is tolerated, the model as it was."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.errors import InputError
from shoal.llm.experts import blocks, stored_bits
from shoal.llm.experts._widths import Expert, lowered, trial
from shoal.llm.experts.expert_bits import ExpertBits
from shoal.llm.experts.quantise import Quantise
from shoal.train.language import Stretches

torch = pytest.importorskip("torch")


def test_experts_go_down_in_order_one_width_at_a_time() -> None:
    order = [Expert(0, 1), Expert(1, 0), Expert(0, 0)]
    found = [[each[expert] for expert in order] for each in lowered(order, 2)]
    assert found == [[8, 8, 8], [4, 4, 8], [4, 4, 4], [2, 2, 4], [2, 2, 2]]


def test_a_trial_takes_the_loss_that_the_technique_gives_and_leaves_nothing(model: Any, learned: Stretches) -> None:
    symbols = learned.x[:2]
    before = {name: each.clone() for name, each in model.state_dict().items()}
    with trial(model, symbols) as tried:
        alike = dict.fromkeys(tried.experts, 4)
        loss, bits = tried.loss_nats(alike), tried.bits(alike)
        assert tried.loss_nats(dict.fromkeys(tried.experts, 2)) > loss > 0
        assert tried.loss_nats(alike) == loss  # and back
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    handle = Quantise("int4").apply(model, symbols)
    with trial(model, symbols) as tried:
        assert tried.plain_loss_nats == pytest.approx(loss, rel=1e-6)
    assert stored_bits(model) == bits
    handle.undo()


def test_the_tolerance_is_kept_and_more_of_it_never_takes_more_bits(model: Any, learned: Stretches) -> None:
    symbols = learned.x[:2]
    with trial(model, symbols) as tried:
        sensitivities = {each: -float(each.place) for each in tried.experts}  # the last layer bears most
        taken = []
        for tolerance in (0.0, 0.02, 0.1, 10.0):
            widths = ExpertBits(tolerance, step=8).within(tried, sensitivities)
            taken.append(tried.bits(widths))
            assert tried.loss_nats(widths) <= (1 + tolerance) * tried.plain_loss_nats or set(widths.values()) == {8}
            assert all(widths[Expert(3, 0)] <= widths[Expert(place, 0)] for place in range(3))
    assert taken == sorted(taken, reverse=True)
    assert set(widths.values()) == {2}


def test_who_must_be_surer_takes_no_fewer_bits(model: Any, learned: Stretches) -> None:
    with trial(model, learned.x[:4]) as tried:
        order = {each: -float(each.place) for each in tried.experts}
        found = [ExpertBits(0.05, 1, sureness).within(tried, order) for sureness in (0.0, 1.645, 50.0)]
        rises = tried.losses_nats(found[1]) - 1.05 * tried.plain_losses_nats
        bits = [tried.bits(each) for each in found]
    assert bits == sorted(bits)
    assert bits[0] < bits[-1]
    assert rises.mean() + 1.645 * rises.std(ddof=1) / 2 <= 0  # of four rows


def test_an_expert_that_gives_nothing_is_not_sensitive(model: Any, learned: Stretches) -> None:
    with torch.no_grad():
        blocks(model)[1].experts.down_proj[5] = 0
    with trial(model, learned.x[:2]) as tried:
        found = tried.sensitivities()
    assert found[Expert(1, 5)] == pytest.approx(0, abs=1e-6)
    assert max(found.values()) > 1e-4


def test_wrong_options_and_too_little_text_are_refused(model: Any, learned: Stretches) -> None:
    for options in ({"tolerance": -0.1}, {"tolerance": float("nan")}, {"step": 0}, {"sureness": -1.0}):
        with pytest.raises(InputError, match="a tolerance and a sureness from 0"):
            ExpertBits(**options)
    with pytest.raises(InputError, match="two symbols a row"):
        ExpertBits().apply(model, learned.x[:, :1])
