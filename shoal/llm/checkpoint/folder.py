"""A folder as Hugging Face keeps models: config.json, one or more safetensors, tokenizer.json."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shoal import codec
from shoal.errors import MissingExtra, ModelError
from shoal.llm.checkpoint.opened import Checkpoint
from shoal.llm.config import FILE
from shoal.llm.decoder.products import Product

TOKENIZER, ASIDE, GENERATION = "tokenizer.json", "tokenizer_config.json", "generation_config.json"
TEMPLATE = "chat_template.jinja"


@dataclass(frozen=True)
class Tensors:
    """Weights in safetensors files."""

    places: dict[str, Path]  # by name
    prefix: str

    def names(self) -> Iterable[str]:
        """See `Weights`."""
        return [name.removeprefix(self.prefix) for name in self.places]

    def read(self, name: str) -> Product:
        """See `Weights`."""
        full = self.prefix + name if self.prefix + name in self.places else name
        if full not in self.places:
            where = next((str(each.parent) for each in self.places.values()), None)
            raise ModelError(f"the model has no weight '{name}'", where=where)
        return Product(_array(self.places[full], full))


def folder(source: Path, *, bare: bool = False) -> Checkpoint:
    """See `opened`."""
    config = codec.load(dict[str, Any], source / FILE)
    files = sorted(source.glob("*.safetensors"))
    if not files and not bare:
        raise ModelError("a configuration without weights", where=str(source), needed="*.safetensors",
                         hint="`shoal inspect` and `shoal plan` take the configuration alone")  # fmt: skip
    places = {name: file for file in files for name in _listed(file)}
    prefix = "model." if any(name.startswith("model.") for name in places) else ""
    said = _optional(source / GENERATION) | config
    aside = _optional(source / ASIDE)
    template = source / TEMPLATE
    return Checkpoint(
        source,
        config,
        Tensors(places, prefix),
        partial(_copy_tokenizer, source / TOKENIZER),
        _tokens(said.get("eos_token_id")),
        next(iter(_tokens(said.get("bos_token_id"))), None) if aside.get("add_bos_token") else None,
        template.read_text() if template.is_file() else str(aside.get("chat_template") or ""),
    )


def _copy_tokenizer(source: Path, target: Path) -> None:
    if not source.is_file():
        raise ModelError("the model has no tokenizer", where=str(source.parent), needed=TOKENIZER)
    shutil.copyfile(source, target)


def _tokens(said: int | list[int] | None) -> tuple[int, ...]:
    return () if said is None else (said,) if isinstance(said, int) else tuple(said)


def _optional(path: Path) -> dict[str, Any]:
    return codec.load(dict[str, Any], path) if path.is_file() else {}


def _library() -> Any:
    try:
        import safetensors
    except ImportError as fault:
        raise MissingExtra("safetensors", "llm") from fault
    return safetensors


def _listed(file: Path) -> list[str]:
    library = _library()
    try:
        with library.safe_open(file, "numpy") as tensors:
            return list(tensors.keys())
    except (library.SafetensorError, OSError) as fault:
        raise ModelError(
            f"a damaged file of weights: {fault}", where=str(file), hint="download it again"
        ) from fault


def _array(file: Path, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """In float32; bfloat16, which numpy lacks, is read through torch."""
    library = _library()
    with library.safe_open(file, "numpy") as tensors:
        kind = tensors.get_slice(name).get_dtype()
        if kind != "BF16":
            return np.asarray(tensors.get_tensor(name), np.float32)
    from shoal.train.library import torch_module

    torch_module()
    with library.safe_open(file, "pt") as tensors:
        return np.asarray(tensors.get_tensor(name).float().numpy())
