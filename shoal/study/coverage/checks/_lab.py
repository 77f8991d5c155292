"""What checks share: text, a loss, a small decoder kept in a folder that goes, a fleet of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.llm.library import transformers_module
from shoal.train.language import Stretches, corpus, losses, stretches

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.fleet import Fleet
    from shoal.llm.checkpoint.kept import Bits

PLACES = 128
PROMPT = b"The first is the length of the list. The second is the length of"


def held(count: int = 8, places: int = PLACES) -> Stretches:
    """So many stretches that no model was trained on."""
    return stretches(corpus()[1][: count * places + 1], places)


def learned(count: int = 8, places: int = PLACES) -> Stretches:
    """So many stretches to calibrate with."""
    return stretches(corpus()[0][: count * places + 1], places)


def loss(model: PreTrainedModel, text: Stretches) -> float:
    """Nats a byte of a module that reads bytes."""
    return float(losses(lambda symbols: logits(model, symbols), text).mean())


def logits(model: PreTrainedModel, symbols: Any, **options: Any) -> Any:
    """What the module answers, as an array."""
    torch = transformers_module("torch")
    with torch.no_grad():
        return model(torch.from_numpy(symbols), **options).logits.numpy()


@contextmanager
def decoder(weights: Bits) -> Iterator[tuple[PreTrainedModel, int]]:
    """The small decoder written as ONNX with such weights, as a module on its very codes; and the file's bytes."""
    from shoal.llm.checkpoint import Kept, as_module, opened
    from shoal.llm.checkpoint.kept import Converted, Facts, decoder_of
    from shoal.llm.decoder import Form, save_decoder
    from shoal.llm.tiny import save_folder, tiny

    with tempfile.TemporaryDirectory(prefix="shoal-check-") as folder:
        read = opened(save_folder(tiny("llama"), Path(folder, "small")))
        made = decoder_of(read.config)
        kept = Kept(Path(folder), Facts("small", dict(read.config), PLACES, len(made.places), (), None, ""))
        save_decoder(made, Converted(read.weights, weights), Form(PLACES), kept.model)
        size = sum(each.stat().st_size for each in Path(folder).glob("decoder.*"))
        yield as_module(kept), size


def here(names: Sequence[str]) -> Fleet:
    """A fleet whose devices are all this machine."""
    from shoal import fleet

    devices = "".join(f'[devices.{name}]\nboard = "this-machine"\ncores = [0]\n' for name in names)
    return fleet.loads(f'{devices}[default_link]\nbandwidth = "1 GB/s"\nlatency = "50 us"\n')
