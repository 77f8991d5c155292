"""A small network that foresees the next letter of real text: training, gradients, perplexity, all in numpy.

The text is what Python's own library says about itself: the docstrings of its modules, the same wherever this version
of Python is.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.train.language import docstrings

if TYPE_CHECKING:
    from shoal.compress import Seen

LETTERS = "\n" + string.printable[:95]
OTHER = 0  # anything else counts as the end of a line
F32 = NDArray[np.float32]
Ints = NDArray[np.int64]
BATCH, RATE, FINAL_RATE = 256, 2e-3, 1e-4
BETAS, TINY = (0.9, 0.999), 1e-8
ACTIVATION_STEPS = 127


@dataclass(eq=False)
class Letters:
    """Embedded letters, two hidden layers, a letter: matrices are (outputs, inputs)."""

    embedding: F32  # (letters, width)
    weights: list[F32]
    biases: list[F32]
    whole: bool = True  # activations as they are; else each row is rounded to eight bits before a product

    @property
    def context(self) -> int:
        """Letters that it looks at."""
        return int(self.weights[0].shape[1] // self.embedding.shape[1])

    def inputs(self, letters: Ints) -> F32:
        """The first layer's inputs for contexts (items, context)."""
        return self.embedding[letters].reshape(len(letters), -1)

    def run(self, letters: Ints) -> tuple[F32, list[F32]]:
        """Logits, and what each layer reads."""
        x, read = self.inputs(letters), []
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = np.maximum(x, 0) if number else x
            x = x if self.whole else in_eight_bits(x)
            read.append(x)
            x = x @ weight.T + bias
        return x, read

    def copy(self, weights: Sequence[F32], whole: bool) -> Letters:
        """The same network with other weights."""
        return Letters(self.embedding, list(weights), self.biases, whole)


def in_eight_bits(x: F32) -> F32:
    """Each row in whole numbers of −127 to 127, times a scale of its own."""
    scale = np.maximum(np.abs(x).max(axis=1, keepdims=True) / ACTIVATION_STEPS, np.float32(1e-30))
    found: F32 = np.rint(x / scale) * scale
    return found


def text(most: int) -> Ints:
    """So many letters of text, as places in `LETTERS`."""
    found, size = [], 0
    for piece in docstrings():
        found.append(piece)
        size += len(piece) + 1
        if size >= most:
            break
    table = {letter: place for place, letter in enumerate(LETTERS)}
    return np.array([table.get(letter, OTHER) for letter in "\n".join(found)[:most]], np.int64)


def train(letters: Ints, sizes: tuple[int, int, int], context: int, steps: int, seed: int,
          say: Callable[[str], None]) -> Letters:  # fmt: skip
    """A network of (width of an embedding, first, second hidden layer), trained by Adam on the mean log loss."""
    source = np.random.default_rng(seed)
    width, first, second = sizes
    shapes = ((first, context * width), (second, first), (len(LETTERS), second))
    weights = [(source.standard_normal(shape) * (2 / shape[1]) ** 0.5).astype(np.float32) for shape in shapes]
    weights[-1] *= np.float32(0.1)
    biases = [np.zeros(shape[0], np.float32) for shape in shapes]
    embedding = source.standard_normal((len(LETTERS), width)).astype(np.float32)
    network = Letters(embedding, weights, biases)
    values = [embedding, *weights, *biases]
    moments = [(np.zeros_like(each), np.zeros_like(each)) for each in values]
    for step in range(1, steps + 1):
        at = source.integers(0, len(letters) - context, BATCH)
        loss, slopes = _slopes(network, letters[at[:, None] + np.arange(context)], letters[at + context])
        rate = FINAL_RATE + (RATE - FINAL_RATE) * 0.5 * (1 + np.cos(np.pi * step / steps))
        for value, slope, (mean, square) in zip(values, slopes, moments, strict=True):
            _adam(value, slope, mean, square, step, rate)
        if step % 200 == 0:
            say(f"step {step} of {steps}: log loss {loss:.3f}")
    return network


def perplexity(network: Letters, letters: Ints, most: int) -> float:
    """Exp of the mean log loss over the first so many places."""
    context, total, count = network.context, 0.0, 0
    places = np.arange(min(most, len(letters) - context))
    for at in np.array_split(places, max(1, len(places) // 2048)):
        logits, _ = network.run(letters[at[:, None] + np.arange(context)])
        total -= float(_logs(logits)[np.arange(len(at)), letters[at + context]].sum())
        count += len(at)
    return float(np.exp(total / count))


def squared_gradients(network: Letters, letters: Ints, items: int, seed: int) -> list[F32]:
    """Of each layer's weights: the mean over so many places of the squared gradient of each place's own loss.

    A place's gradient is δ·xᵀ, so the sum of squares is a product of squares.
    """
    at = np.random.default_rng(seed).integers(0, len(letters) - network.context, items)
    read, errors = _errors(
        network, letters[at[:, None] + np.arange(network.context)], letters[at + network.context]
    )
    return [((error * items) ** 2).T @ x**2 / np.float32(items) for x, error in zip(read, errors, strict=True)]


def seen(network: Letters, coded: Letters, layer: int, letters: Ints, items: int, seed: int) -> Seen:
    """What a layer reads, in the network as it is and in the one whose earlier layers are coded."""
    from shoal.compress import Seen

    at = np.random.default_rng(seed).integers(0, len(letters) - network.context, items)
    contexts = letters[at[:, None] + np.arange(network.context)]
    (_, plain), (_, after) = network.run(contexts), coded.run(contexts)
    found = Seen(plain[layer].shape[1])
    found.add(plain[layer][None], after[layer][None])
    return found


def _logs(logits: F32) -> F32:
    shifted = logits - logits.max(axis=1, keepdims=True)
    found: F32 = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return found


def _errors(network: Letters, contexts: Ints, wanted: Ints) -> tuple[list[F32], list[F32]]:
    """What each layer reads, and the slope of the mean log loss in what it gives."""
    logits, read = network.run(contexts)
    error = np.exp(_logs(logits))
    error[np.arange(len(wanted)), wanted] -= 1
    error /= len(wanted)
    errors = [error]
    for weight, x in zip(network.weights[:0:-1], read[:0:-1], strict=True):
        error = (error @ weight) * (x > 0)
        errors.append(error)
    return read, errors[::-1]


def _slopes(network: Letters, contexts: Ints, wanted: Ints) -> tuple[float, list[F32]]:
    read, errors = _errors(network, contexts, wanted)
    at = np.arange(len(wanted))
    before = (errors[0] @ network.weights[0]).reshape(*contexts.shape, -1)
    embedding = np.zeros_like(network.embedding)
    np.add.at(embedding, contexts, before)
    loss = -float(np.log(np.maximum(errors[-1][at, wanted] * len(wanted) + 1, 1e-30)).mean())
    slopes = [error.T @ x for x, error in zip(read, errors, strict=True)]
    return loss, [embedding, *slopes, *(error.sum(axis=0) for error in errors)]


def _adam(value: F32, slope: F32, mean: F32, square: F32, step: int, rate: float) -> None:
    """One step, in place."""
    mean += np.float32(1 - BETAS[0]) * (slope - mean)
    square += np.float32(1 - BETAS[1]) * (slope * slope - square)
    size = np.float32(rate / (1 - BETAS[0] ** step))
    value -= size * mean / (np.sqrt(square / np.float32(1 - BETAS[1] ** step)) + np.float32(TINY))
