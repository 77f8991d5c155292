"""Models converted once: a decoder as ONNX with its tokenizer, kept in the cache by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shoal import cache, catalog, codec
from shoal.errors import ModelError
from shoal.llm.checkpoint.opened import Checkpoint, Weights, files, opened
from shoal.llm.checkpoint.text import Text
from shoal.llm.config import FAMILY, Config
from shoal.llm.decoder import Decoder, Form, Product, coded, save_decoder

TOKENIZER = "tokenizer.json"
VERSION = "2"  # of what is kept; another number finds none of the old ones
CONTEXT = 4096
Bits = Literal["stored", "float32", "int8", "int4"]
_BITS = {"int8": 8, "int4": 4}


@dataclass(frozen=True)
class Wanted:
    """How a model is to be kept."""

    weights: Bits = "stored"  # products; stored: as the file has them
    context: int = 0  # places; 0: the model's own, at most 4096
    head_parts: int = 1  # see `Form`
    logits: bool = False  # see `Form`


@dataclass(frozen=True)
class Facts:
    """What is known of a kept model beside its files."""

    name: str
    config: Mapping[str, Any]  # as Hugging Face has it
    context: int
    layers: int
    ends: tuple[int, ...]
    begins: int | None
    template: str


@dataclass(frozen=True)
class Kept:
    """A converted model."""

    folder: Path
    facts: Facts

    @property
    def model(self) -> Path:
        """The decoder; see `shoal.llm.decoder.writer`."""
        return self.folder / "decoder.onnx"

    @property
    def text(self) -> Text:
        """What its tokens mean."""
        return Text(self.folder / TOKENIZER, self.facts.ends, self.facts.begins, self.facts.template)


@dataclass(frozen=True)
class Spoken:
    """What a model's tokens mean, and how many it has places for; its weights may be elsewhere."""

    config: Mapping[str, Any]
    text: Text
    context: int


def decoder_of(config: Mapping[str, object], source: str = "the configuration") -> Decoder:
    """What a configuration's model computes.

    Raises:
        ModelError: the kind is unknown, or cannot be written as ONNX.
    """
    read = Config(config, source)
    kind = read.need("model_type", str)
    known = catalog.names(FAMILY)
    if kind not in known:
        raise ModelError(f"no language model of the kind '{kind}' is known", where=source,
                         hint=catalog.nearest(kind, known))  # fmt: skip
    family = catalog.find(FAMILY, kind)()
    if not hasattr(family, "decoder"):
        raise ModelError(f"models of the kind '{kind}' cannot be written as ONNX yet", where=source,
                         hint="their configuration can be planned and simulated, and transformers runs them")  # fmt: skip
    found: Decoder = family.decoder(read)
    return found


def prepared(path: str | Path, wanted: Wanted | None = None) -> Kept:
    """The model at `path` converted (see `opened`), from the cache if it was before: then it is not even opened.

    Raises:
        ModelError: it cannot be written as ONNX, or its files are damaged.
        InputError: a context beyond the model's, or the cache cannot be written.
    """
    chosen = wanted or Wanted()
    digests = [(file.name, cache.digest(file)) for file in files(path)]
    key = hashlib.sha256(codec.encode((VERSION, digests, chosen))).hexdigest()

    def build(folder: Path) -> None:
        checkpoint = opened(path)
        decoder = decoder_of(checkpoint.config, str(checkpoint.source))
        context = chosen.context or min(decoder.architecture.context, CONTEXT)
        form = Form(context, chosen.head_parts, logits=chosen.logits)
        save_decoder(decoder, Converted(checkpoint.weights, chosen.weights), form, folder / "decoder.onnx")
        cache.hand_out(_tokenizer(checkpoint, digests), folder / TOKENIZER)
        facts = Facts(checkpoint.source.stem, dict(checkpoint.config), context, len(decoder.places),
                      checkpoint.ends, checkpoint.begins, checkpoint.template)  # fmt: skip
        codec.save(facts, folder / "facts.json")

    folder = cache.entry("decoders", key, build, cache.MOST_BYTES)
    return Kept(folder, codec.load(Facts, folder / "facts.json"))


def spoken(path: str | Path) -> Spoken:
    """The model at `path` without its weights, which a folder may lack.

    Raises:
        ModelError: nothing of the kind is there, its kind is unknown, or it has no tokenizer.
        InputError: the cache cannot be written.
    """
    checkpoint = opened(path, bare=True)
    place = _tokenizer(checkpoint, [(file.name, cache.digest(file)) for file in files(path)])
    context = min(decoder_of(checkpoint.config, str(path)).architecture.context, CONTEXT)
    text = Text(place, checkpoint.ends, checkpoint.begins, checkpoint.template)
    return Spoken(checkpoint.config, text, context)


def _tokenizer(checkpoint: Checkpoint, digests: Sequence[tuple[str, str]]) -> Path:
    """The model's tokenizer.json; out of a GGUF file that takes long, so it is kept by itself for all forms of the model."""
    key = hashlib.sha256(codec.encode((VERSION, digests))).hexdigest()
    place = cache.entry(
        "tokenizers", key, lambda folder: checkpoint.write_tokenizer(folder / TOKENIZER), cache.MOST_BYTES
    )
    return place / TOKENIZER


@dataclass(frozen=True)
class Converted(Mapping[str, Product]):
    """Weights read one at a time, products coded as asked; vectors stay."""

    weights: Weights
    bits: Bits

    def __getitem__(self, name: str) -> Product:
        """The weight in the form asked for."""
        found = self.weights.read(name)
        if found.values.ndim != 2 or self.bits == "stored":
            return found
        return Product(found.matrix) if self.bits == "float32" else coded(found.matrix, _BITS[self.bits])

    def __iter__(self) -> Iterator[str]:
        """All names."""
        return iter(self.weights.names())

    def __len__(self) -> int:
        """How many there are."""
        return len(list(self.weights.names()))
