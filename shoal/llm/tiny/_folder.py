"""A small model as a folder of Hugging Face's kind, so that everything that opens such folders opens it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shoal import codec
from shoal.errors import MissingExtra
from shoal.llm.tiny.contract import Tiny


def save_folder(model: Tiny, folder: Path) -> Path:
    """Write config.json, model.safetensors and tokenizer.json.

    Raises:
        MissingExtra: safetensors is not installed.
        InputError: the folder cannot be written.
    """
    try:
        from safetensors.numpy import save
    except ImportError as fault:
        raise MissingExtra("safetensors", "llm") from fault
    codec.save(dict(model.config), folder / "config.json")
    weights = {name: np.ascontiguousarray(each) for name, each in model.weights.items()}
    codec.write_bytes(save(weights), folder / "model.safetensors")
    codec.save(_tokenizer(), folder / "tokenizer.json")
    return folder


def _tokenizer() -> dict[str, object]:
    """A token for each byte, its own number, as the library `tokenizers` reads it."""
    step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    vocabulary = {sign: byte for byte, sign in enumerate(_signs())}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": step, "post_processor": None, "decoder": step,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }  # fmt: skip


def _signs() -> list[str]:
    """The printable sign that stands for each byte there: its own if it has one, else the next beyond Latin-1."""
    plain = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]
