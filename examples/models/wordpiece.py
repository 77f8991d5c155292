"""WordPiece: texts → token ids, as BERT's uncased models want them.

Devlin et al., BERT, 2018; the cleaning steps are those of google-research/bert `tokenization.py`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORD_LIMIT = 100  # characters; a longer word is unknown
CHINESE = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2CEAF), (0x2F800, 0x2FA1F))


@dataclass(frozen=True)
class WordPiece:
    """A vocabulary: piece → id. Pieces inside a word begin with "##"."""

    ids: dict[str, int]

    @classmethod
    def load(cls, path: Path) -> WordPiece:
        """Read `vocab.txt`: one piece a line, the line's number is the id."""
        lines = path.read_text(encoding="utf-8").split("\n")
        return cls({piece: index for index, piece in enumerate(lines) if piece})

    def encode(self, text: str, limit: int) -> list[int]:
        """At most `limit` ids, [CLS] and [SEP] included."""
        pieces = [piece for word in words(text) for piece in self._pieces(word)]
        return [self.ids[piece] for piece in ("[CLS]", *pieces[: limit - 2], "[SEP]")]

    def batch(
        self, texts: Sequence[str], tokens: int | None = None, limit: int = 256
    ) -> dict[str, NDArray[np.int64]]:
        """The three inputs of a BERT encoder, each int64 (texts, tokens).

        Args:
            texts: one row each.
            tokens: width; None takes the longest text's. Shorter texts are padded, longer ones cut.
            limit: largest width where `tokens` is None.
        """
        rows = [self.encode(text, tokens or limit) for text in texts]
        ids = np.full((len(rows), tokens or max(map(len, rows))), self.ids["[PAD]"], np.int64)
        mask = np.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}

    def _pieces(self, word: str) -> list[str]:
        """The longest known piece first, again and again; a word with an unknown rest is [UNK] whole."""
        pieces: list[str] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self.ids), None)
            if end is None or len(word) > WORD_LIMIT:
                return ["[UNK]"]
            pieces.append(prefix + word[start:end])
            start = end
        return pieces


def words(text: str) -> list[str]:
    """Lower-case words without accents; every punctuation mark and Chinese character is its own word."""
    plain = unicodedata.normalize("NFD", "".join(_cleaned(text)).lower())
    return "".join(_apart(plain)).split()


def _cleaned(text: str) -> Iterator[str]:
    for sign in text:
        category = unicodedata.category(sign)
        if sign in "\t\n\r" or category == "Zs":
            yield " "
        elif not category.startswith("C") and sign != "\ufffd":
            yield sign


def _apart(text: str) -> Iterator[str]:
    for sign in text:
        if unicodedata.category(sign) == "Mn":
            continue
        yield f" {sign} " if _stands_alone(sign) else sign


def _stands_alone(sign: str) -> bool:
    if sign.isascii():
        return not sign.isalnum() and not sign.isspace()
    chinese = any(first <= ord(sign) <= last for first, last in CHINESE)
    return chinese or unicodedata.category(sign).startswith("P")
