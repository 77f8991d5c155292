"""Memory from configurations: what it is made of, and the longest prompt under a limit."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.errors import InputError, ModelError
from shoal.llm import architecture
from shoal.llm.profile import Point, Subject, longest, memory
from tests.llm import configs, models

ALL = [Subject("llama", models.LLAMA), Subject("mamba2", models.MAMBA2), Subject("bamba", models.BAMBA, scan=16)]


@pytest.mark.parametrize("subject", ALL, ids=lambda each: each.name)
def test_the_longest_prompt_fits_and_the_next_does_not(subject: Subject) -> None:
    limit_bytes = 3e6
    most = longest(subject, limit_bytes)
    assert memory(subject, Point(most)).bytes <= limit_bytes < memory(subject, Point(most + 1)).bytes
    assert longest(subject, 10.0) == 0


def test_parts_are_those_of_the_configuration() -> None:
    subject, found = Subject("llama", models.LLAMA), architecture(models.LLAMA)
    told = memory(subject, Point(100, batch=3), value_bytes=2)
    assert told.weights_bytes == 2 * found.parameters
    assert told.cache_bytes == 3 * found.cache_bytes(100, 2)
    assert told.bytes == told.weights_bytes + told.cache_bytes + told.activations_bytes


def test_logits_of_all_places_and_shorter_passes() -> None:
    subject, point = Subject("mamba2", models.MAMBA2), Point(1000)
    more = memory(subject, point, all_logits=True).bytes - memory(subject, point).bytes
    assert more == 4 * 999 * models.MAMBA2["vocab_size"]
    parts = [memory(Subject("mamba2", models.MAMBA2, passes=128), Point(each)).bytes for each in (1024, 65536)]
    assert parts[0] == parts[1]


def test_layers_without_a_formula_are_named() -> None:
    with pytest.raises(ModelError, match="Experts"):
        memory(Subject("mixtral", configs.MIXTRAL_8X7B), Point(8))


@pytest.mark.parametrize(
    ("entries", "tokens", "refused"),
    [(models.LLAMA, 512, False), (models.LLAMA, 513, True), (models.BAMBA, 513, True), (models.MAMBA2, 1 << 30, False),
     (models.LLAMA | {"rope_scaling": {"factor": 4.0, "rope_type": "linear"}}, 513, False), (models.LLAMA, 0, True)],
)  # fmt: skip
def test_a_prompt_longer_than_its_positions_is_refused(entries: dict[str, Any], tokens: int, refused: bool) -> None:
    subject = Subject("model", entries)
    if refused:
        with pytest.raises(InputError, match=r"positions|tokens"):
            subject.check(tokens)
    else:
        subject.check(tokens)
