"""The decoder without products of activations: as it is kept, in torch, and token by token as ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")

import torch

from shoal.formats import ternary
from shoal.graph import load
from shoal.llm.matmul_free import open_step, packed_step, states
from shoal.llm.modules import module
from shoal.llm.tiny import tiny
from shoal.llm.tiny.matmul_free import PACKED, SCALE, MatmulFree
from shoal.train.language import kept
from shoal.train.ternary._layers import trits

SMALL = dict(MatmulFree.config) | {"hidden_size": 30, "intermediate_size": 50, "num_hidden_layers": 2}


def held() -> dict[str, np.ndarray]:
    return kept("shoal.llm.tiny", "matmul_free.safetensors", MatmulFree.sha256)


def test_the_weights_made_ternary_are_those_of_the_file() -> None:
    file, weights = held(), tiny("matmul_free").weights
    names = [name.removesuffix(PACKED) for name in file if name.endswith(PACKED)]
    assert len(names) == 4 * 7
    for name in names:
        codes, scale = trits(torch.from_numpy(weights[name]))
        packed = ternary.fives_packed((codes.numpy() + 1).astype(np.uint8))
        np.testing.assert_array_equal(packed, file[name + PACKED])
        assert float(scale) == float(file[name + SCALE][0])
    again = MatmulFree.written(weights)
    assert set(again) == set(file)
    assert all(np.array_equal(again[name], file[name]) for name in file)


def test_the_file_takes_eight_fifths_of_a_bit_a_ternary_weight() -> None:
    packed = sum(each.nbytes for name, each in held().items() if name.endswith((PACKED, SCALE)))
    ternaries = 4 * (4 * 256 * 256 + 3 * 256 * 704)
    assert 8 * packed / ternaries == pytest.approx(1.6, rel=0.01)


def test_token_by_token_is_as_all_at_once() -> None:
    model = module(SMALL)
    symbols = torch.randint(0, 256, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole, state = model(symbols).logits, model.begin(2)
        parts = []
        for at in range(9):
            logits, state = model.step(symbols[:, at : at + 1], state)
            parts.append(logits)
    torch.testing.assert_close(
        torch.cat(parts, 1), whole, rtol=0, atol=2e-3
    )  # activations may round to another code


def test_what_is_kept_is_a_mean_that_forgets() -> None:
    """With gates half open, half of what was told last and half of what was kept before."""
    mixer = module(SMALL).layers[0].mixer
    x = torch.randn(1, 3, 30, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mixer.f_proj.weight.zero_()
        told = torch.nn.functional.silu(mixer.c_proj(x))[0]
        _, state = mixer(x, torch.ones(1, 30))
    torch.testing.assert_close(state[0], told[2] / 2 + told[1] / 4 + told[0] / 8 + 1 / 8)


@pytest.mark.parametrize(("form", "bits"), [("tern5x8t", 1.6), ("tern3x5t", 5 / 3)])
def test_the_packed_file_writes_what_torch_writes(form: str, bits: float, tmp_path: Path) -> None:
    found = tiny("matmul_free")
    model = found.module()
    packed = packed_step(found.config, model, tmp_path / "packed", form)
    assert 8 * packed.layers_bytes / packed.weights == pytest.approx(bits, rel=0.01)
    step, state = open_step(packed.path, found.config, tmp_path), model.begin(1)
    ours = theirs = ord("R")
    with torch.no_grad():
        for _ in range(40):
            logits, state = model.step(torch.tensor([[theirs]]), state)
            ours, theirs = int(step(ours).argmax()), int(logits.argmax())
            assert ours == theirs


def test_every_matrix_product_has_a_constant(tmp_path: Path) -> None:
    """Activations meet each other channel by channel only."""
    graph = onnx.load(packed_step(SMALL, module(SMALL), tmp_path / "packed").path).graph
    constants = {each.name for each in graph.initializer}
    for node in graph.node:  # what decodes a weight reads constants alone
        if all(name in constants for name in node.input):
            constants.update(node.output)
    products = [node for node in graph.node if node.op_type in ("MatMul", "Gemm")]
    assert len(products) == 2 * 7 + 1
    assert all(set(node.input) & constants for node in products)
    given = load(tmp_path / "packed" / "step.onnx").inputs
    assert set(given) == {"symbols", *states(SMALL)}
