"""Experts on two devices: the same answers where that is promised, the works that were foreseen, no hanging."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.errors import InputError, LimitError, ModelError, WorkerDied
from shoal.llm.expert_hosting import Hosting, hiding, hosted, measured
from shoal.llm.offload.records import write_experts
from shoal.llm.routes import recorded
from shoal.llm.tiny import tiny
from shoal.plan.hosted_experts import DEGRADE, EXACT, FIDDLER, PRECALC, WAYS, Course, Pace, Way, popular
from shoal.store import RoutingTrace
from shoal.train.language import corpus, stretches

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")
pytestmark = pytest.mark.usefixtures("one_torch_thread")

EXPERT = 3 * 128 * 64 * 4  # bytes, of "mixtral"
PROMPT, PLACES = 24, 40


@pytest.fixture(scope="module")
def learned() -> RoutingTrace:
    return recorded(tiny("mixtral").module(), stretches(corpus()[0][: 4 * 64 + 1], 64).x)


@pytest.fixture(scope="module")
def text() -> Any:
    return corpus()[1][:PLACES][None].astype(np.int64)


@pytest.fixture
def model() -> Any:
    found = tiny("mixtral").module()
    found.set_experts_implementation("eager")
    return found


@pytest.fixture
def path(model: Any, tmp_path: Path) -> Path:
    write_experts(model, tmp_path / "experts")
    return tmp_path / "experts"


def read(model: Any, text: Any, step: int = 1) -> Any:
    """A prompt, then so many tokens at once; logits of what comes after the prompt."""
    given, cache, logits = torch.from_numpy(text), None, []
    with torch.no_grad():
        for start, end in [(0, PROMPT), *((at, at + step) for at in range(PROMPT, PLACES, step))]:
            answer = model(given[:, start:end], past_key_values=cache, use_cache=True)
            cache = answer.past_key_values
            logits.append(answer.logits)
    return torch.cat(logits, 1)


def off(found: Any, wanted: Any) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("name", ["fiddler", "exact"])
def test_exact_ways_answer_as_one_process(
    name: str, model: Any, path: Path, text: Any, learned: RoutingTrace
) -> None:
    wanted, before = read(model, text), {key: each.clone() for key, each in model.state_dict().items()}
    with hosted(model, path, learned, Hosting(9 * EXPERT, WAYS[name])) as host:
        found = read(model, text)
        assert host.residents.told.peak_bytes <= 9 * EXPERT
        assert all(
            each.experts.down_proj.isnan().all() for each in host.blocks
        )  # the work is really done elsewhere
    assert off(found, wanted) <= 1e-5
    assert torch.equal(found.argmax(-1), wanted.argmax(-1))
    assert any(each.work.slow and each.work.fast for each in host.turns)
    assert all(torch.equal(each, before[key]) for key, each in model.state_dict().items())
    assert torch.equal(read(model, text), wanted)


@pytest.mark.parametrize("name", WAYS)
def test_with_memory_for_all_every_way_is_the_model(
    name: str, model: Any, path: Path, text: Any, learned: RoutingTrace
) -> None:
    wanted = read(model, text)
    with hosted(model, path, learned, Hosting(32 * EXPERT, WAYS[name])) as host:
        assert torch.equal(read(model, text), wanted)
    assert not any(each.work.slow or each.work.loads or each.work.early for each in host.turns)


@pytest.mark.parametrize("way", [EXACT, FIDDLER])
@pytest.mark.parametrize("slots", [1, 9, 20])
def test_what_is_done_is_what_routes_foretell(
    way: Way, slots: int, model: Any, path: Path, text: Any, learned: RoutingTrace
) -> None:
    pace = Pace(1.0, 3.5)
    course = Course(popular(learned.loads(), slots - 1), pace, way)
    wanted = list(course.works(recorded(model, text), PROMPT))
    model.set_experts_implementation("eager")
    with hosted(model, path, learned, Hosting(slots * EXPERT, way, pace)) as host:
        read(model, text)
        assert [each.work for each in host.turns] == wanted
        np.testing.assert_array_equal(host.residents.here, course.resident)
    assert any(each.loads for each in wanted)
    assert any(each.slow for each in wanted)


@pytest.mark.parametrize("way", [PRECALC, DEGRADE])
def test_a_layer_asked_ahead_answers_with_what_was_foreseen(
    way: Way, model: Any, path: Path, text: Any, learned: RoutingTrace
) -> None:
    """By hand, on the model in one process: foreseen routes, the slow part of the state a layer before."""
    wanted = read(model, text)
    with hosted(model, path, learned, Hosting(9 * EXPERT, way)) as host:
        found = read(model, text)
        here = host.residents.here.copy()
        ahead = host.turns[4:]
    assert off(found[:, :PROMPT], wanted[:, :PROMPT]) <= 1e-5
    assert [each.work.early for each in ahead] == [False, False, True, True] * (PLACES - PROMPT)
    assert not any(each.work.loads for each in ahead if each.work.early)
    most = 1 if way.degrade else 2
    assert max(each.work.slow for each in ahead if each.work.early) == most
    with by_hand(model, here, way):
        assert off(found, read(model, text)) <= 1e-5
    assert off(found, wanted) > 1e-3  # and it is another answer


def by_hand(model: Any, here: Any, way: Way) -> Any:
    """Blocks of the third and fourth layer that know the input of the one before."""
    from contextlib import contextmanager
    from unittest.mock import patch

    blocks = [layer.mlp for layer in model.model.layers]
    inputs: dict[int, Any] = {}

    def forward(at: int, hidden: Any) -> Any:
        flat = hidden.reshape(-1, hidden.shape[-1])
        inputs[at], block = flat, blocks[at]
        if at < way.exempt or hidden.shape[1] > 1:
            _, weights, chosen = block.gate(flat)
            return block.experts(flat, chosen, weights).view_as(hidden)
        shares = block.gate(inputs[at - 1])[0].softmax(-1)[0]
        own = shares.topk(2).indices.tolist()
        if way.degrade and not here[at][own].any():
            own[1] = max(np.flatnonzero(here[at]).tolist(), key=lambda each: float(shares[each]))
        made = torch.zeros_like(flat)
        for each in own:
            x = flat if here[at][each] else inputs[at - 1]
            gate, up = (x @ block.experts.gate_up_proj[each].T).chunk(2, -1)
            made += (
                shares[each]
                / shares[own].sum()
                * ((torch.nn.functional.silu(gate) * up) @ block.experts.down_proj[each].T)
            )
        return made.view_as(hidden)

    @contextmanager
    def changed() -> Iterator[None]:
        with patch.object(type(blocks[0]), "forward", lambda block, hidden: forward(blocks.index(block), hidden)):
            yield

    return changed()


def test_another_way_begins_with_the_experts_of_the_beginning(
    model: Any, path: Path, text: Any, learned: RoutingTrace
) -> None:
    with hosted(model, path, learned, Hosting(9 * EXPERT, EXACT)) as host:
        placed = host.residents.here.copy()
        read(model, text)
        assert (host.residents.here != placed).any()
        host.again(FIDDLER)
        np.testing.assert_array_equal(host.residents.here, placed)
        found, turns = read(model, text), [each.work for each in host.turns]
        with pytest.raises(InputError, match="no layer is left"):
            host.again(replace(PRECALC, exempt=4))
    with hosted(model, path, learned, Hosting(9 * EXPERT, FIDDLER)) as host:
        assert torch.equal(read(model, text), found)
        assert [each.work for each in host.turns] == turns


def test_many_tokens_at_once_after_the_prompt_are_as_one_by_one(
    model: Any, path: Path, text: Any, learned: RoutingTrace
) -> None:
    with hosted(model, path, learned, Hosting(9 * EXPERT, DEGRADE)):
        assert off(read(model, text, 8), read(model, text)) <= 1e-5


def test_a_pass_that_was_broken_off_leaves_nothing_behind(
    model: Any, path: Path, text: Any, learned: RoutingTrace
) -> None:
    with hosted(model, path, learned, Hosting(9 * EXPERT, PRECALC)) as host:
        read(model, text)
        wanted = read(model, text)

        def stop(*_: Any) -> None:
            if host.turns[-1].tokens == 1:
                raise KeyboardInterrupt

        hook = model.model.layers[2].mlp.register_forward_pre_hook(stop)
        with pytest.raises(KeyboardInterrupt):
            read(model, text)
        hook.remove()
        assert torch.equal(read(model, text), wanted)


@pytest.mark.parametrize("way", [EXACT, DEGRADE])
def test_a_worker_that_dies_in_the_middle_of_a_token_is_told(
    way: Way, model: Any, path: Path, text: Any, learned: RoutingTrace
) -> None:
    wanted = read(model, text)
    with hosted(model, path, learned, Hosting(9 * EXPERT, way)) as host:

        def kill(*_: Any) -> None:
            if host.turns[-1].tokens == 1:
                hook.remove()
                os.kill(host.there.processes[0], signal.SIGKILL)

        hook = model.model.layers[2].mlp.register_forward_pre_hook(kill)
        for _ in range(2):
            with pytest.raises(WorkerDied, match="experts' workers are gone"):
                read(model, text)
    assert torch.equal(read(model, text), wanted)


def test_whose_experts_are_all_here_needs_no_worker(
    model: Any, path: Path, text: Any, learned: RoutingTrace
) -> None:
    wanted = read(model, text)
    with hosted(model, path, learned, Hosting(32 * EXPERT)) as host:
        os.kill(host.there.processes[0], signal.SIGKILL)
        assert torch.equal(read(model, text), wanted)


def test_a_worker_that_says_nothing_is_told(model: Any, path: Path, text: Any, learned: RoutingTrace) -> None:
    with hosted(model, path, learned, Hosting(9 * EXPERT, patience_s=0.5)) as host:
        os.kill(host.there.processes[0], signal.SIGSTOP)
        with pytest.raises(WorkerDied, match="says nothing"):
            read(model, text)


def test_what_cannot_be_is_refused(model: Any, path: Path, text: Any, learned: RoutingTrace) -> None:
    before = model.config._experts_implementation
    cases: list[tuple[Any, str, Any, Hosting]] = [
        (LimitError, rf"does not hold one expert .needed {EXPERT} bytes, had 5", learned, Hosting(5)),
        (
            InputError,
            "no layer is left whose experts could be foreseen .needed 3 at most, had 4",
            learned,
            Hosting(9 * EXPERT, replace(PRECALC, exempt=4)),
        ),
        (
            InputError,
            "routes are of another model",
            recorded(tiny("experts16").module(), text),
            Hosting(9 * EXPERT),
        ),
    ]
    for kind, said, trace, hosting in cases:
        with pytest.raises(kind, match=said), hosted(model, path, trace, hosting):
            pass
    with (
        pytest.raises(ModelError, match="no layer of the model has experts"),
        hosted(tiny("llama").module(), path, learned, Hosting(9 * EXPERT)),
    ):
        pass
    with hosted(model, path, learned, Hosting(9 * EXPERT)) as host:
        with pytest.raises(InputError, match=r"layer 3 .*the last layer has no router after it"):
            host.foreseen(3, torch.zeros(1, 128))
        with pytest.raises(ModelError, match="no gradients"):
            model.train().requires_grad_(True)(torch.from_numpy(text))
    model.eval()
    assert model.config._experts_implementation == before


@pytest.mark.serial
def test_parts_are_measured_as_they_are_emulated(model: Any, path: Path, text: Any, learned: RoutingTrace) -> None:
    hosting = Hosting(9 * EXPERT, copy_s=20e-3, latency_s=30e-3)
    pace = measured(model, path, learned, hosting, text[:, :8])
    assert 20e-3 <= pace.slow_s < 40e-3
    assert 30e-3 <= pace.load_s < 60e-3
    assert 0 < pace.fast_s < pace.attention_s < 20e-3
    assert hiding(pace, 2).startswith("not hidden")
    assert hiding(replace(pace, slow_s=1e-6), 2).startswith("hidden")
