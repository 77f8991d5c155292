"""An FPGA accelerator of vision transformers with experts: one linear unit for every layer, attention with one row a step.

What it covers: fixed point with rounding and saturation, weights loaded beside computing, partly filled tiles, ports of
one word a cycle, memory bandwidth, the blocks of the device.
What it leaves out: stalls of AXI bursts and of refresh, filling of pipelines, and what circuits of logic alone take.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from shoal.errors import InputError, LimitError, ModelError
from shoal.machines._bill import Price, bill
from shoal.machines._checks import check_above_zero, check_fits
from shoal.machines._described import described
from shoal.machines._energy import energy
from shoal.machines._fixed import Fixed, Raw
from shoal.machines.accelerators._products import Product, product
from shoal.machines.accelerators._standing import standing_in
from shoal.machines.accelerators.contract import Arrays, Call, Operand, Ran
from shoal.machines.edge_moe import _resources as resources
from shoal.machines.edge_moe import _units as units
from shoal.machines.edge_moe._stages import Stage, spans, total
from shoal.units import format_bytes

FILE = Path(__file__).with_suffix(".toml")
NODE_NM = 16
WORD_BYTES = 8  # of the table's memory


@dataclass(frozen=True)
class Layer:
    """A product on the unit that has it."""

    product: Product
    stages: tuple[Stage, ...]
    weights: Raw | None = None  # none: both operands are features
    fraction: int = 0  # bits behind the point of the right operand


@dataclass(frozen=True)
class EdgeMoe:
    """Its figures are those of `edge_moe.toml`, with their sources.

    Raises:
        InputError: a figure that is not above zero, or a design that the device has no blocks for.
    """

    rows: int = described(FILE, "rows")  # features that the linear unit takes a cycle
    columns: int = described(FILE, "columns")  # results that it takes them for
    slots: int = described(FILE, "slots")  # rows of queries at a time
    buffers: int = described(FILE, "buffers")  # of weights; 1: loading and computing take turns
    port_bits: int = described(FILE, "port_bits")
    feature_bits: int = described(FILE, "feature_bits")
    feature_whole_bits: int = described(FILE, "feature_whole_bits")
    weight_bits: int = described(FILE, "weight_bits")
    weight_whole_bits: int = described(FILE, "weight_whole_bits")  # at least
    bias_whole_bits: int = described(FILE, "bias_whole_bits")  # at least
    clock_hz: float = described(FILE, "clock_hz")
    weight_buffer_bytes: int = described(FILE, "weight_buffer_bytes")  # each
    row_bytes: int = described(FILE, "row_bytes")  # of features that a slot holds
    queue_entries: int = described(FILE, "queue_entries")  # of all experts together
    dsp_blocks: int = described(FILE, "dsp_blocks")  # of the device
    bram_blocks: int = described(FILE, "bram_blocks")  # of the device
    memory_bytes: int = described(FILE, "memory_bytes")
    memory_bytes_per_s: float = described(FILE, "memory_bytes_per_s")
    start_s: float = described(FILE, "start_s")  # of an op
    static_w: float = described(FILE, "static_w")

    def __post_init__(self) -> None:
        above = [each.name for each in fields(self) if each.name not in {"start_s", "static_w"}]
        check_above_zero(self, above, "edge_moe")
        if self.buffers > 2:
            raise InputError(
                "buffers of weights that are not used", where="edge_moe", needed="1 or 2", had=str(self.buffers)
            )
        resources.check(self, resources.parts(self))

    @property
    def features(self) -> Fixed:
        """The format of what goes between layers."""
        return Fixed(self.feature_bits, self.feature_whole_bits)

    @property
    def port_features(self) -> int:
        """Features of a word."""
        return self.port_bits // self.feature_bits

    @cached_property
    def prices(self) -> dict[str, Price]:
        """Of events."""
        return {
            "dsp": ((1, energy("fpga dsp", "multiply-add", 27, NODE_NM)),),
            "bram": ((1, energy("fpga bram", "access", 72, NODE_NM)),),
            "ddr": ((1 / WORD_BYTES, energy("ddr4", "move", 64, NODE_NM)),),
        }

    def compiled(self, call: Call) -> Layer:
        """See `Accelerator.compiled`. Products with constants go to the linear unit, others to that of attention."""
        if call.kind == "Conv" and not _apart(call):
            raise ModelError("no unit for 'Conv' but of patches that lie side by side", where=f"edge_moe, op '{call.name}'",
                             needed="Gemm, MatMul, or a filter as large as its stride")  # fmt: skip
        found = product(call, "edge_moe")
        for each in call.inputs:
            if each is not None:
                check_fits(each.name, each.elements * self.feature_bits // 8, self.memory_bytes, "edge_moe")
        right = call.inputs[1]
        if right is None or not right.constant or found.batch > 1:
            return self._of_features(found)
        stages = units.linear(self, right.name, found.rows, found.inner, found.columns)
        values = found.right({})
        form = Fixed(self.weight_bits, self.weight_whole_bits).holding(values)
        return Layer(self._with_bias(found), tuple(stages), form.coded(values), form.fraction)

    def run(self, task: Layer, data: Arrays | None = None) -> Ran:
        """See `Accelerator.run`."""
        given = standing_in(task.product.call) if data is None else data
        form = self.features
        left = form.coded(task.product.left(given))
        right = form.coded(task.product.right(given)) if task.weights is None else task.weights
        sums = form.decoded(form.product(left, right, task.fraction))
        found = {
            name: form.rounded(each).astype(each.dtype) for name, each in task.product.finished(sums, given).items()
        }
        return self.ran(task.stages, found)

    def ran(self, stages: tuple[Stage, ...], outputs: Arrays) -> Ran:
        """What stages one after another take."""
        trace = spans(stages, self.buffers, self.memory_bytes_per_s / self.clock_hz)
        counters, cycles = total(stages), max(each.end for each in trace)
        seconds = cycles / self.clock_hz + self.start_s
        return Ran(outputs, cycles, seconds, bill(counters, self.prices, self.static_w, seconds), counters, trace)

    def _of_features(self, found: Product) -> Layer:
        row = max(found.inner, found.columns) * self.feature_bits // 8
        if row > self.row_bytes:
            raise LimitError("a row exceeds its slot", where=f"edge_moe, op '{found.call.name}'",
                             needed=format_bytes(row), had=format_bytes(self.row_bytes))  # fmt: skip
        stage = units.product_of_features(
            self, found.call.name, found.rows, found.inner, found.columns, found.batch
        )
        return Layer(found, (stage,), fraction=self.features.fraction)

    def _with_bias(self, found: Product) -> Product:
        """With its bias as the machine holds it."""
        call = found.call
        bias = call.inputs[2] if len(call.inputs) > 2 else None
        if bias is None or not bias.constant:
            return found
        held = Fixed(self.weight_bits, self.bias_whole_bits).holding(bias.values).rounded(bias.values)
        rounded = Operand(bias.name, bias.dtype, bias.shape, lambda: held.astype(bias.dtype))
        return replace(found, call=replace(call, inputs=(*call.inputs[:2], rounded)))


def _apart(call: Call) -> bool:
    """Whether a convolution's patches lie side by side, so that it is a product of tokens."""
    weights = call.inputs[1]
    kernel = [] if weights is None else list(weights.shape[2:])
    strides = list(call.attributes.get("strides") or [1] * len(kernel))
    return (
        strides == kernel and not np.any(call.attributes.get("pads") or 0) and call.attributes.get("group", 1) == 1
    )
