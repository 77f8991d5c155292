"""What all verbs have in common: help, version, one message for a mistake, and a quick start."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import subprocess
import sys
from typing import Any

import pytest

from shoal import __version__
from shoal.cli.app import verbs

VERBS = verbs()


def test_help_names_every_verb_on_a_line_of_its_own(shoal: Any) -> None:
    for arguments in ([], ["--help"], ["-h"]):
        done = shoal(*arguments)
        assert done.code == 0
        assert re.findall(r"^  ([\w-]+)  +\w", done.out, re.MULTILINE) == list(VERBS)
        assert max(map(len, done.out.splitlines())) <= 80


def test_version(shoal: Any) -> None:
    assert shoal("--version").out == f"shoal {__version__}\n"


def test_python_m_shoal_is_shoal() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shoal", "--version"], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == f"shoal {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from shoal.cli import app; app.run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert loaded & {"typer", "rich", "numpy", "onnx", "onnxruntime", "pydantic", "pint"} == set()
    assert not [name for name in done.stderr.split() if name.startswith("shoal.cli.verbs.")]


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_explains_each_option_and_shows_examples(verb: str, shoal: Any) -> None:
    done = shoal(verb, "--help")
    assert done.code == 0
    assert shoal(verb, "-h").out == done.out
    assert done.out.startswith(f"Usage: shoal {verb} ")
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)[^\n]*(?:\n {6,}[^\n]*)*", done.out, re.MULTILINE)
    assert "--help" in options
    assert re.search(rf"^  Examples:\n    shoal {verb}", done.out, re.MULTILINE)


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_of_a_verb_use_options_it_has(verb: str, shoal: Any) -> None:
    text = shoal(verb, "--help").out
    for example in importlib.import_module(f"shoal.cli.verbs.{verb.replace('-', '_')}").EXAMPLES:
        words = shlex.split(example)
        assert words[:2] == ["shoal", verb]
        assert [word for word in words if word.startswith("-") and f"{word} " not in text] == []


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_option_is_a_mistake_of_the_user(verb: str, shoal: Any) -> None:
    complaint = shoal(verb, "--no-such-option").complaint
    assert "--no-such-option" in complaint
    assert f"hint: shoal {verb} --help" in complaint


def test_the_nearest_verb_is_named(shoal: Any) -> None:
    assert shoal("inspct", "x").complaint == "error: no verb is called 'inspct'\n  hint: did you mean 'inspect'?\n"


def test_an_unknown_option_before_the_verb(shoal: Any) -> None:
    assert "--jsn" in shoal("--jsn").complaint


@pytest.mark.parametrize(
    "arguments", [("inspect", "no.onnx", "--json"), ("inspect", "--json"), ("plam", "--json")], ids=" ".join
)
def test_with_json_a_mistake_is_json_too(arguments: tuple[str, ...], shoal: Any) -> None:
    done = shoal(*arguments)
    assert done.code == 2
    assert done.err == ""
    assert set(json.loads(done.out)["error"]) == {"kind", "message", "hint"}
