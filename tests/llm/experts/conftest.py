"""A trained model with experts, and text."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")
pytest.importorskip("scipy")

from shoal.llm.tiny import tiny
from shoal.train.language import Stretches, corpus, stretches


@pytest.fixture
def model() -> Any:
    return tiny("mixtral").module()


@pytest.fixture(scope="session")
def learned() -> Stretches:
    return stretches(corpus()[0][: 12 * 64], 64)


@pytest.fixture(scope="session")
def held() -> Stretches:
    return stretches(corpus()[1][: 12 * 64], 64)
