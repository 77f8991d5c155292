"""What graphics processors can give at most: every token reads all weights in float16."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shoal.machines.ternary_models import MATMUL_FREE_370M, MATMUL_FREE_2700M, decoding
from shoal.study._tereffic_cards import resident, streaming
from shoal.study._ternary_boards import Board
from shoal.study.contract import Finding, Shown, Table

if TYPE_CHECKING:
    from shoal.study._bench import Bench

ORIN, A100 = "jetson-orin-nano-8gb", "a100-80gb"


def rivals(bench: Bench) -> Iterator[Shown]:
    """Both boards by the data sheet's cost model, and what the cards are faster."""
    orin = 1 / Board(bench, ORIN, "gpu", "float16").tokens(MATMUL_FREE_370M, 1).seconds
    a100 = 1 / Board(bench, A100, "gpu", "float16").tokens(MATMUL_FREE_2700M, 1).seconds
    cards = decoding(resident(), MATMUL_FREE_370M).tokens_per_s
    card = decoding(streaming(), MATMUL_FREE_2700M).tokens_per_s
    for key, rival, own in (("orin", orin, cards), ("a100", a100, card)):
        yield Finding(
            key, rival, "predicted", why="data sheet by the cost model's usual shares, float16; one kernel a matrix"
        )
        yield Finding(f"{key}_gain", own / rival, "simulated")
    yield Table("Tokens a second, one stream", ("model", "board", "board, tokens/s", "cards, tokens/s"), [
        (MATMUL_FREE_370M.name, ORIN, orin, cards), (MATMUL_FREE_2700M.name, A100, a100, card)
    ])  # fmt: skip
