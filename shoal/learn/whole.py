"""The same training in one process, with torch's own Adam: what training in parts is held against."""

from __future__ import annotations

from itertools import pairwise

from shoal.learn.adam import F32, Adam
from shoal.learn.values import U8, items
from shoal.train.language import Decoder, built_decoder, corpus, parameters
from shoal.train.library import torch_module, torch_threads
from shoal.wire.collectives import even


def train_whole(
    decoder: Decoder,
    steps: int,
    *,
    batch: int = 8,
    adam: Adam | None = None,
    order: int = 0,
    seed: int = 0,
    text: U8 | None = None,
    parts: int = 1,
) -> tuple[tuple[float, ...], dict[str, F32]]:
    """Losses before each step, and the weights after the last one.

    Args:
        decoder: its sizes.
        steps: of training.
        batch: stretches of text a step.
        adam: its figures.
        order: seed of the order of stretches.
        seed: of the weights.
        text: to learn from; none: the corpus that comes with Python.
        parts: that a batch goes through the model in, one after another.

    Raises:
        MissingExtra: torch is not installed.
    """
    torch, figures = torch_module(), adam or Adam()
    model, losses = built_decoder(decoder, seed), []
    optimiser = torch.optim.Adam(
        model.parameters(), figures.rate, (figures.beta1, figures.beta2), figures.epsilon, foreach=False
    )
    with torch_threads(1):
        for _, found in items(corpus()[0] if text is None else text, decoder.context, batch, order, range(steps)):
            x, y = torch.from_numpy(found.x), torch.from_numpy(found.y)
            optimiser.zero_grad()
            cuts, total = even(batch, parts), 0.0
            for begin, end in pairwise(cuts):
                logits = model(x[begin:end])
                loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y[begin:end].flatten())
                (loss / parts).backward()
                total += float(loss.detach()) / parts
            optimiser.step()
            losses.append(total)
    return tuple(losses), parameters(model)
