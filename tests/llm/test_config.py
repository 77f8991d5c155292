"""What configurations must say, and what is said of those that do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shoal.errors import InputError, ModelError, ShoalError
from shoal.llm import architecture
from tests.llm import configs


def test_a_folder_a_file_and_its_entries_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(configs.GEMMA_270M))
    assert architecture(tmp_path) == architecture(file) == architecture(configs.GEMMA_270M)


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(ModelError, match="'lama'") as told:
        architecture(configs.LLAMA_8B | {"model_type": "lama"})
    assert "llama" in told.value.hint


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"vocab_size": None}, "vocab_size"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"num_hidden_layers": True}, "num_hidden_layers"),
        ({"num_key_value_heads": 5}, "share keys"),
        ({"model_type": 7}, "model_type"),
    ],
)
def test_what_is_missing_or_cannot_be_is_named(entries: dict[str, Any], told: str) -> None:
    with pytest.raises(ShoalError, match=told):
        architecture(configs.LLAMA_8B | entries)


def test_kinds_of_layers_must_fit_their_number() -> None:
    with pytest.raises(ModelError, match="kinds of layers"):
        architecture(configs.GEMMA_270M | {"layer_types": ["full_attention"]})


def test_more_experts_a_token_than_there_are_is_refused() -> None:
    with pytest.raises(InputError, match="more experts"):
        architecture(configs.MIXTRAL_8X7B | {"num_experts_per_tok": 9})


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe"])
def test_a_file_that_is_no_configuration_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.json"):
        architecture(tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("none", "x" * 300 + ".json"):
        with pytest.raises(ModelError, match="cannot read"):
            architecture(tmp_path / name)
