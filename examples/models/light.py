"""The nine classic image networks that the onnx package ships, and the same ones with random weights.

The shipped "light" files keep each network's structure but make every weight by `ConstantOfShape`: all
outputs of a network are equal, so agreement on them proves little.
`seeded` gives the same structure with weights that keep the activations alive.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from examples.models import light_weights
from examples.models.packages import appearing, cache_folder
from shoal.errors import InputError

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

RECIPE = 1  # raise it when the weights below change: cached models of another recipe are not used
NAMES = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)


def light(name: str) -> Path:
    """The shipped file of one of `NAMES` (with or without the prefix "light_")."""
    path = _folder() / f"light_{_checked(name)}.onnx"
    if not path.exists():
        raise InputError("the installed onnx package lacks its light models", where=str(path))
    return path


def expected(name: str) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Inputs and shipped outputs of a light model, by name; compare with rtol 1e-3, atol 1e-7 as onnx does.

    The input is that of onnx's own backend test: 0, 1/n, 2/n … over its n elements.
    """
    import onnx

    path = light(name)
    graph = onnx.load(path).graph
    outputs = {}
    for index, value in enumerate(graph.output):
        tensor = onnx.TensorProto.FromString(path.with_name(f"{path.stem}_output_{index}.pb").read_bytes())
        outputs[value.name] = onnx.numpy_helper.to_array(tensor)
    return {value.name: _ramp(value) for value in _inputs(graph)}, outputs


def seeded(name: str, seed: int = 0, folder: Path | None = None) -> Path:
    """The model with random weights, built once and kept as `model.onnx` beside `weights.bin`.

    Args:
        name: one of `NAMES`.
        seed: other seeds give other weights; the same seed the same ones.
        folder: where to keep it; None takes the cache folder. VGG-19 takes 575 MB, the nine 1.4 GB.
    """
    kept = (folder or cache_folder() / "models") / f"{_checked(name)}-seed{seed}-{RECIPE}"
    if not (kept / "model.onnx").exists():
        with appearing(kept) as scratch:
            scratch.mkdir()
            light_weights.write(light(name), seed, scratch)
    return kept / "model.onnx"


def _folder() -> Path:
    import onnx

    return Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def _checked(name: str) -> str:
    short = name.removeprefix("light_")
    if short not in NAMES:
        raise InputError(f"no light model '{name}'", needed="one of " + ", ".join(NAMES))
    return short


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are not weights repeated among the inputs."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def _ramp(value: onnx.ValueInfoProto) -> NDArray[np.float32]:
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    count = int(np.prod(shape))
    return (np.arange(count).reshape(shape) / count).astype(np.float32)
