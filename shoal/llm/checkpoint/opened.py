"""What is in a trained model's files, whichever way they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from shoal.errors import ModelError
from shoal.llm.config import FILE
from shoal.llm.decoder.products import Product

KINDS = (".json", ".jinja", ".safetensors")  # of files in a folder


class Weights(Protocol):
    """Weights that are read when asked for."""

    def names(self) -> Iterable[str]:
        """As Hugging Face calls them, "model." left out."""

    def read(self, name: str) -> Product:
        """The weight; a vector is a Product too, without scales.

        Raises:
            ModelError: it is not there, or its file is damaged.
        """


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, its weights unread."""

    source: Path  # the folder or file
    config: Mapping[str, Any]  # as Hugging Face has it
    weights: Weights
    write_tokenizer: Callable[[Path], None]  # as tokenizer.json, to this path
    ends: tuple[int, ...] = ()  # tokens that end a text
    begins: int | None = None  # the token that every text begins with
    template: str = ""  # of chats, in Jinja


def opened(path: str | Path, *, bare: bool = False) -> Checkpoint:
    """The model in a folder (config.json, *.safetensors, tokenizer.json) or a GGUF file.

    `bare`: a folder may lack the weights, which then cannot be read.

    Raises:
        ModelError: nothing of the kind is there, or it is damaged.
        MissingExtra: what reads it is not installed.
    """
    source = Path(path)
    if files(source) == (source,):
        from shoal.llm.checkpoint.gguf_file import gguf_file

        return gguf_file(source)
    from shoal.llm.checkpoint.folder import folder

    return folder(source, bare=bare)


def files(path: str | Path) -> tuple[Path, ...]:
    """All that the content of the model at `path` is in.

    Raises:
        ModelError: nothing of the kind is there.
    """
    source = Path(path)
    if source.is_dir() and (source / FILE).is_file():
        return tuple(sorted(each for each in source.iterdir() if each.suffix in KINDS and each.is_file()))
    if source.is_file() and source.suffix == ".gguf":
        return (source,)
    raise ModelError("no trained language model", where=str(source),
                     needed=f"a folder with {FILE} and *.safetensors, or a .gguf file")  # fmt: skip
