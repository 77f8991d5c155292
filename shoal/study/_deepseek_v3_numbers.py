"""FP8 in tiles and LogFMT on matrices of trained models: errors, sums, and what a model loses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.tensor_core import Adder, accumulated
from shoal.formats import make, quantise, restored
from shoal.llm.coded import coded_weights
from shoal.llm.library import transformers_module
from shoal.llm.modules import module
from shoal.study._repository import beside
from shoal.study.contract import Finding, Shown, Table
from shoal.train.language import Stretches, losses

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.tiny import Tiny

F32 = NDArray[np.float32]
TILE = 128
SCALES = {"one scale": "e4m3t", "128 × 128": "e4m3b128", "1 × 128": "e4m3b1x128"}
OUTLIER = 3e4  # times the largest value, of one of them


def weights(gemma_blocks: int, trained: Tiny) -> Iterator[Shown]:
    """Matrices of weights: blocks against one scale for all."""
    known = {"DeepSeek-V3's kind, small": _matrices(trained.weights)}
    if gemma_blocks:
        known["Gemma 3 270M"] = beside("examples.models.gemma3").matrices(gemma_blocks)
    rows: list[tuple[str, int, float, float]] = []
    for name, matrices in known.items():
        plain, tiled = (_error(matrices, SCALES[way]) for way in ("one scale", "128 × 128"))
        rows.append((name, len(matrices), plain, tiled))
    yield Table("Weights in E4M3: relative error, %", ("of", "matrices", "one scale", "blocks of 128 × 128"), rows)
    name, count, plain, tiled = rows[-1]
    yield Finding("blocks", tiled / plain, "measured", count, why=name)
    spoilt = [_with_outlier(each) for each in known[name]]
    one, blocks = (_error(spoilt, SCALES[way], spare=True) for way in ("one scale", "128 × 128"))
    why = f"one value {OUTLIER:g} times the largest"
    yield Finding("outlier", blocks / one, "measured", count, why=why)


def activations(trained: Tiny, text: NDArray[np.uint8], tokens: int) -> Iterator[Shown]:
    """What linear layers read: tiles, LogFMT against E4M3, zeros."""
    read = _read(trained.module(), text[:tokens])
    rows = [(name, len(read), _error(read, form), _bits(read, form)) for name, form in
            (*((f"E4M3, {way}", form) for way, form in SCALES.items() if way != "128 × 128"),
             ("LogFMT-8", "logfmt8"), ("E2M3", "e2m3b1x128"), ("LogFMT-6", "logfmt6"))]  # fmt: skip
    yield Table("Activations: relative error, %", ("format", "matrices", "error", "bits a value"), rows)
    found = {name: error for name, _, error, _ in rows}
    yield Finding("tiles", found["E4M3, 1 × 128"] / found["E4M3, one scale"], "measured", len(read))
    why = "eight bits a value; two ends of a tile take 0.25 bits more than one scale"
    yield Finding("logfmt", found["LogFMT-8"] / found["E4M3, 1 × 128"], "measured", len(read), why=why)
    yield _ends(read)


def sums(trained: Tiny, text: NDArray[np.uint8], columns: int, seed: int) -> Iterator[Shown]:
    """Products of real activations and weights, and of long sums, by how often they are promoted."""
    read = _read(trained.module(), text[:64])
    source = np.random.default_rng(seed)
    values = np.concatenate([each.reshape(-1) for each in read])
    left, right = (source.choice(each, (32, columns)).astype(np.float32) for each in
                   (values, np.concatenate([each.reshape(-1) for each in _matrices(trained.weights)])))  # fmt: skip
    left, right = (_codes(each) for each in (left, right))
    wanted = left.astype(np.float64) @ right.T.astype(np.float64)
    rows = []
    for bits in (13, 22):
        for promoted in (0, 512, 128):
            made = accumulated(left, right, Adder(bits, promoted=promoted))
            rows.append((bits, promoted or None, 100 * float(_norm(made - wanted) / _norm(wanted))))
    yield Table(f"Sums of {columns} products: relative error, %", ("fraction bits", "promoted every", "error"), rows,
                "activations and weights of the small model, drawn; empty: never promoted")  # fmt: skip
    often, never = (
        next(each for bits, every, each in rows if (bits, every) == (13, which)) for which in (128, None)
    )
    yield Finding(
        "promotion", often / never, "computed", 32 * 32, why=f"13 bits, {columns} products, every 128 over never"
    )


def loss(trained: Tiny, held: Stretches) -> Iterator[Shown]:
    """The trained model with weights in blocks of FP8, on text that was held out."""
    plain = float(losses(logits_of(trained.module()), held).mean())
    rows = []
    for name in ("e4m3t", "e4m3b128"):
        coded = coded_weights(trained.weights, name)
        found = float(losses(logits_of(module(trained.config, coded.weights)), held).mean())
        rows.append((name, plain, found, 100 * (found / plain - 1), 8 * coded.coded_bytes / coded.values))
    yield Table(
        "Cross-entropy of held-out text, nats a byte",
        ("weights", "float32", "coded", "more, %", "bits a weight"),
        rows,
    )
    yield Finding("loss", rows[-1][3], "measured", held.x.size, why="every matrix but the ends and the router")


def logits_of(model: PreTrainedModel) -> Any:
    """Symbols to logits."""
    torch = transformers_module("torch")

    def run(symbols: NDArray[np.int64]) -> F32:
        with torch.inference_mode():
            found: F32 = model(torch.from_numpy(symbols), use_cache=False).logits.numpy()
        return found

    return run


def _matrices(found: Mapping[str, NDArray[Any]]) -> list[F32]:
    """The matrices of all layers, experts one by one."""
    layers = [each for name, each in found.items() if ".layers." in name and each.ndim > 1]
    return [matrix for each in layers for matrix in each.reshape(-1, *each.shape[-2:]).astype(np.float32)]


def _read(model: PreTrainedModel, text: NDArray[np.uint8]) -> list[F32]:
    """What each linear layer reads, (tokens, inputs filled up to whole tiles)."""
    torch = transformers_module("torch")
    found: list[F32] = []

    def hear(_: Any, given: tuple[Any, ...]) -> None:
        rows = given[0].reshape(-1, given[0].shape[-1]).numpy()
        found.append(np.pad(rows, ((0, 0), (0, -rows.shape[1] % TILE))))

    linear = [each for each in model.modules() if isinstance(each, torch.nn.Linear)]
    handles = [each.register_forward_pre_hook(hear) for each in linear]
    with torch.inference_mode():
        model(torch.from_numpy(text.astype(np.int64))[None], use_cache=False)
    for handle in handles:
        handle.remove()
    return found


def _error(matrices: Sequence[F32], name: str, *, spare: bool = False) -> float:
    """Root of the mean of squared relative errors of matrices, %; without each one's first value if `spare`."""
    form, found = make(name), []
    for each in matrices:
        off, size = restored(form, quantise(form, each)) - each, each.copy()
        if spare:
            off[0, 0] = size[0, 0] = 0
        found.append(float(np.square(off, dtype=np.float64).sum() / np.square(size, dtype=np.float64).sum()))
    return 100 * float(np.sqrt(np.mean(found)))


def _bits(matrices: Sequence[F32], name: str) -> float:
    form = make(name)
    bits = sum(form.stored_bits((each.shape[0], each.shape[1])) for each in matrices)
    return bits / sum(each.size for each in matrices)


def _with_outlier(matrix: F32) -> F32:
    found = matrix.copy()
    found[0, 0] = OUTLIER * np.abs(matrix).max()
    return found


def _ends(read: Sequence[F32]) -> Finding:
    """Zeros stay zeros; each tile's least and largest magnitude come back."""
    form, right = make("logfmt8"), True
    for each in read:
        tiles = each.reshape(-1, TILE)
        made = restored(form, quantise(form, tiles))
        right &= bool((made[tiles == 0] == 0).all())
        for of in (np.max, np.min):
            real, back = (of(np.where(values != 0, np.abs(values), 0 if of is np.max else np.inf), axis=1) for values in
                          (tiles, made))  # fmt: skip
            right &= bool(np.allclose(real, back, rtol=1e-6))
    return Finding("ends", right, "measured", sum(each.size // TILE for each in read), why="tiles of activations")


def _codes(values: F32) -> F32:
    """As E4M3 numbers, one scale for all, which is left off."""
    form = make("e4m3t")
    coded = quantise(form, values)
    return np.asarray(restored(form, coded) / coded.params["scales"], np.float32)


def _norm(values: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(values))
