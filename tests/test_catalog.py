"""Techniques found by folder."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from shoal import catalog
from shoal.engines.null import Null
from shoal.errors import InputError
from shoal.program.drivers.stream import Stream
from shoal.wire.transports.tcp import Tcp


def test_names_are_the_files_of_the_family() -> None:
    assert {"null", "reference", "onnxruntime"} <= set(catalog.names("engines"))
    assert "contract" not in catalog.names("engines")
    assert not [name for name in catalog.names("engines") if name.startswith("_")]
    assert list(catalog.names("engines")) == sorted(catalog.names("engines"))


def test_listing_names_imports_nothing() -> None:
    code = (
        "import sys; from shoal import catalog; catalog.names('engines'); "
        "print([name for name in sys.modules if name.startswith(('shoal.engines', 'numpy', 'onnx'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("family", "text", "expected"),
    [
        ("engines", "null", Null()),
        ("engines", "null:gate=false", Null(gate=False)),
        ("engines", "null:", Null()),
        ("program/drivers", "stream:window=7", Stream(7)),
        ("wire/transports", "tcp:plain=true,wait_s=2.5", Tcp(plain=True, wait_s=2.5)),
        ("wire/transports", "tcp: wait_s = 2 ,", Tcp(wait_s=2.0)),
    ],
)
def test_options_take_the_type_of_their_field(family: str, text: str, expected: object) -> None:
    assert catalog.make(family, text) == expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("nul", "no engine is called 'nul'", "did you mean 'null'?"),
        ("xyzzy", "no engine is called 'xyzzy'", "known: .*null"),
        ("", "no engine is called ''", "known"),
        ("null:gte=true", "'null' has no option 'gte'", "did you mean 'gate'?"),
        ("null:gate=perhaps", "option of 'null': Expected `bool`", None),
        ("null:gate", "engine: 'gate' is not option=value", None),
        ("null:gate=true,gate=false", "option 'gate' of 'null' is given twice", None),
        ("contract", "no engine is called 'contract'", "known"),
        ("../plan", "no engine is called '../plan'", "known"),
    ],
)
def test_a_wrong_name_or_option(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(InputError, match=message) as caught:
        catalog.make("engines", text)
    if hint is None:
        assert caught.value.hint is None
    else:
        assert caught.value.hint is not None
        assert re.match(hint.replace("?", r"\?"), caught.value.hint)


@pytest.mark.parametrize(
    ("family", "expected"),
    [("plan/strategies", "strategy"), ("engines", "engine"), ("wire/transports", "transport")],
)
def test_the_singular_of_a_family(family: str, expected: str) -> None:
    assert catalog.label(family) == expected
