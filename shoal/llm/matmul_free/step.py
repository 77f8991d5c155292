"""One token after another as ONNX: `symbols` and what is kept of those before → `logits` and what is then kept.

| input, output | type, shape | |
|---|---|---|
| symbols | int64 (1, 1) | the next one |
| kept.N, kept.N.next | float32 (1, 1, width) | of layer N; zeros at first |
| logits | float32 (1, 1, vocabulary) | of what follows |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.graph import load, save
from shoal.measure.segment import whole_segment
from shoal.train.language.model import Writer
from shoal.train.ternary import stored_layers, ternary_graph

if TYPE_CHECKING:
    from transformers import PreTrainedModel

F32 = NDArray[np.float32]
Step = Callable[[int], F32]  # the next symbol → logits, (vocabulary,); remembers what came before


@dataclass(frozen=True)
class Packed:
    """A decoder in a file."""

    path: Path
    weights: int  # that are ternary
    layers_bytes: int  # of their codes and scales


def states(config: Mapping[str, Any]) -> Mapping[str, tuple[int, ...]]:
    """What is kept, by name."""
    return {f"kept.{at}": (1, 1, config["hidden_size"]) for at in range(config["num_hidden_layers"])}


def packed_step(config: Mapping[str, Any], model: PreTrainedModel, folder: Path, form: str = "tern5x8t") -> Packed:
    """Write a model token by token, its ternary layers in the format `form`; `folder` is made.

    Raises:
        InputError: it cannot be written.
    """
    import onnx

    folder.mkdir(parents=True)
    path = folder / "step.onnx"
    weights = {name: each.detach().numpy() for name, each in model.state_dict().items()}
    onnx.save(_Token(weights, config["rms_norm_eps"]).whole(config), path)
    layers = stored_layers(model, form)
    save(ternary_graph(load(path), layers).model, path, external=False)
    held = (onnx.numpy_helper.to_array(each).nbytes for each in onnx.load(path).graph.initializer
            if each.name.startswith(tuple(f"{name}." for name in layers)))  # fmt: skip
    return Packed(path, sum(each.coded.codes.size for each in layers.values()), sum(held))


def open_step(path: Path, config: Mapping[str, Any], folder: Path, engine: str = "native") -> Step:
    """What runs such a file from no tokens on; `folder` is for what the engine needs."""
    program, segment = whole_segment(load(path), engine, folder)
    session = catalog.make("engines", engine).load(program, segment, folder, 1)
    kept = {name: np.zeros(shape, np.float32) for name, shape in states(config).items()}

    def step(symbol: int) -> F32:
        found = session.run({"symbols": np.full((1, 1), symbol, np.int64), **kept}, {})
        for name in kept:
            kept[name] = found[f"{name}.next"].copy()
        logits: F32 = found["logits"][0, 0].copy()
        return logits

    return step


class _Token(Writer):
    def whole(self, config: Mapping[str, Any]) -> Any:
        from onnx import TensorProto, helper

        kept = states(config)
        x = self.node("Gather", [self.constant("embed_tokens.weight"), "symbols"], "embed_tokens")
        for at, name in enumerate(kept):
            x = self.layer(x, f"layers.{at}", name)
        head = self.constant("lm_head.weight", np.ascontiguousarray(self.weights["embed_tokens.weight"].T))
        self.node("MatMul", [self.norm(x, "norm"), head], "logits")
        given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in kept.items()]
        left = [
            helper.make_tensor_value_info(f"{name}.next", TensorProto.FLOAT, shape) for name, shape in kept.items()
        ]
        symbols = helper.make_tensor_value_info("symbols", TensorProto.INT64, (1, 1))
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, 1, config["vocab_size"]))
        return self.model("step", [symbols, *given], [logits, *left])

    def layer(self, x: str, at: str, kept: str) -> str:
        x = self.node(
            "Add", [x, self.mixed(self.norm(x, f"{at}.input_layernorm"), f"{at}.mixer", kept)], f"{at}.mixed"
        )
        return self.node("Add", [x, self.gated(self.norm(x, f"{at}.post_attention_layernorm"), f"{at}.mlp")], at)

    def mixed(self, x: str, at: str, kept: str) -> str:
        """h ← c + f·(h − c), and g of it."""
        forget, let = (
            self.node("Sigmoid", [self.product(x, f"{at}.{name}_proj")], f"{at}.{name}") for name in "fg"
        )
        told = self.product(x, f"{at}.c_proj")
        told = self.node("Mul", [told, self.node("Sigmoid", [told], f"{at}.c.sigmoid")], f"{at}.c")
        held = self.node("Mul", [forget, self.node("Sub", [kept, told], f"{at}.apart")], f"{at}.held")
        state = self.node("Add", [told, held], f"{kept}.next")
        return self.product(self.node("Mul", [let, state], f"{at}.read"), f"{at}.o_proj")
