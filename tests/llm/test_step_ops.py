"""Operations of a step: the counts are those of the configuration."""

from __future__ import annotations

import pytest

from shoal.errors import InputError
from shoal.llm import architecture
from shoal.llm.step_ops import Load, step_ops
from tests.llm import configs


@pytest.mark.parametrize("name", ["Llama 3.1 8B", "Qwen 2.5 72B", "Mixtral 8x7B", "Gemma 3 270M"])
@pytest.mark.parametrize("devices", [1, 4])
def test_weights_and_work_are_the_architectures(name: str, devices: int) -> None:
    model = architecture(configs.ALL[name])
    load = Load(batch=3, seen=100, devices=devices)
    ops = step_ops(model, load)
    norms = sum(layer.norms for layer in model.layers) * model.width + model.width
    lookup = 0 if model.tied else model.vocabulary * model.width
    held = sum(each.bytes for op in ops for each in op.tensors)
    assert devices * held == pytest.approx(2 * (model.parameters - norms - lookup) + 3 * model.cache_bytes(101))
    assert devices * sum(op.flops for op in ops) == pytest.approx(2 * 3 * model.macs(101))
    assert sum(op.reduced_bytes for op in ops) == 2 * len(model.layers) * 3 * model.width * 2


def test_a_prompt_works_as_all_its_places() -> None:
    model = architecture(configs.ALL["Llama 3.1 8B"])
    head = model.vocabulary * model.width
    by_place = sum(model.macs(seen) - head for seen in range(1, 100)) + head
    assert sum(op.flops for op in step_ops(model, Load(1, 0, 99))) == pytest.approx(2 * by_place)


def test_few_tokens_meet_few_experts_and_nobody_foresees_which() -> None:
    model = architecture(configs.ALL["Mixtral 8x7B"])  # two of eight

    def experts(tokens: int) -> tuple[float, bool, int]:
        found = step_ops(model, Load(tokens, 10))[1].tensors[1]
        return found.read_bytes / found.bytes, found.foreseen, found.pieces

    assert experts(1) == (0.25, False, 2)
    assert experts(2) == (pytest.approx(1 - 0.75**2), False, 4)
    assert experts(64) == (pytest.approx(1, abs=1e-7), True, 8)


def test_a_step_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="a step has sequences"):
        Load(0, 1)
