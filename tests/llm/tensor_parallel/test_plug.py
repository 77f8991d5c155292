"""A model that members have together answers as the model in one process, each with its part of every matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError, ModelError
from shoal.llm.modules import module
from shoal.llm.offload.kept import Facts, Stored, stored_tiny
from shoal.llm.offload.laid import shapes_of, write_weights
from shoal.llm.tensor_parallel.parts import cut
from shoal.llm.tensor_parallel.plug import parallel
from shoal.llm.tiny import tiny
from shoal.wire.collectives import FAMILY
from tests.llm.models import ENDS
from tests.wire.groups import grouped, together

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")

TOKENS = torch.from_numpy(np.random.default_rng(5).integers(0, 256, (2, 20)))
SMALL = {"num_hidden_layers": 2, "max_position_embeddings": 64, "num_attention_heads": 6, "num_key_value_heads": 3,
         "intermediate_size": 50, **ENDS, "hidden_size": 48}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "llama": {**SMALL, "model_type": "llama", "attention_bias": True, "mlp_bias": True, "head_dim": 8},
    "qwen2": {**SMALL, "model_type": "qwen2", "tie_word_embeddings": False},
    "qwen3": {**SMALL, "model_type": "qwen3", "head_dim": 16},
    "gemma3_text": {**SMALL, "model_type": "gemma3_text", "head_dim": 8, "sliding_window": 8},
}


def kept(config: dict[str, Any], folder: Path, tile_bytes: int = 4 << 10) -> tuple[Any, Stored]:
    """A model with weights and biases of a seed, and the same in a store, its larger matrices in tiles."""
    made = module(config, seed=4)
    with torch.no_grad():
        for name, each in made.named_parameters():
            if name.endswith("bias"):
                each.normal_()
    weights = {name: each.numpy() for name, each in made.state_dict().items()}
    if config["tie_word_embeddings"]:
        del weights["lm_head.weight"]
    path = folder / "weights.store"
    write_weights(shapes_of(weights), weights.__getitem__, path, tile_bytes)
    return made, Stored(path, Facts(config, shapes_of(weights), tile_bytes))


def logits(stored: Stored, members: int, way: str, over: str = "memory") -> list[Any]:
    """Of each member. Models are made one after another: making one changes torch for a moment."""
    with grouped(over, members) as groups:
        models = [parallel(stored, group, catalog.make(FAMILY, way)) for group in groups]

        def answered(group: Any) -> Any:
            with torch.no_grad():
                return models[group.rank](TOKENS).logits

        return together(groups, answered)


def check(made: Any, found: list[Any]) -> None:
    with torch.no_grad():
        wanted = made(TOKENS).logits
    for each in found:
        torch.testing.assert_close(each, wanted, atol=1e-5, rtol=1e-5)
        assert torch.equal(each, found[0])  # everybody goes on with the same token


@pytest.mark.parametrize("way", catalog.names(FAMILY))
@pytest.mark.parametrize("members", [1, 2, 4])
def test_logits_are_those_of_one_process(members: int, way: str) -> None:
    model = tiny("llama")
    check(model.module(), logits(stored_tiny(model, 48 << 10), members, way))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("members", [2, 3])
def test_heads_that_share_keys_and_biases_and_vocabularies_of_their_own(
    kind: str, members: int, tmp_path: Path
) -> None:
    made, stored = kept(KINDS[kind], tmp_path)
    check(made, logits(stored, members, "direct"))


def test_every_member_has_its_part_of_every_matrix() -> None:
    model = tiny("llama")
    stored = stored_tiny(model)
    whole = sum(each.nbytes for name, each in model.weights.items() if each.ndim == 2)
    with grouped("memory", 4) as groups:
        models = [parallel(stored, group, catalog.make(FAMILY, "direct")) for group in groups]
    spare = 4 * model.config["hidden_size"]  # the embedding's row of zeros
    sizes = []
    for each in models:
        held = {name: one for name, one in each.named_parameters() if one.ndim == 2 and name != "lm_head.weight"}
        sizes.append(sum(4 * one.numel() for one in held.values()) - spare)
        assert each.lm_head.weight.untyped_storage().data_ptr() == each.model.embed_tokens.weight.data_ptr()
    assert sum(sizes) == whole
    assert [each.model.layers[0].self_attn.o_proj.weight.shape[1] // 32 for each in models] == [2, 2, 1, 1]


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    made, stored = kept(KINDS["llama"], tmp_path)
    for members in (0, 4):
        with pytest.raises(InputError, match=r"heads .* of its own \(needed 1 to 3 members, had [04]\)"):
            cut(made, members)
    with pytest.raises(ModelError, match=r"no plan of transformers' that this can follow .*had moe_tp_experts"):
        cut(tiny("mixtral").module(), 2)
    with pytest.raises(ModelError, match="no plan of transformers'"):
        cut(tiny("mamba2").module(), 1)
    other = Stored(stored.path, Facts({**KINDS["llama"], "mlp_bias": False}, stored.facts.shapes, 4 << 10))
    with (
        grouped("memory", 1) as (group,),
        pytest.raises(ModelError, match="the store holds another model's weights"),
    ):
        parallel(other, group, catalog.make(FAMILY, "direct"))
