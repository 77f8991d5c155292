"""What answers are worth after a model was made smaller, and that files are what they should be."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from shoal.study.coverage.checks import _lab as lab


def robustness() -> dict[str, float]:
    """Weights in four bits: how often the likeliest byte stays, and what is lost more on text with wrong bytes."""
    from shoal.train.language import Stretches

    text, source = lab.held(), np.random.default_rng(0)
    wrong = np.where(source.random(text.x.shape) < 0.05, source.integers(32, 127, text.x.shape), text.x)
    found = []
    for bits in ("float32", "int4"):
        with lab.decoder(bits) as (model, _):
            found.append(
                (
                    lab.logits(model, text.x).argmax(-1),
                    lab.loss(model, text),
                    lab.loss(model, Stretches(wrong, text.y)),
                )
            )
    (first, clean, noisy), (second, small_clean, small_noisy) = found
    return {"agreement": float((first == second).mean()), "clean_rise": small_clean / clean - 1,
            "noisy_rise": small_noisy / noisy - 1}  # fmt: skip


def damaged() -> dict[str, float]:
    """Of sixteen files of weights with one bit changed, the share that is refused; the one that was not is read."""
    from shoal.errors import ModelError
    from shoal.train.language import keep, kept

    refused, source = 0, np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="shoal-check-") as folder:
        path = Path(folder, "shoal_damaged", "weights.safetensors")  # a package of its own, as weights come
        path.parent.mkdir()
        sha256 = keep({"w": source.standard_normal((64, 64)).astype(np.float32)}, path)
        sys.path.insert(0, folder)
        whole = path.read_bytes()
        read = kept("shoal_damaged", path.name, sha256)["w"].size
        for at in source.integers(0, len(whole), 16):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            try:
                kept("shoal_damaged", path.name, sha256)
            except ModelError:
                refused += 1
        sys.path.remove(folder)
    return {"refused_share": refused / 16, "values_read": read}
