"""Kinds of text: parts that do not share a piece, and a router that tells them apart."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.llm.composition.router import learned
from shoal.llm.composition.texts import PIECE, texts


def test_what_is_held_out_is_not_learned_from_and_kinds_are_told_apart() -> None:
    found = texts(60_000)
    for each in found.values():
        learned_, held = (
            {bytes(part[at : at + PIECE]) for at in range(0, len(part), PIECE)}
            for part in (each.learned, each.held)
        )
        assert not learned_ & held
    router = learned({name: each.learned for name, each in found.items()}, "documents", each=60)
    rows = [
        (name, each.held[at : at + 96].tobytes())
        for name, each in found.items()
        for at in range(0, len(each.held) - 96, 512)
    ]
    right = np.mean([router.route(prompt).likeliest == name for name, prompt in rows])
    assert len(found) == 8
    assert right > 0.8  # a guess is right in one of eight


def test_too_little_text_is_told() -> None:
    with pytest.raises(InputError, match="too little text of a kind"):
        texts(2 * PIECE)
