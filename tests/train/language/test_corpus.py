"""Text that is learned from is never tested with."""

from __future__ import annotations

from shoal.train.language import corpus


def test_no_paragraph_is_in_both_parts() -> None:
    learned, held = ({part for part in text.tobytes().split(b"\n\n") if part} for text in corpus())
    assert not learned & held


def test_a_sixteenth_is_held_out_and_it_is_english() -> None:
    learned, held = corpus()
    assert len(learned) > 1_000_000
    assert 0.04 < len(held) / len(learned) < 0.09
    assert b" the " in held.tobytes()
