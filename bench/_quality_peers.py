"""onnxruntime's own quantisers on the same files and samples, for `bench.quality`."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.matmul_nbits_quantizer import (
    GPTQWeightOnlyQuantConfig,
    HQQWeightOnlyQuantConfig,
    KQuantWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)

Arrays = Mapping[str, NDArray[Any]]
Make = Callable[
    [Path, Path, Sequence[Arrays]], None
]  # the float file, the file to write, samples to calibrate with
METHODS = {
    "min and max": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}


class Reader(CalibrationDataReader):
    """Samples, one after another."""

    def __init__(self, samples: Sequence[Arrays]) -> None:
        self.samples, self.next = list(samples), 0

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next sample; none at the end."""
        if self.next == len(self.samples):
            return None
        self.next += 1
        return dict(self.samples[self.next - 1])

    def __iter__(self) -> Any:
        return iter([dict(each) for each in self.samples])


def static(method: str, kinds: Sequence[str] = (), bits: int = 8) -> Make:
    """`quantize_static` into QuantizeLinear and DequantizeLinear, a scale a row of each weight."""
    weights = {8: QuantType.QInt8, 4: QuantType.QInt4}[bits]

    def make(source: Path, to: Path, samples: Sequence[Arrays]) -> None:
        with _quiet():
            quantize_static(
                source, to, Reader(samples), QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
                weight_type=weights, calibrate_method=METHODS[method], op_types_to_quantize=list(kinds) or None,
            )  # fmt: skip

    return make


def dynamic(kinds: Sequence[str]) -> Make:
    """`quantize_dynamic`: the range of activations is that of the item."""

    def make(source: Path, to: Path, samples: Sequence[Arrays]) -> None:
        del samples
        with _quiet():
            quantize_dynamic(source, to, op_types_to_quantize=list(kinds), per_channel=True, weight_type=QuantType.QInt8,
                             extra_options={"MatMulConstBOnly": True})  # fmt: skip

    return make


def nbits(bits: int, block: int, accuracy: int, symmetric: bool = True) -> Make:
    """`MatMulNBitsQuantizer`, each weight to the nearest value."""

    def make(source: Path, to: Path, samples: Sequence[Arrays]) -> None:
        del samples
        _weights_only(MatMulNBitsQuantizer(onnx.load(source), bits, block, symmetric, accuracy), to)

    return make


def gptq(block: int, accuracy: int) -> Make:
    """The same with GPTQ on the samples, four bits."""

    def make(source: Path, to: Path, samples: Sequence[Arrays]) -> None:
        config = GPTQWeightOnlyQuantConfig(Reader(samples), block_size=128)
        _weights_only(MatMulNBitsQuantizer(onnx.load(source), 4, block, True, accuracy, algo_config=config), to)

    return make


def hqq(block: int, accuracy: int) -> Make:
    """The same with half-quadratic quantisation, affine; takes torch."""

    def make(source: Path, to: Path, samples: Sequence[Arrays]) -> None:
        del samples
        config = HQQWeightOnlyQuantConfig(block_size=block, bits=4)
        _weights_only(MatMulNBitsQuantizer(onnx.load(source), 4, block, False, accuracy, algo_config=config), to)

    return make


def k_quant(block: int, accuracy: int) -> Make:
    """The same with scales searched as llama.cpp does, affine."""

    def make(source: Path, to: Path, samples: Sequence[Arrays]) -> None:
        del samples
        config = KQuantWeightOnlyQuantConfig()
        _weights_only(MatMulNBitsQuantizer(onnx.load(source), 4, block, False, accuracy, algo_config=config), to)

    return make


def _weights_only(quantizer: Any, to: Path) -> None:
    with _quiet():
        quantizer.process()
    quantizer.model.save_model_to_file(str(to), False)


@contextlib.contextmanager
def _quiet() -> Any:
    """Without what these tools print and log."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
