"""Threads that share rows: callers at once, and a process that was forked from one with threads."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from shoal.kernels.lowbit import LowBit
from tests.kernels.test_lowbit import inputs, made

WAIT_S = 60


def answers(matrix: LowBit, tokens: int) -> np.ndarray:
    return matrix.product(inputs(tokens, matrix.shape[1], seed=tokens), threads=2)


def answered(matrix: LowBit, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(answers(matrix, len(expected)), expected)


def test_callers_at_once_get_their_own() -> None:
    matrix, _ = made(4, 32, (300, 1024))
    alone = {tokens: matrix.product(inputs(tokens, 1024, seed=tokens)) for tokens in range(1, 13)}
    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(lambda tokens: (tokens, answers(matrix, tokens)), [*alone] * 20))
    for tokens, y in found:
        np.testing.assert_array_equal(y, alone[tokens])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system forks no processes")
def test_a_forked_process_has_threads_of_its_own() -> None:
    matrix, _ = made(2, 64, (300, 512))
    expected = answers(matrix, 5)
    child = multiprocessing.get_context("fork").Process(target=answered, args=(matrix, expected))
    child.start()
    child.join(WAIT_S)
    code = child.exitcode
    child.kill()
    assert code == 0
