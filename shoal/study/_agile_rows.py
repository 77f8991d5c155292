"""Bits of weights and activations, as Agile-Quant sets them, on a small language model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.compress import Technique, compress, layers_of
from shoal.compress.activations import telling
from shoal.compress.quantisers.contract import Quantiser, Rounding
from shoal.compress.quantisers.log2 import Log2
from shoal.compress.techniques.gptq import Gptq
from shoal.compress.techniques.rtn import Rtn
from shoal.graph import load
from shoal.graph.build import from_model
from shoal.kv import Pruning, stages
from shoal.study.contract import Table
from shoal.train.language import Decoder, Stretches, corpus, save_language, stretches
from shoal.train.language.forward import READERS, Forward, Kind

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
QUANTISERS, SCORES = "compress/quantisers", "kv/scores"
PRUNED = 0.2  # of the tokens at each of three layers, in the claims
EIGHT_BITS = "int8"
BATCH = 8  # stretches at once
LIKELY = 1.96  # standard errors on each side of 95 %

EIGHT: Mapping[Kind, str] = {"read": "per_token:bits=8", "headed": "per_token:bits=8"}
RULES: Mapping[Kind, str] = {**EIGHT, "normed": "shifted:bits=8", "shares": "log2:bits=4"}
FOUR: Mapping[Kind, str] = {**RULES, "read": "per_token:bits=4"}
TRIP: Mapping[Kind, str] = {**RULES, "read": "trip:bits=4"}


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    name: str
    weights: str = ""  # their format; none: float32
    quantisers: Mapping[Kind, str] = field(default_factory=dict)
    pruning: Pruning | None = None

    def __str__(self) -> str:
        return self.name


def dropping(ratio: float) -> str:
    """The name of the row in which so many tokens are dropped."""
    return f"W4A8, r = {100 * ratio:g} %"


def settings(four: str, ratios: Sequence[float], score: str, layers: int) -> tuple[Setting, ...]:
    """All rows of the table.

    Args:
        four: the format of weights in four bits.
        ratios: of the tokens that are dropped at each of three layers, by `score`.
        score: of `kv/scores`; the others drop the share that claims are about.
        layers: of the decoder.
    """
    eight = Setting("W4A8", four, RULES)

    def pruned(name: str, ratio: float, by: str) -> Setting:
        return replace(eight, name=name, pruning=Pruning(ratio, stages(layers), catalog.make(SCORES, by)))

    others = [name for name in catalog.names(SCORES) if name != score.partition(":")[0]]
    return (
        Setting("float32"),
        Setting("W4A16", four),
        Setting("W8A8", EIGHT_BITS, EIGHT),
        eight,
        Setting("W4A8, products alone", four, EIGHT),
        Setting("W4A4", four, FOUR),
        Setting("W4A4 + TRIP", four, TRIP),
        *(pruned(dropping(ratio), ratio, score) for ratio in ratios),
        *(pruned(f"{dropping(PRUNED)}, by {other}", PRUNED, other) for other in others),
    )


@dataclass(frozen=True, eq=False)
class Surprises:
    """Nats, of each token that is left."""

    nats: F64  # (stretches, kept)
    places: NDArray[np.int64]  # (stretches, kept)

    @property
    def perplexity(self) -> float:
        """Over all that are left."""
        return float(np.exp(self.nats.mean()))

    @property
    def last(self) -> float:
        """Perplexity of what follows each stretch: the last token is always there."""
        return float(np.exp(self.nats[:, -1].mean()))

    def at(self, places: NDArray[np.int64]) -> Surprises:
        """Of these places alone; all must be there."""
        return Surprises(np.take_along_axis(self.nats, places, 1), places)


@dataclass(frozen=True, eq=False)
class Ground:
    """A decoder, text to fit to and text to judge it by."""

    decoder: Decoder
    weights: Mapping[str, F32]
    held: Stretches
    fitted: NDArray[np.int64]  # (n, places)
    folder: Path  # for models in progress
    _coded: dict[str, Mapping[str, F32]] = field(default_factory=dict)  # by format

    @classmethod
    def of(cls, decoder: Decoder, weights: Mapping[str, F32], held: int, fitted: int, folder: Path) -> Ground:
        """With so many stretches of text each, spread over all there is."""
        parts = (stretches(text, decoder.context) for text in corpus())
        learned, other = (_spread(each, count) for each, count in zip(parts, (fitted, held), strict=True))
        return cls(decoder, weights, other, learned.x, folder)

    def forward(self, setting: Setting) -> Forward:
        """The decoder with the setting's weights and pruning, activations as they are."""
        form = setting.weights
        if form and form not in self._coded:
            self._coded[form] = coded_weights(self.decoder, self.weights, form, self.fitted, self.folder)
        kept = setting.pruning.kept if setting.pruning else None
        return Forward(self.decoder, self._coded[form] if form else self.weights, kept=kept)

    def judged(self, setting: Setting) -> Surprises:
        """Of the text that is held out; activations are fitted to what is left after pruning."""
        forward = self.forward(setting)
        found = roundings(forward, setting.quantisers, self.fitted)
        return surprises(replace(forward, touch=rounded(found)), self.held)

    def shares(self, setting: Setting) -> Iterator[Table]:
        """How far rows of the softmax are off one, once they are powers of a half."""
        halvings, off = Log2().fitted(), dict[str, F32]()

        def look(kind: Kind, name: str, x: F32) -> F32:
            if kind == "shares":
                off[name] = np.tril(halvings.rounded(x)).sum(axis=-1) - 1
            return x

        replace(self.forward(setting), touch=look).run(self.fitted)
        yield Table(
            "Rows of the softmax in powers of a half", ("layer", "mean of the sum − 1", "mean size", "largest"),
            [(name, float(each.mean()), float(np.abs(each).mean()), float(np.abs(each).max())) for name, each in off.items()],
        )  # fmt: skip


def perplexities(found: Mapping[str, Surprises], whole: str) -> Table:
    """All settings; `whole` is the one without pruning that pruned ones stand beside."""
    rows = [
        (name, 100 * each.nats.shape[1] / found[whole].nats.shape[1], each.perplexity,
         found[whole].at(each.places).perplexity, each.last)
        for name, each in found.items()
    ]  # fmt: skip
    columns = ("bits", "tokens left, %", "perplexity there", f"{whole} at these places", "after the last token")
    return Table("Perplexity a byte of held-out text", columns, rows, f"{len(found[whole].nats)} stretches")


def more(one: F64, other: F64) -> tuple[float, tuple[float, float]]:
    """By how much the perplexity of `one` is above that of `other`, %, with 95 % of the stretches' spread.

    Args:
        one: nats, (stretches, places), or (stretches, 1).
        other: of the same places.
    """
    apart = (one - other).mean(axis=1)
    mean, error = float(apart.mean()), LIKELY * float(apart.std(ddof=1)) / len(apart) ** 0.5
    value, low, high = (100 * float(np.expm1(each)) for each in (mean, mean - error, mean + error))
    return value, (low, high)


def coder(form: str) -> Technique:
    """What codes weights: GPTQ, but to the nearest value where eight bits lose hardly anything."""
    return Rtn(form) if form == EIGHT_BITS else Gptq(form)


def coded_weights(
    decoder: Decoder, weights: Mapping[str, F32], form: str, symbols: NDArray[np.int64], folder: Path
) -> dict[str, F32]:
    """The decoder's weights after `shoal.compress` all but the embedding and the head, as float32."""
    graph = load(save_language(decoder, weights, symbols.shape[1], folder / "plain.onnx"))
    samples = [{"symbols": each[None]} for each in symbols]
    products = {name for name, _, _ in decoder.products()}
    head = [layer.op for layer in layers_of(graph) if layer.op not in products]
    model = from_model(compress(graph, [coder(form)], samples, skip=head).model, "coded", graph.source, "")
    decoded = {f"{name}.weight.{name}.decoded": name for name in products}
    found = {
        f"{decoded[value]}.weight": np.ascontiguousarray(matrix.T)
        for value, _, matrix in telling(model, tuple(decoded), samples[:1])
    }
    return {**weights, **found}


def roundings(forward: Forward, quantisers: Mapping[Kind, str], symbols: NDArray[np.int64]) -> dict[str, Rounding]:
    """What rounds each tensor that `forward` shows, as fitted to these (n, places) symbols."""
    makers: dict[Kind, Quantiser] = {kind: catalog.make(QUANTISERS, text) for kind, text in quantisers.items()}
    found: dict[str, Rounding] = {}

    def look(kind: Kind, name: str, x: F32) -> F32:
        if kind in makers:
            flat = x.reshape(-1, x.shape[-1]) if makers[kind].needs_samples else None
            found[name] = makers[kind].fitted(flat, _importance(forward.weights, name) if kind == "read" else None)
        return x

    Forward(forward.decoder, forward.weights, look, forward.kept).run(symbols)
    return found


def rounded(found: Mapping[str, Rounding]) -> Callable[[Kind, str, F32], F32]:
    """What has `Forward` compute with what is left of these tensors."""
    return lambda kind, name, x: found[name].rounded(x) if name in found else x


def surprises(forward: Forward, held: Stretches) -> Surprises:
    """Of what is left of each stretch."""
    nats, places = [], []
    for at in range(0, len(held.x), BATCH):
        answer = forward.run(held.x[at : at + BATCH])
        logits = answer.logits.astype(np.float64)
        logits -= logits.max(axis=-1, keepdims=True)
        wanted = np.take_along_axis(held.y[at : at + BATCH], answer.places, 1)
        chosen = np.take_along_axis(logits, wanted[..., None], -1)[..., 0]
        nats.append(np.log(np.exp(logits).sum(axis=-1)) - chosen)
        places.append(answer.places)
    return Surprises(np.concatenate(nats), np.concatenate(places))


def peaks(
    forward: Forward, symbols: NDArray[np.int64], kinds: Sequence[Kind] = ("normed", "read")
) -> dict[str, float]:
    """Largest magnitude over standard deviation of each tensor, mean of the stretches."""
    found: dict[str, float] = {}

    def look(kind: Kind, name: str, x: F32) -> F32:
        if kind in kinds:
            found[name] = float((np.abs(x).max(axis=(1, 2)) / x.std(axis=(1, 2))).mean())
        return x

    Forward(forward.decoder, forward.weights, look, forward.kept).run(symbols)
    return found


def _importance(weights: Mapping[str, Any], name: str) -> F32:
    """How much an error in a channel counts: the energy of what it is multiplied with."""
    _, number, reads = name.split(".", 2)
    matrices = [weights[f"layers.{number}.{layer}.weight"] for layer in READERS[reads]]
    found: F32 = np.square(np.concatenate(matrices)).sum(axis=0)
    return found


def _spread(all_: Stretches, count: int) -> Stretches:
    chosen = np.unique(np.linspace(0, len(all_.x) - 1, count).astype(int))
    return Stretches(all_.x[chosen], all_.y[chosen])
