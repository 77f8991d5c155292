"""Techniques found by folder: a family is a folder, a technique one frozen dataclass in one file.

The file `plan/planners/chain_dp.py` holds the class `ChainDp`; its fields are its options, on the command
line (`chain_dp:order=any`), in Python and in the docs. Files that start with an underscore, and `contract.py`,
serve the family and are no members of it. Listing names imports nothing.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from pathlib import Path
from typing import Any

import msgspec

from shoal import codec
from shoal.errors import InputError

ROOT = Path(__file__).parent


def names(family: str) -> tuple[str, ...]:
    """The techniques of `family`, a path below the package ("plan/planners"), sorted; nothing is imported."""
    files = (ROOT / family).glob("*.py")
    return tuple(sorted(file.stem for file in files if not file.stem.startswith("_") and file.stem != "contract"))


def find(family: str, name: str) -> type[Any]:
    """The class of the technique `name` of `family`.

    Raises:
        InputError: there is no such technique; the hint names the nearest one.
    """
    known = names(family)
    if name not in known:
        raise InputError(f"no {label(family)} is called '{name}'", hint=nearest(name, known))
    module = importlib.import_module(f"shoal.{family.replace('/', '.')}.{name}")
    found: type[Any] = getattr(module, "".join(word.capitalize() for word in name.split("_")))
    return found


def make(family: str, text: str) -> Any:
    """The technique that `text` asks for, with its options: "name" or "name:option=value,option=value".

    Raises:
        InputError: unknown technique or option, or a value of the wrong type.
    """
    name, _, rest = text.partition(":")
    technique = find(family, name)
    options: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        option, value = _pair(family, part)
        if option in options:
            raise InputError(f"option '{option}' of '{name}' is given twice", where=label(family))
        options[option] = value
    return build(technique, name, options)


def build(technique: type[Any], name: str, options: dict[str, Any]) -> Any:
    """An instance of `technique` from `options`; text is turned into the field's type.

    Raises:
        InputError: unknown option, or a value of the wrong type.
    """
    fields = [field.name for field in dataclasses.fields(technique)]
    for option in options:
        if option not in fields:
            raise InputError(f"'{name}' has no option '{option}'", hint=nearest(option, fields))
    try:
        return codec.convert(options, technique, strict=False)
    except (msgspec.ValidationError, UnicodeEncodeError) as fault:  # of text that came as bytes
        raise InputError(f"option of '{name}': {fault}") from fault


def spelled(name: str, technique: Any) -> str:
    """The text that `make` turns into this technique: its name, and the options that are not as they come."""
    options = [
        f"{field.name}={value}"
        for field in dataclasses.fields(technique)
        if (value := getattr(technique, field.name)) != field.default
    ]
    return f"{name}:{','.join(options)}" if options else name


def label(family: str) -> str:
    """The singular of a family's folder name, for messages: "plan/strategies" gives "strategy"."""
    word = family.rsplit("/", 1)[-1]
    return f"{word[:-3]}y" if word.endswith("ies") else word.removesuffix("s")


def nearest(word: str, known: Any) -> str:
    """A hint that names the closest of the `known` words, or all of them if none is close.

    Of several close ones it is the one that begins most alike: people leave off ends.
    """
    close = difflib.get_close_matches(word, list(known), n=4)
    if not close:
        return f"known: {', '.join(known)}"
    best = max(close, key=lambda each: difflib.SequenceMatcher(None, word, each[: len(word) + 1]).ratio())
    return f"did you mean '{best}'?"


def _pair(family: str, part: str) -> tuple[str, str]:
    option, equals, value = part.partition("=")
    if not equals:
        raise InputError(f"'{part}' is not option=value", where=label(family))
    return option.strip(), value.strip()
