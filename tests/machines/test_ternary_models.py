"""Whole ternary models: cycles of a layer by the formula, cards in a row, streams, both phases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal.errors import InputError, LimitError, ModelError
from shoal.machines.accelerators._ternary import streamed
from shoal.machines.accelerators.tellme import Tellme
from shoal.machines.accelerators.tereffic import Tereffic
from shoal.machines.ternary_models import (
    BITNET_700M,
    MATMUL_FREE_370M,
    MATMUL_FREE_2700M,
    Item,
    TernaryDecoder,
    decode,
    decoding,
    layer_jobs,
    link_s,
    parts,
    placed,
    prefill,
    prompting,
)

CARDS = Tereffic()
STREAMING = Tereffic(weights="hbm", cards=1)
SMALL = TernaryDecoder("small", 96, 2, 192, 64, heads=2)


def test_the_sizes_give_the_published_numbers_of_weights() -> None:
    assert MATMUL_FREE_370M.ternary_weights == 308_281_344
    assert MATMUL_FREE_2700M.ternary_weights == 2_537_553_920
    assert BITNET_700M.ternary_weights == 679_477_248
    assert BITNET_700M.ends_weights == 49_152_000
    assert MATMUL_FREE_370M.ends_weights == 65_536_000


def test_a_layer_takes_its_tiles_and_six_fillings() -> None:
    assert streamed(layer_jobs(CARDS, MATMUL_FREE_370M, 1)).cycles == 784 + 36
    assert streamed(layer_jobs(replace(CARDS, fill_cycles=0), MATMUL_FREE_370M, 1)).cycles == 784


def test_one_stream_goes_over_both_cards_and_back() -> None:
    found = decoding(CARDS, MATMUL_FREE_370M)
    assert found.token_s == pytest.approx(24 * 820 / 250e6 + link_s(CARDS, MATMUL_FREE_370M))
    assert link_s(CARDS, MATMUL_FREE_370M) == pytest.approx(2 * (1e-6 + 1024 / 12.5e9))
    assert sum(found.cards_bytes) == pytest.approx(308_281_344 * 1.6 / 8, rel=1e-3)


def test_only_several_streams_use_both_cards() -> None:
    one, two, four = (decoding(CARDS, MATMUL_FREE_370M, streams) for streams in (1, 2, 4))
    assert two.tokens_per_s == pytest.approx(2 * one.tokens_per_s, rel=1e-6)
    assert four.tokens_per_s == pytest.approx(1 / max(one.busy_s), rel=1e-3)
    assert four.token_s > 1.9 * one.token_s


def test_one_card_needs_no_links() -> None:
    alone = replace(CARDS, cards=1, urams=2000)
    assert decoding(alone, MATMUL_FREE_370M).token_s == pytest.approx(24 * 820 / 250e6)
    assert decoding(alone, MATMUL_FREE_370M).energy_j["link"] == 0


def test_streamed_weights_are_bound_by_bytes_until_enough_streams_share_them() -> None:
    one = decoding(STREAMING, MATMUL_FREE_2700M)
    assert one.token_s == pytest.approx(2_537_553_920 / 5 / 256e9, rel=0.02)
    twice = decoding(replace(STREAMING, hbm_channels=64, hbm_bytes_per_s=1e12), MATMUL_FREE_2700M)
    assert twice.tokens_per_s == pytest.approx(2 * one.tokens_per_s, rel=0.02)
    assert decoding(STREAMING, MATMUL_FREE_2700M, 2).tokens_per_s == pytest.approx(2 * one.tokens_per_s, rel=0.02)
    assert decoding(STREAMING, MATMUL_FREE_2700M, 8).token_s == pytest.approx(8 * one.busy_s[0], rel=0.02)


def test_the_head_is_waited_for() -> None:
    for machine, model in ((CARDS, MATMUL_FREE_370M), (STREAMING, MATMUL_FREE_2700M)):
        without, with_it = decoding(machine, model), decoding(machine, model, head_s=1e-3)
        assert 0.9e-3 < with_it.token_s - without.token_s <= 1.001e-3


def test_what_does_not_fit_names_the_cards_that_it_needs() -> None:
    with pytest.raises(LimitError, match=r"model 'MatMul-free 370M'.*needed 8 cards .*had 2 of"):
        placed(replace(CARDS, packing="8"), MATMUL_FREE_370M)
    assert placed(replace(CARDS, packing="8", cards=8), MATMUL_FREE_370M) == (3,) * 8
    with pytest.raises(LimitError, match="for a layer"):
        placed(replace(CARDS, inputs_at_once=1, urams=20, brams=0), MATMUL_FREE_2700M)
    with pytest.raises(InputError, match="no split of streamed weights"):
        decoding(replace(STREAMING, cards=2), MATMUL_FREE_370M)
    with pytest.raises(InputError, match="no stream"):
        decoding(CARDS, MATMUL_FREE_370M, 0)
    with pytest.raises(InputError, match="heads do not divide"):
        TernaryDecoder("odd", 10, 1, 10, 10, heads=3)


def test_a_prompt_waits_for_computing_and_a_new_token_for_loading() -> None:
    machine = Tellme()
    prompt, new = prefill(machine, BITNET_700M, 64), decode(machine, BITNET_700M, 64)
    assert prompt.linear_s == pytest.approx(64 * 679_477_248 / (3 * 32 * 4 * 250e6), rel=0.01)
    assert prompt.seconds == pytest.approx(prompt.linear_s + prompt.attention_s + prompt.head_s, rel=0.01)
    assert new.load_s == pytest.approx(679_477_248 * 5 / 24 / 4e9, rel=1e-3)
    assert new.seconds == pytest.approx(new.load_s + new.head_s, rel=0.02)
    assert new.linear_s == pytest.approx(prompt.linear_s / 64, rel=0.01)


def test_a_small_decoder_by_hand() -> None:
    """A port so wide that nothing waits for it: norms, steps, first tables, fillings, attention; then the head."""
    machine = Tellme(port_bytes=1 << 20, host_bytes_per_s=250e6)
    found = prefill(machine, SMALL, 16)
    steps = 4 * 96 / 4 + 2 * 192 / 4 + 2 * 96 / 4
    layer = 2 * (96 // 16 + 8) + 16 * steps + 7 * 3 + 4 * 8 + 16 * 16 * 96 * 2 / 64
    head = 64 * 96  # a byte a cycle
    assert found.seconds * 250e6 == pytest.approx(2 * layer + head)
    assert found.attention_s * 250e6 == 2 * 768


def test_without_heads_there_is_no_attention() -> None:
    assert prefill(Tellme(), MATMUL_FREE_370M, 32).attention_s == 0
    assert decode(Tellme(), MATMUL_FREE_370M, 32).energy_j["attention"] == 0


def test_no_token_is_refused() -> None:
    for asked in (prefill, decode):
        with pytest.raises(InputError, match="no token"):
            asked(Tellme(), SMALL, 0)


def test_a_prompt_on_cards_reads_a_tile_once_for_all_tokens() -> None:
    one = prompting(CARDS, MATMUL_FREE_370M, 1)
    assert one.token_s == pytest.approx(decoding(CARDS, MATMUL_FREE_370M).token_s)
    many = prompting(CARDS, MATMUL_FREE_370M, 64)
    assert many.token_s == pytest.approx(24 * (64 * 784 + 36) / 250e6 + link_s(CARDS, MATMUL_FREE_370M, 64))
    assert many.energy_j["weights"] == pytest.approx(one.energy_j["weights"])
    assert many.energy_j["trit"] == pytest.approx(64 * one.energy_j["trit"])
    for fault, asked in (
        ("no token", (CARDS, MATMUL_FREE_370M, 0)),
        ("no split", (replace(STREAMING, cards=2), SMALL, 1)),
    ):
        with pytest.raises(InputError, match=fault):
            prompting(*asked)


@pytest.mark.parametrize("item", [Item(1, 64, 1), Item(1, 1, 100)])
def test_parts_are_the_whole(item: Item) -> None:
    machine = Tellme()
    whole = prefill(machine, BITNET_700M, 64) if item.tokens > 1 else decode(machine, BITNET_700M, 100)
    found = parts(machine, BITNET_700M, item)
    together_s = 24 * (found.mixer_s + found.product_s) + sum(found.ends_s.values())
    assert together_s == pytest.approx(whole.seconds)
    assert found.watts * whole.seconds == pytest.approx(whole.joules - whole.energy_j["static"])
    assert found.ends_s["head"] == whole.head_s
    assert 0.5 < found.product_s / found.mixer_s < 4  # 18.9 of 28.3 million weights are in the product


def test_parts_on_cards_are_layers_alone() -> None:
    for batch in (1, 3):
        found = parts(STREAMING, MATMUL_FREE_2700M, Item(batch, 1, 5))
        assert 32 * (found.mixer_s + found.product_s) == pytest.approx(
            decoding(STREAMING, MATMUL_FREE_2700M, batch).token_s
        )
        assert not found.ends_s
    with pytest.raises(ModelError, match="no unit for attention"):
        parts(CARDS, BITNET_700M, Item(1, 1, 5))
    with pytest.raises(ModelError, match="several sequences at once"):
        parts(Tellme(), BITNET_700M, Item(2, 1, 5))
    with pytest.raises(ModelError, match="no formula for whole language models"):
        parts(object(), BITNET_700M, Item(1, 1, 5))
