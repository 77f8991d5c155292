"""A vision transformer with experts in fixed point, step by step as the accelerator does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.machines._fixed import Fixed, Floats, Raw
from shoal.machines.edge_moe._experts import Chosen, best, queues
from shoal.machines.edge_moe._gelu import GeluTable, gelu
from shoal.machines.edge_moe._schedules import NONE, schedule
from shoal.machines.edge_moe._shape import Shape
from shoal.machines.edge_moe._softmax import FixedSoftmax

Weights = Mapping[str, NDArray[np.floating[Any]]]
SMALL = 1e-5  # added to variances


@dataclass(frozen=True, eq=False)
class Answered:
    """What the network gives for images and a task."""

    outputs: Floats  # (images, figures of the task's head)
    chosen: tuple[Chosen, ...]  # of each layer with experts: (images, tokens, experts of a token)


@dataclass(frozen=True, eq=False)
class FixedVit:
    """Attention in skewed order with softmax in one pass, GELU by table, tokens in the order of their experts.

    Names of weights: "embed", "class_token", "position", "blocks.0.norm1", ".qkv", ".project", ".norm2", ".first" and
    ".second" (those of experts with one more axis in front), ".gate" (tasks, experts, width), "norm", "heads.0".
    """

    shape: Shape
    weights: Weights
    features: Fixed = field(default_factory=lambda: Fixed(32, 10))
    weight_bits: int = 16
    weight_whole: int = 2  # at least
    bias_whole: int = 5  # at least
    slots: int = 4
    order: Literal["skewed", "rows"] = "skewed"
    activation: Literal["table", "exact"] = "table"

    def run(self, patches: NDArray[np.floating[Any]], task: int) -> Answered:
        """One task for images.

        Args:
            patches: (images, patches, features of a patch).
            task: which.

        Raises:
            InputError: patches of another shape.
        """
        shape, form = self.shape, self.features
        if patches.shape[1:] != (shape.patches, shape.patch_features):
            raise InputError("patches of another shape", where="edge_moe",
                             needed=f"(…, {shape.patches}, {shape.patch_features})", had=str(patches.shape))  # fmt: skip
        embedded = self._linear(form.coded(patches), "embed")
        first = np.broadcast_to(form.coded(self.weights["class_token"]), (len(patches), 1, shape.width))
        x = form.held(np.concatenate([first, embedded], axis=1) + form.coded(self.weights["position"]))
        routed = []
        for name, experts in shape.of_layers():
            x = form.held(x + self._attention(self._norm(x, f"{name}.norm1"), name))
            y = self._norm(x, f"{name}.norm2")
            if experts:
                change, chosen = self._experts(y, name, task)
                routed.append(chosen)
            else:
                change = self._linear(self._gelu(self._linear(y, f"{name}.first")), f"{name}.second")
            x = form.held(x + change)
        outputs = self._linear(self._norm(x[:, 0], "norm"), f"heads.{task}")
        return Answered(form.decoded(outputs), tuple(routed))

    def _linear(self, x: Raw, name: str, expert: int | None = None) -> Raw:
        """The linear unit: a matrix and its bias."""
        form = self.features
        matrix, fraction = self._coded(f"{name}.weight", self.weight_whole, expert)
        bias, bias_fraction = self._coded(f"{name}.bias", self.bias_whole, expert)
        flat = form.product(x.reshape(-1, x.shape[-1]), matrix.T, fraction)
        return form.held(flat + self._aligned(bias, bias_fraction)).reshape(*x.shape[:-1], -1)

    def _coded(self, name: str, whole: int, part: int | None = None) -> tuple[Raw, int]:
        values = self.weights[name]
        form = Fixed(self.weight_bits, whole).holding(values)
        return form.coded(values if part is None else values[part]), form.fraction

    def _norm(self, x: Raw, name: str) -> Raw:
        """Mean, variance and what is normalised; differences are held as features are."""
        form = self.features
        bits, count = form.fraction, x.shape[-1]
        mean = (x.sum(axis=-1, keepdims=True) + count // 2) // count
        off = form.held(x - mean)
        variance = (off * off >> bits).sum(
            axis=-1, keepdims=True
        ) // count  # not held as a feature: it may be larger
        factor = form.coded(1 / np.sqrt(form.decoded(variance) + SMALL))
        scale, scale_bits = self._coded(f"{name}.weight", self.weight_whole)
        shift, shift_bits = self._coded(f"{name}.bias", self.bias_whole)
        scaled = form.fewer(form.fewer(off * factor, bits) * scale, scale_bits)
        return form.held(scaled + self._aligned(shift, shift_bits))

    def _aligned(self, raw: Raw, fraction: int) -> Raw:
        """With as many bits behind the point as features have."""
        form = self.features
        return (
            form.fewer(raw, fraction - form.fraction)
            if fraction > form.fraction
            else raw << (form.fraction - fraction)
        )

    def _attention(self, x: Raw, name: str) -> Raw:
        images, tokens, width = x.shape
        parts = self._linear(x, f"{name}.qkv").reshape(images, tokens, 3, self.shape.heads, -1)
        query, key, value = np.moveaxis(parts, (2, 3), (0, 2))
        raw, most, sums = self._scores(query, key)
        reciprocals = FixedSoftmax(self.features).reciprocal(sums)
        found = self._mixed(raw, most, reciprocals, value)
        return self._linear(found.swapaxes(1, 2).reshape(images, tokens, width), f"{name}.project")

    def _scores(self, query: Raw, key: Raw) -> tuple[Raw, Raw, Raw]:
        """Scores as they are, with the largest and the sum of each row; a step meets one row of keys."""
        form, softmax = self.features, FixedSoftmax(self.features)
        images, heads, tokens, size = query.shape
        scale = form.coded(np.array(size**-0.5))
        found = np.zeros((images, heads, tokens, tokens), np.int64)
        most, sums = softmax.begun(images, heads, tokens)
        for rows, column in self._steps(tokens):
            met = form.product(query[:, :, rows], key[:, :, column, :, None], form.fraction)[..., 0]
            value = form.fewer(met * scale, form.fraction)
            found[:, :, rows, column] = value
            most[:, :, rows], sums[:, :, rows] = softmax.seen(most[:, :, rows], sums[:, :, rows], value)
        return found, most, sums

    def _mixed(self, raw: Raw, most: Raw, reciprocals: Raw, value: Raw) -> Raw:
        """Values by their shares, which are made when they are needed; a step adds one row of values."""
        form, softmax = self.features, FixedSoftmax(self.features)
        sums = np.zeros(value.shape, np.int64)
        for rows, column in self._steps(value.shape[2]):
            shares = softmax.shares(raw[:, :, rows, column], most[:, :, rows], reciprocals[:, :, rows])
            sums[:, :, rows] += shares[..., None] * value[:, :, None, column]
        return form.fewer(sums, form.fraction)

    def _steps(self, tokens: int) -> tuple[tuple[NDArray[np.int64], int], ...]:
        return _steps(self.order, tokens, self.slots)

    def _gelu(self, x: Raw) -> Raw:
        form = self.features
        return GeluTable(form).of(x) if self.activation == "table" else form.coded(gelu(form.decoded(x)))

    def _experts(self, x: Raw, name: str, task: int) -> tuple[Raw, Chosen]:
        """Each expert that has tokens, once: gather them, two layers, add what comes out by their shares."""
        form = self.features
        gates, fraction = self._coded(f"{name}.gate", self.weight_whole)
        flat = x.reshape(-1, x.shape[-1])
        shares = FixedSoftmax(form).of_rows(form.product(flat, gates[task].T, fraction))
        chosen = best(shares, self.shape.chosen)
        found = np.zeros_like(flat)
        for expert, (tokens, _) in queues(chosen).items():
            hidden = self._gelu(self._linear(flat[tokens], f"{name}.first", expert))
            made = self._linear(hidden, f"{name}.second", expert)
            found[tokens] = form.held(
                found[tokens] + form.fewer(shares[tokens, expert, None] * made, form.fraction)
            )
        return found.reshape(x.shape), chosen.reshape(*x.shape[:-1], -1)


@lru_cache(maxsize=8)
def _steps(order: str, tokens: int, slots: int) -> tuple[tuple[NDArray[np.int64], int], ...]:
    """The queries of each step, and the key that all of them meet."""
    made = schedule(order, tokens, tokens, slots)
    return tuple((row[row != NONE], int(keys[0])) for row, keys in zip(made.queries, made.keys, strict=True))
