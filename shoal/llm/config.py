"""Configurations as Hugging Face keeps them: read, and asked for what they must say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_origin

from shoal import catalog, codec
from shoal.errors import ModelError
from shoal.llm.architecture import Architecture

FAMILY = "llm/families"
FILE = "config.json"
MOST_BYTES = 16 << 20
T = TypeVar("T", int, float, bool, str, list[Any])


@dataclass(frozen=True)
class Config:
    """The entries of a configuration; what is missing or of another type is named."""

    entries: Mapping[str, Any]
    source: str

    def need(self, name: str, kind: type[T]) -> T:
        """The entry, which must be there.

        Raises:
            ModelError: it is missing or of another type.
        """
        found = self.entries.get(name)
        wanted = get_origin(kind) or kind
        if type(found) is not wanted:
            raise ModelError(f"the configuration has no '{name}'", where=self.source, needed=wanted.__name__,
                             had="nothing" if found is None else repr(found)[:80])  # fmt: skip
        return found

    def get(self, name: str, default: T) -> T:
        """The entry, or what it is where it is not said.

        Raises:
            ModelError: it is of another type.
        """
        return self.need(name, type(default)) if self.entries.get(name) is not None else default

    def size(self, name: str, default: int | None = None) -> int:
        """A whole number from 1.

        Raises:
            ModelError: it is none, or missing without a default.
        """
        found = self.need(name, int) if default is None else self.get(name, default)
        if found < 1:
            raise ModelError(f"'{name}' is out of range", where=self.source, needed="at least 1", had=str(found))
        return found


def architecture(config: str | Path | Mapping[str, Any]) -> Architecture:
    """What a configuration describes: a folder with config.json, that file, or its entries.

    Raises:
        ModelError: the file is missing, the kind of model is unknown, or an entry is missing.
        InputError: the file is no JSON, or what it says cannot be.
    """
    return architecture_of(read(config))


def architecture_of(config: Config) -> Architecture:
    """What entries describe; raises like `architecture`."""
    kind = config.need("model_type", str)
    known = catalog.names(FAMILY)
    if kind not in known:
        raise ModelError(f"no language model of the kind '{kind}' is known", where=config.source,
                         hint=catalog.nearest(kind, known))  # fmt: skip
    found: Architecture = catalog.find(FAMILY, kind)().architecture(config)
    return found


def read(config: str | Path | Mapping[str, Any]) -> Config:
    """The entries of a folder with config.json, of that file, or as they are; raises like `architecture`."""
    if isinstance(config, Mapping):
        return Config(config, "the configuration")
    path = Path(config)
    try:
        path = path / FILE if path.is_dir() else path
        if path.stat().st_size > MOST_BYTES:
            raise ModelError("too large for a configuration", where=str(path), needed=f"at most {MOST_BYTES} bytes")
        content = path.read_bytes()
    except OSError as fault:
        raise ModelError(f"cannot read the configuration: {fault.strerror}", where=str(path)) from fault
    return Config(codec.decode(dict[str, Any], content, str(path)), str(path))
