"""Blocks of published configurations add up to what the whole models are known to weigh, keep and compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError, ModelError
from shoal.graph import Graph, cuts, load
from shoal.llm import Experts, architecture
from shoal.llm.blocks._made import met_share
from shoal.llm.blocks.decode import Decode
from shoal.llm.blocks.prefill import Prefill
from shoal.llm.tiny import tiny
from tests.llm import configs

WITHOUT_LATENT = [name for name in configs.ALL if name != "DeepSeek V3"]


def kept_bytes(graph: Graph) -> int:
    return sum(graph.tensors[each.input].bytes for each in graph.carried)


@pytest.mark.parametrize("name", configs.ALL)
def test_blocks_weigh_and_keep_what_the_model_does(name: str) -> None:
    whole = architecture(configs.ALL[name])
    graph = Decode(batch=3, context=1000).graph(configs.ALL[name])
    assert graph.weights_bytes == 2 * whole.parameters
    assert kept_bytes(graph) == 3 * whole.cache_bytes(1000)


@pytest.mark.parametrize("name", WITHOUT_LATENT)
def test_blocks_compute_what_the_model_does(name: str) -> None:
    whole = architecture(configs.ALL[name])
    assert Decode(batch=3, context=1000).graph(configs.ALL[name]).macs == 3 * whole.macs(1000)
    head = whole.vocabulary * whole.width
    tokens = sum(whole.macs(seen) - head for seen in range(1, 51))
    assert Prefill(batch=3, tokens=50).graph(configs.ALL[name]).macs == 3 * (tokens + head)


def test_a_new_token_meets_latent_vectors_as_they_are_kept() -> None:
    entries, context = configs.DEEPSEEK_V3, 1000
    one, two = (Decode(context=each).graph(entries).macs for each in (context, context + 1))
    assert two - one == 61 * 128 * (2 * 512 + 64)  # heads × (query · vector and key with places, share · vector)
    assert kept_bytes(Decode(context=context).graph(entries)) == pytest.approx(1000 * 70.272e3)
    prompt = Prefill(tokens=2).graph(entries).macs - Prefill(tokens=1).graph(entries).macs
    head = 129280 * 7168
    assert prompt == architecture(entries).macs(2) - head + 61 * 128 * (192 + 128 - 2 * 512 - 64)


@pytest.mark.parametrize(
    ("weights", "published_bytes"),
    [("fp8", 671e9), ("float16", 1342e9), ("int4g128", 671e9 / 2)],
)
def test_formats_weigh_what_such_files_do(weights: str, published_bytes: float) -> None:
    graph = Decode(weights=weights).graph(configs.DEEPSEEK_V3)
    assert graph.weights_bytes == pytest.approx(published_bytes, rel=0.05)
    assert graph.ops[0].weights_bytes == 2 * 129280 * 7168  # the embedding keeps 16 bits


def test_experts_are_cut_into_blocks_that_share_the_work_exactly() -> None:
    entries = configs.DEEPSEEK_V3
    few, many = (Decode(experts=each, batch=7).graph(entries) for each in (256, 48))
    assert many.macs == few.macs
    assert many.weights_bytes == few.weights_bytes
    names = [op.name for op in many.ops if op.name.startswith("layers.5.")]
    bounds = ["0-47", "48-95", "96-143", "144-191", "192-239", "240-255"]
    assert names == ["layers.5.mixer", "layers.5.router", *(f"layers.5.experts.{each}" for each in bounds)]


def test_one_token_meets_only_what_it_chooses() -> None:
    entries = configs.DEEPSEEK_V3
    graph, whole = Decode().graph(entries), architecture(entries)
    met = sum(op.met_bytes or 0 for op in graph.ops)
    embedding = (whole.vocabulary - 1) * whole.width  # of which a token reads one vector
    assert met == pytest.approx(2 * (whole.active_parameters - embedding), rel=1e-4)
    assert (
        Decode(batch=4096).graph(entries).ops[8].met_bytes == Decode(batch=4096).graph(entries).ops[8].weights_bytes
    )


@pytest.mark.parametrize("places", [1, 3, 20])
def test_the_share_of_experts_that_are_met_is_that_of_random_choices(places: int) -> None:
    rng = np.random.default_rng(0)
    drawn = [len({e for _ in range(places) for e in rng.choice(16, 3, replace=False)}) / 16 for _ in range(4000)]
    assert float(met_share(Experts(16, 3, 8), places)) == pytest.approx(np.mean(drawn), abs=0.01)


@pytest.mark.parametrize("name", ["Llama 3.1 8B", "Gemma 3 270M"])
def test_a_head_in_several_blocks_is_the_same_head(name: str) -> None:
    one, four = (Decode(batch=2, heads=each).graph(configs.ALL[name]) for each in (1, 4))
    assert (four.macs, four.weights_bytes) == (one.macs, one.weights_bytes)
    assert [op.name for op in four.ops[-4:]] == [f"head.{at}" for at in range(4)]
    assert (
        four.tensors[four.outputs[0]].shape
        == one.tensors[one.outputs[0]].shape
        == (2, architecture(configs.ALL[name]).vocabulary)
    )
    both = set(four.ops[0].weights) & {weight for op in four.ops[1:] for weight in op.weights}
    assert bool(both) == architecture(configs.ALL[name]).tied


@pytest.mark.parametrize("name", configs.ALL)
def test_a_row_may_be_cut_after_every_block(name: str) -> None:
    for entry in (Decode(heads=3), Prefill(heads=3)):
        graph = entry.graph(configs.ALL[name])
        assert [cut.after for cut in cuts(graph)] == list(range(len(graph.ops) - 1))


@pytest.mark.parametrize("tokens", [1, 16])
def test_the_blocks_of_a_real_model_are_those_of_its_onnx_file(tokens: int, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    from shoal.train.language import save_language
    from shoal.train.language import tiny as trained

    decoder, weights = trained()
    real = load(save_language(decoder, weights, tokens, tmp_path / "tiny.onnx"))
    graph = Prefill(tokens=tokens, weights="float32").graph(tiny("llama").config)
    matrices = {name: each.bytes for name, each in real.weights.items() if name.endswith(".weight")}
    assert graph.weights_bytes == sum(matrices.values()) - matrices["lm_head.weight"]  # there it stands twice
    head = decoder.vocabulary * decoder.width
    elsewhere = (tokens - 1) * head  # the file answers at every place, and multiplies what the mask then hides
    hidden = decoder.layers * 2 * decoder.width * (tokens**2 - tokens * (tokens + 1) // 2)
    assert real.macs == graph.macs + elsewhere + hidden
    assert real.macs - elsewhere == pytest.approx(graph.macs, rel=0.01)


def test_an_entry_is_one_graph_and_another_is_another() -> None:
    entries = configs.LLAMA_8B
    made = [Decode(), Decode(), Decode(weights="int8"), Decode(context=5), Prefill()]
    shas = [each.graph(entries).sha256 for each in made]
    assert shas[0] == shas[1]
    assert len(set(shas)) == 4


def test_nothing_reads_weights_that_are_not_there() -> None:
    graph = Decode().graph(configs.LLAMA_8B)
    assert not graph.written
    assert not graph.packed
    with pytest.raises(ModelError, match="made from a configuration alone") as caught:
        assert graph.model.graph
    assert caught.value.hint == "simulate it, or give the model's weights"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("decode:context=200000", "a context beyond the model"),
        ("prefill:tokens=200000", "a context beyond the model"),
        ("decode:batch=0", "'batch' is out of range"),
        ("decode:experts=0", "'experts' is out of range"),
        ("decode:weights=int99", "no number format is called"),
        ("prefill:context=5", "no option 'context'"),
    ],
)
def test_what_cannot_be_is_refused(entry: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        catalog.make("llm/blocks", entry).graph(configs.DEEPSEEK_V3)
