"""Calls of PyTorch taken down: executed again they give the same, and what they ask of a device is counted."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from shoal.measure.queue.recorded import counted, recorded
from shoal.measure.queue.replay import Replay


def network(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    y = torch.softmax((x @ weights).masked_fill(x > 1, -torch.inf), dim=-1).transpose(0, 1)
    if y.sum().item() > 0:
        y = torch.cat([y, y.to(torch.float64).float()], dim=1)
    return torch.nn.functional.gelu(y.reshape(-1, 4), approximate="tanh")


def test_calls_again_give_the_same() -> None:
    x, weights = torch.randn(6, 8), torch.randn(8, 8)
    work = recorded(lambda: network(x, weights))
    wanted = network(x, weights).flatten().numpy()
    device = Replay(work)
    assert device.output().size == 0
    for groups in ([range(len(work.calls))], work.kernels):
        for group in groups:
            device.run(group)
        np.testing.assert_array_equal(device.output(), wanted)
    assert work.values == wanted.size
    assert len(work.names) == len(work.kernels) < len(work.calls)
    assert [at for group in work.kernels for at in group] == list(range(len(work.calls)))


def test_reading_a_value_is_a_stop() -> None:
    work = recorded(lambda: network(torch.randn(6, 8), torch.randn(8, 8)))
    (stop,) = work.stops
    assert work.names[stop - 1] == "aten.sum.default"


def test_arithmetic_and_bytes_of_products_and_of_the_rest() -> None:
    a, b = torch.empty(3, 5, 7, device="meta"), torch.empty(3, 7, 2, device="meta")
    product, total = counted(lambda: torch.bmm(a, b) + 1)
    assert (product.flop, product.moved_bytes, product.product) == (2 * 3 * 5 * 7 * 2, 4 * (105 + 42 + 30), True)
    assert (total.flop, total.moved_bytes, total.product) == (30, 4 * 60, False)


def test_what_is_spread_is_read_once_and_a_table_only_where_it_is_asked() -> None:
    row, table = torch.empty(1, 9, device="meta"), torch.empty(1000, 4, device="meta")
    (added,) = counted(lambda: row.expand(5, 9) * torch.empty(5, 9, device="meta"))
    assert added.moved_bytes == 4 * (9 + 45 + 45)
    places = torch.zeros(6, dtype=torch.int64, device="meta")
    (found,) = counted(lambda: torch.nn.functional.embedding(places, table))
    assert found.moved_bytes == 2 * 4 * 24
