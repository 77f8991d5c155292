"""The model that remembers: its shape, its weights, its training by `python -m shoal.llm.attention.recall FILE`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.errors import MissingExtra, ModelError
from shoal.llm.attention.recall.task import Asked, Recall
from shoal.llm.tiny.contract import Tiny
from shoal.llm.tiny.llama import llama
from shoal.train.library import torch_module
from shoal.train.recipe import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE = "recall.safetensors"
SHA256 = "24d6e0fe63478f8e9489df49ed3c144b5926b7232d41aa15353060f142c5d978"
TEXT_WEIGHT = 0.3  # of the loss of text beside that of answers
STAGES = ((Recall(64, 4, 8), 150, 48), (Recall(128, 6, 8), 60, 24), (Recall(256, 10, 16), 60, 12),
          (Recall(512, 16, 16), 200, 6))  # fmt: skip  # short texts with few facts first: task, steps, batch


@dataclass(frozen=True, eq=False)
class _Lesson:
    """Texts as `fit` takes them."""

    x: NDArray[np.int64]
    y: NDArray[np.int64]  # (texts, places, 2): the answer, and the next byte of text; −100 where there is none


def shape() -> Any:
    """Two layers of eight heads, all with keys of their own."""
    from shoal.train.language import Decoder

    return Decoder(width=128, layers=2, heads=8, hidden=256, context=512)


def recall_model() -> Tiny:
    """The trained one; its weights are kept as float16.

    Raises:
        MissingExtra: safetensors is not installed.
        ModelError: the file is not the one that came with shoal.
    """
    try:
        from safetensors.numpy import load
    except ImportError as fault:
        raise MissingExtra("safetensors", "llm") from fault
    content = (files("shoal.llm.attention.recall") / FILE).read_bytes()
    had = hashlib.sha256(content).hexdigest()
    if had != SHA256:
        raise ModelError("the recall model's weights are damaged", where=FILE, needed=SHA256, had=had,
                         hint="install shoal again")  # fmt: skip
    return llama(shape(), {name: each.astype(np.float32) for name, each in load(content).items()})


def make(path: Path, seed: int = 0) -> str:
    """Train it and write its weights; in words, how it went."""
    from safetensors.numpy import save_file

    from shoal.train.fit import fit
    from shoal.train.language import built_decoder, corpus, parameters

    model, duration_s, told = built_decoder(shape(), seed), 0.0, ""
    for at, (task, steps, batch) in enumerate(STAGES):
        lesson = _lesson(task.texts(corpus()[0], steps * batch, seed + at))
        last = at == len(STAGES) - 1
        recipe = Recipe(steps=steps, batch=batch, optimiser="adamw", rate=3e-3, decay=0.05, warmup=0.1, clip=1.0,
                        schedule="cosine" if last else "constant", seed=seed)  # fmt: skip
        done = fit(model, lesson, recipe, loss=_loss, arm=f"{task.places} places")
        duration_s += done.duration_s
        told += f"{task.places} places: loss {np.mean(done.losses[-20:]):.2f}; "
    save_file({name: each.astype(np.float16) for name, each in parameters(model).items()}, path)
    return f"{told}{duration_s:.0f} s; {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _lesson(texts: Asked) -> _Lesson:
    after = np.roll(texts.tokens, -1, axis=1)
    plain = (after < 128) & ~texts.asked
    plain[:, texts.prompt - 1 :] = False
    wanted = [np.where(mask, after, -100) for mask in (texts.asked, plain)]
    return _Lesson(texts.tokens, np.stack(wanted, axis=-1))


def _loss(logits: Any, wanted: Any) -> Any:
    entropy = torch_module().nn.functional.cross_entropy
    answers, text = (entropy(logits.flatten(0, 1), wanted[..., at].flatten()) for at in range(2))
    return answers + TEXT_WEIGHT * text
