"""The parts of the study of bit planes: fits, ratios with their intervals, decoding beside torch, kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.study import Bench
from shoal.study import _elutq_kernels as kernels
from shoal.study._elutq_decode import greedy
from shoal.study._elutq_fit import REFERENCE, drawn, fit, refusals
from shoal.study._elutq_text import Read, over


@pytest.mark.parametrize("law", list(REFERENCE))
def test_drawn_weights_lose_what_the_reference_says(law: str) -> None:
    found = fit(drawn(law, 128, 0), 2, 128)
    assert found.groups == 128 * 16
    assert max(found.excess) < 1e-3
    assert found.lost[4] < min(found.lost[1], found.lost[3]) < found.lost[0]
    assert (found.lost[0], found.lost[1], found.lost[4]) == pytest.approx(REFERENCE[law], rel=0.1)


def test_wrong_input_is_named() -> None:
    assert all(refusals().values()), refusals()


def test_a_ratio_of_perplexities_has_the_interval_of_pairs() -> None:
    """Two ways that differ by as much on each stretch differ by that for certain, however much stretches differ."""
    lost = np.random.default_rng(0).exponential(size=200)
    one, other = Read("one", 2.5, lost + np.log(1.5)), Read("other", 2.25, lost)
    found = over("ratio", one, other, 0)
    assert found.obtained == pytest.approx(1.5)
    assert found.interval == pytest.approx((1.5, 1.5))
    assert found.n == 200
    low, high = over("ratio", Read("noisy", 2.5, lost[::-1]), other, 0).interval or (0, 0)
    assert low < 1 < high


def test_decoding_counts_what_differs_and_how_near_it_was() -> None:
    """A reference that counts upwards; the other says twice what it says at one place."""

    def logits(symbols: Any, wrong: int = -1) -> Any:
        found = np.zeros((*symbols.shape, 16), np.float32)
        np.put_along_axis(found, (symbols[..., None] + 1) % 16, 1.0, axis=-1)
        found[symbols == wrong, 0] = 1.5
        return found

    prompts = np.array([[3, 4], [9, 10]])
    found = greedy(lambda symbols: logits(symbols, 6), logits, prompts, 8, 4)
    np.testing.assert_array_equal(found.same, [[True, True, False, True], [True] * 4])
    assert (found.leads == 1).all()
    assert found.apart[0, 2] == 1.5
    assert found.apart.sum() == 1.5


def test_the_kernels_agree_on_every_path() -> None:
    kernel, paths = kernels.agreement(0)
    assert kernel.obtained < 1
    assert paths.obtained < 1e-5


def test_speeds_are_ratios_of_rounds(tmp_path: Path) -> None:
    shown = list(kernels.speed((64, 512), (1,), 2, Bench(tmp_path, 0, lambda _: None)))
    assert {each.key for each in shown[1:]} == set(kernels.RATIOS)
    assert len(shown[0].rows) == len(kernels.OURS) + len(kernels.THEIRS)


def test_what_kernels_decode_is_what_torch_decodes(tmp_path: Path) -> None:
    """One layer in two planes: torch with activations in float32 as onnxruntime, in int8 as the kernels."""
    pytest.importorskip("torch")
    from shoal.compress import compress
    from shoal.compress.techniques.rtn import Rtn
    from shoal.study._elutq_decode import ENGINE, stored
    from shoal.study._elutq_fake import fake
    from shoal.study._elutq_text import HEAD, ground, plain

    found = ground(Bench(tmp_path, 0, lambda _: None), 1, 1, 2)
    made = compress(found.graph, [Rtn("hlq2g64")], skip=[HEAD])
    symbols = found.held.x
    for group, model in ((0, found.answering(made.model)), (64, found.answering(made.model, ENGINE))):
        reference = np.asarray(fake(found.decoder, found.weights, stored(made), group)(symbols))
        np.testing.assert_allclose(model(symbols), reference, atol=2e-3 * np.abs(reference).max())
    whole = fake(
        found.decoder, found.weights, {layer.op: found.weights[f"{layer.op}.weight"] for layer in made.layers}, 0
    )
    np.testing.assert_allclose(found.answering(found.graph)(symbols), whole(symbols), atol=1e-3)
    assert 1 < plain(found).perplexity < 256
