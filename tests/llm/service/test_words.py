"""Text piece by piece: whole characters, nothing after a stop, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.llm.checkpoint import Text
from shoal.llm.service import Words
from shoal.llm.tiny import save_folder, tiny

pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Text:
    folder: Path = tmp_path_factory.mktemp("model")
    return Text(save_folder(tiny("llama"), folder) / "tokenizer.json")


def pieces(text: Text, said: str, stops: tuple[str, ...] = ()) -> list[str]:
    words, found = Words(text, stops), []
    for token in text.tokens(said):
        found.append(words.add(token))
        if words.stopped:
            break
    return [*found, words.rest()]


def test_a_token_is_a_byte(text: Text) -> None:
    assert text.tokens("aé\n") == list("aé\n".encode())
    assert text.text(list("aé\n".encode())) == "aé\n"


@pytest.mark.parametrize("said", ["plain", "naïve café", "漢字 and 🐟!", ""])
def test_pieces_make_the_whole(text: Text, said: str) -> None:
    found = pieces(text, said)
    assert "".join(found) == said
    assert not any("\ufffd" in piece for piece in found)


def test_half_a_character_at_the_end_is_told_at_last(text: Text) -> None:
    words = Words(text)
    assert [words.add(token) for token in "é".encode()[:1]] == [""]
    assert words.rest() == "\ufffd"


@pytest.mark.parametrize(("said", "stops", "left"), [
    ("one two three", ("two",), "one "), ("one two three", ("three", "two"), "one "), ("aab", ("ab",), "a"),
    ("nothing", ("x",), "nothing"), ("ends with t", ("tx",), "ends with t"),
])  # fmt: skip
def test_stops(text: Text, said: str, stops: tuple[str, ...], left: str) -> None:
    assert "".join(pieces(text, said, stops)) == left
