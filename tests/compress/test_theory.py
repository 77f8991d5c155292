from __future__ import annotations

import numpy as np
import pytest

from shoal import formats
from shoal.compress import PAIRS, Contest, crossover, qsnr_floating, qsnr_integer
from shoal.errors import InputError
from shoal.formats import quantise, restored


@pytest.mark.parametrize("contest", PAIRS, ids=lambda each: each.integer)
def test_crossovers_are_the_published_ones(contest: Contest) -> None:
    found = crossover(contest)
    assert found == pytest.approx(contest.published, rel=0.02 if contest.power_of_two else 0.05)
    assert qsnr_integer(contest, found - 0.1) > qsnr_floating(contest, found - 0.1)
    assert qsnr_integer(contest, found + 0.1) < qsnr_floating(contest, found + 0.1)


@pytest.mark.parametrize("contest", PAIRS, ids=lambda each: each.integer)
def test_what_formats_lose_is_what_theory_says(contest: Contest) -> None:
    """On normal values, by block: theory within 1.5 dB at the blocks' mean crest factor."""
    values = np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
    blocks = values.reshape(-1, contest.group)
    crest = float((np.abs(blocks).max(axis=1) / np.sqrt((blocks**2).mean(axis=1))).mean())
    for name, theory in ((contest.integer, qsnr_integer), (contest.floating, qsnr_floating)):
        form = formats.make(name)
        lost = restored(form, quantise(form, values)) - values
        measured = -10 * np.log10(float((lost**2).sum() / (values**2).sum()))
        assert measured == pytest.approx(theory(contest, crest), abs=1.5)


def test_no_block_has_a_crest_factor_below_one() -> None:
    for each in (0.5, float("nan")):
        with pytest.raises(InputError, match="crest factor"):
            qsnr_integer(PAIRS[0], each)
