"""Who asks a server of texts."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def client(server: str) -> Any:
    """Of OpenAI's own library, at the module's server."""
    openai = pytest.importorskip("openai")
    return openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0, timeout=60)
