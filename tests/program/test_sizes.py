from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.program.sizes import evaluate, names


@pytest.mark.parametrize(
    ("size", "value"),
    [
        (7, 7),
        ("7", 7),
        ("2*tokens*64", 1536),
        ("tokens+1", 13),
        ("(tokens - 2) // 3", 3),
        ("max(tokens, nnz, 5)", 12),
        ("min(tokens,4)*nnz", 20),
    ],
)
def test_values(size: int | str, value: int) -> None:
    assert evaluate(size, {"tokens": 12, "nnz": 5}) == value


def test_names() -> None:
    assert names("2*tokens + max(nnz, tokens)") == {"tokens", "nnz"}
    assert names(3) == names("3") == frozenset()


@pytest.mark.parametrize(
    "size",
    [
        *("", "2*", "a b", "a**2", "a/2", "a%2", "-a", "1.5", "'a'", "True", "a.b", "a[0]", "f(a)", "max()"),
        *(
            "max(a, key=b)",
            "max(*a)",
            "__import__('os')",
            "(lambda: 1)()",
            "a if b else c",
            "[a]",
            "(" * 300,
            "\0",
        ),
        "1+" * 300 + "1",
    ],
)
def test_anything_else_is_refused(size: str) -> None:
    with pytest.raises(InputError):
        evaluate(size, {"a": 1, "b": 1, "c": 1})
    with pytest.raises(InputError):
        names(size)


def test_faults_name_what_is_missing() -> None:
    with pytest.raises(InputError, match="size '2\\*tokens': nothing binds 'tokens'") as caught:
        evaluate("2*tokens", {"nnz": 1})
    assert caught.value.hint == "known: nnz"
    with pytest.raises(InputError, match="negative"):
        evaluate("a-2", {"a": 1})
    with pytest.raises(InputError, match="negative"):
        evaluate(-1, {})
    with pytest.raises(InputError, match="division by zero"):
        evaluate("1//a", {"a": 0})


@given(st.integers(0, 100), st.integers(1, 100))
def test_like_python(a: int, b: int) -> None:
    text = "max(a, b) * 3 + (a + b) // 2 - min(a, b)"
    assert evaluate(text, {"a": a, "b": b}) == max(a, b) * 3 + (a + b) // 2 - min(a, b)


def test_a_worker_can_afford_it() -> None:
    code = "import sys, shoal.program.sizes; print({'onnx', 'onnx_ir', 'onnxruntime'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
