"""The tokenizer on a small vocabulary."""

from pathlib import Path

import numpy as np
import pytest

from examples.models.wordpiece import WordPiece, words

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "fish", "##es", "!", "中"]


@pytest.fixture
def pieces(tmp_path: Path) -> WordPiece:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return WordPiece.load(path)


def spelled(pieces: WordPiece, text: str) -> list[str]:
    return [PIECES[index] for index in pieces.encode(text, 100)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Héllo,  wörld", ["hello", ",", "world"]),
        ("it's $5.00", ["it", "'", "s", "$", "5", ".", "00"]),
        ("a中文b", ["a", "中", "文", "b"]),
        ("soft\u00adhyphen\x00 tab\tline\n", ["softhyphen", "tab", "line"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_the_longest_piece_comes_first(pieces: WordPiece) -> None:
    assert spelled(pieces, "Unaffable fishes!") == [
        *["[CLS]", "un", "##aff", "##able", "fish", "##es", "!", "[SEP]"]
    ]


def test_a_word_with_an_unknown_rest_is_unknown_whole(pieces: WordPiece) -> None:
    assert spelled(pieces, "fishx 中") == ["[CLS]", "[UNK]", "中", "[SEP]"]
    assert spelled(pieces, "un" * 51) == ["[CLS]", "[UNK]", "[SEP]"]


def test_a_batch_is_padded_and_cut(pieces: WordPiece) -> None:
    batch = pieces.batch(["fish", "fish fish fish fish"], tokens=5)
    np.testing.assert_array_equal(batch["input_ids"], [[2, 7, 3, 0, 0], [2, 7, 7, 7, 3]])
    np.testing.assert_array_equal(batch["attention_mask"], [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    assert not batch["token_type_ids"].any()
    assert pieces.batch(["fish", "fish fish"])["input_ids"].shape == (2, 4)
