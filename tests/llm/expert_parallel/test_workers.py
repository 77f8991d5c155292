"""Experts in other processes: the same answer, every byte counted, and a word about who died."""

from __future__ import annotations

import os
import signal
import time
from itertools import product

import numpy as np
import pytest

from shoal.errors import InputError, WorkerDied
from shoal.llm.expert_parallel import Step, Tally, Ways, even, workers
from shoal.llm.expert_parallel.frames import ENTRY, HEAD
from shoal.llm.expert_parallel.worker import ranks
from tests.llm.expert_parallel.layers import HIDDEN, WIDTH, alone, experts, layer, tokens

MAPS = {
    "even": even(1, 6, 2)[0],
    "uneven": even(1, 7, 3)[0],
    "any": np.array([3, 0, 0, 2, 1, 3, 1, 0]),
    "one": np.array([1, 1, 1, 0]),
}


@pytest.mark.parametrize("mode", ["hub", "shards"])
@pytest.mark.parametrize("name", MAPS)
def test_a_layer_answers_as_in_one_process(mode: str, name: str) -> None:
    native = MAPS[name]
    held, given = experts(len(native)), tokens(len(native), 37)
    with layer(native, held, mode=mode) as there:
        made = there.layer(0, *given)
        np.testing.assert_allclose(made, alone(held, *given), atol=1e-5)
        np.testing.assert_array_equal(there.layer(0, *given), made)


@pytest.mark.parametrize("mode", ["hub", "shards"])
def test_every_token_to_one_expert_no_token_twice_the_same_and_none(mode: str) -> None:
    native = MAPS["uneven"]
    held, (x, chosen, gates) = experts(7), tokens(7, 20)
    cases = {
        "one": np.full_like(chosen, 6),
        "twice": np.repeat(chosen[:, :1], 2, axis=1),
        "nobody": np.full_like(chosen, 7),
        "some nobody": np.where(chosen % 2, chosen, 7),
    }
    with layer(native, held, mode=mode) as there:
        for name, each in cases.items():
            made = there.layer(0, x, each, gates)
            np.testing.assert_allclose(made, alone(held, x, each, gates), atol=1e-5, err_msg=name)
        assert there.layer(0, x[:0], chosen[:0], gates[:0]).shape == (0, WIDTH)
        assert there.layer(0, x[:1], chosen[:1], gates[:1]).shape == (1, WIDTH)


@pytest.mark.parametrize("mode", ["hub", "shards"])
@pytest.mark.parametrize("balancer", ["least_loaded:gate=1,least=1", "least_loaded:gate=1,least=9", "random_spill"])
def test_experts_on_the_move_change_no_answer(mode: str, balancer: str) -> None:
    """All tokens to one expert, to one and its neighbours, to experts of one worker; a token's number is what it holds."""
    held, (_, chosen, gates) = experts(7), tokens(7, 61)
    x = np.repeat(np.arange(61, dtype=np.float32)[:, None] / 61, WIDTH, axis=1)
    source = np.random.default_rng(3)
    hot = np.where(source.random(chosen.shape) < 0.95, 4, chosen)
    with layer(MAPS["uneven"], held, mode=mode, balancer=balancer) as there:
        for each in (np.full_like(chosen, 6), hot, chosen % 3, chosen):
            made = there.layer(0, x, each, gates)
            np.testing.assert_allclose(made, alone(held, x, each, gates), atol=1e-5)
        first, second = there.traffic.steps[:2]
    size = held[0].bytes
    assert sorted(first.weight_bytes[2].tolist()) == [0, 0, size, size]  # expert 6 from worker 2 to both others
    assert first.weight_bytes.sum() == 2 * size
    assert [each.foreign for each in first.reports] == [first.reports[0].copies, first.reports[1].copies, 0]
    assert (first.sent_bytes >= first.weight_bytes).all()
    copies = [each.copies for each in second.reports]
    assert sum(copies) == 122
    assert max(copies) <= 41 + 2 * 9


@pytest.mark.parametrize("mode", ["hub", "shards"])
def test_a_worker_without_memory_gets_no_expert(mode: str) -> None:
    held, (x, chosen, gates) = experts(7), tokens(7, 40)
    with layer(MAPS["uneven"], held, mode=mode, balancer="least_loaded:least=1", room=(0, 0, 1)) as there:
        made = there.layer(0, x, np.zeros_like(chosen), gates)
        np.testing.assert_allclose(made, alone(held, x, np.zeros_like(chosen), gates), atol=1e-5)
        assert there.traffic.steps[0].weight_bytes.sum(0).nonzero()[0].tolist() == [2]
        assert there.traffic.steps[0].said == "a device without memory for one more expert of others takes none"


def test_sums_are_those_of_the_steps_which_are_not_kept() -> None:
    native = MAPS["uneven"]
    held, (x, chosen, gates) = experts(7), tokens(7, 61)
    tally, kept = Tally(3), []

    def note(step: Step) -> None:
        tally.note(step)
        kept.append(step)

    with workers(native[None], ways=Ways("shards", "least_loaded:gate=1,least=1"), note=note) as there:
        for number, each in enumerate(held):
            there.hold(0, number, each)
        for hot in (chosen, np.full_like(chosen, 6)):
            there.layer(0, x, hot, gates)
        assert not there.traffic.steps
    assert tally.steps == len(kept) == 2
    for at, done in enumerate(tally.workers):
        assert done.copies == sum(step.reports[at].copies for step in kept)
        assert done.spilled == sum(step.reports[at].foreign for step in kept)
        assert done.weight_bytes == sum(int(step.weight_bytes[:, at].sum()) for step in kept)
    assert sum(done.copies for done in tally.workers) == 4 * 61
    assert sum(done.spilled for done in tally.workers) > 61
    np.testing.assert_array_equal(tally.sent_bytes, sum(step.sent_bytes for step in kept))


def test_bytes_of_every_link_are_those_of_its_messages() -> None:
    native = MAPS["uneven"]
    held, (x, chosen, gates) = experts(7), tokens(7, 30)
    with layer(native, held, mode="shards") as there:
        there.layer(0, x, chosen, gates)
        sent = there.traffic.by_layer(1)[0]
    part = np.array_split(native[chosen], 3)
    for one, other in product(range(3), repeat=2):
        if one == other:
            assert sent[one, other] == 0
            continue
        there_, back = part[one] == other, part[other] == one
        parcel = message(4 * WIDTH * there_.any(1).sum(), *(4 * there_.sum(),) * 3, 0)
        sums = message(4 * WIDTH * back.any(1).sum())
        assert sent[one, other] == message() + message(8 * 7) + parcel + sums


def test_bytes_of_the_hub_are_those_of_its_messages() -> None:
    native = MAPS["even"]
    held, (x, chosen, gates) = experts(6), tokens(6, 30)
    with layer(native, held) as there:
        there.layer(0, x, chosen, gates)
        sent = there.traffic.by_layer(1)[0]
    for worker in range(2):
        mine = native[chosen] == worker
        rows = 4 * WIDTH * mine.any(1).sum()
        assert sent[2, worker] == message(8, 0, rows, *(4 * mine.sum(),) * 3)
        assert sent[worker, 2] == message(rows, 16, 16, 48)
    assert not sent[:2, :2].any()


@pytest.mark.parametrize("mode", ["hub", "shards"])
@pytest.mark.parametrize("names", [(), ("pi", "nano", "eye")])
def test_a_worker_that_dies_is_named(mode: str, names: tuple[str, ...]) -> None:
    native = MAPS["uneven"]
    held, given = experts(7), tokens(7, 20)
    with layer(native, held, mode=mode, names=names) as there:
        there.layer(0, *given)
        os.kill(there.processes[1], signal.SIGKILL)
        said = rf"worker {names[1] if names else 1}: experts' workers are gone .*ended with -9"
        with pytest.raises(WorkerDied, match=said):
            there.layer(0, *given)
        assert not any(os.path.exists(f"/proc/{each}") for each in there.processes)


@pytest.mark.parametrize("mode", ["hub", "shards"])
def test_a_worker_that_says_nothing_is_named(mode: str) -> None:
    native = MAPS["uneven"]
    held, given = experts(7), tokens(7, 20)
    with layer(native, held, mode=mode, patience_s=3.0) as there:  # loading the planner takes them less
        there.layer(0, *given)
        os.kill(there.processes[2], signal.SIGSTOP)
        begun_s = time.monotonic()
        with pytest.raises(WorkerDied, match=r"^worker 2: .*says nothing"):
            there.layer(0, *given)
        assert time.monotonic() - begun_s < 20


def test_what_a_worker_refuses_is_said() -> None:
    held, given = experts(6), tokens(6, 4)
    with workers(even(1, 6, 2)) as there:
        for number, each in enumerate(held[:5]):
            there.hold(0, number, each)
        with pytest.raises(WorkerDied, match=r"^worker 1: .*KeyError: 5"):
            there.layer(0, given[0], np.full_like(given[1], 5), given[2])


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="a worker needs an expert"):
        even(1, 2, 3)
    with pytest.raises(InputError, match="a map has a worker"), workers(np.zeros(4, np.int64)):
        pass
    with pytest.raises(InputError, match="do not know this activation"), workers(even(1, 4, 2), "swish2"):
        pass
    with pytest.raises(InputError, match="no balancer is called 'best'"), workers(even(1, 4, 2), ways=Ways(balancer="best")):  # fmt: skip
        pass
    held, (x, chosen, gates) = experts(4), tokens(4, 4)
    with layer(even(1, 4, 2)[0], held) as there:
        with pytest.raises(InputError, match="do not fit each other"):
            there.layer(0, x, chosen[:2], gates)
        with pytest.raises(InputError, match="an expert that is not there"):
            there.layer(0, x, chosen - 4, gates)


def test_places_in_the_order_of_all_sources() -> None:
    """By brute force: all sources' copies one after another, those of each expert counted up."""
    source = np.random.default_rng(0)
    parts = [source.integers(0, 5, size) for size in (7, 0, 12, 1)]
    every = np.concatenate(parts)
    wanted = [int((every[:at] == each).sum()) for at, each in enumerate(every)]
    start, found = np.zeros(5, np.int64), []
    for part in parts:
        found += ranks(part, start).tolist()
        start = start + np.bincount(part, minlength=5)
    assert found == wanted


def test_even_maps_hold_as_many_experts_as_can_be() -> None:
    for count, number in product(range(1, 20), range(1, 8)):
        if number <= count:
            sizes = np.bincount(even(2, count, number)[1], minlength=number)
            assert sizes.max() - sizes.min() <= 1
    assert HIDDEN != WIDTH  # so that matrices that change places are noticed


def message(*parts: int) -> int:
    """On the wire: a head, and an entry and the bytes of each array."""
    return HEAD.size + sum(ENTRY.size + int(part) for part in parts)


def test_answers_on_their_way_come_in_any_order_of_asking_for_them() -> None:
    held = experts(6)
    given = [tokens(6, count, seed=count) for count in (3, 40, 1)]
    with layer(MAPS["even"], held) as there:
        pending = [there.begin(0, *each) for each in given]
        for at in (2, 0, 1, 0):
            np.testing.assert_allclose(pending[at].result(), alone(held, *given[at]), atol=1e-5)
        there.begin(0, *given[0])  # nobody wants it
        np.testing.assert_allclose(there.layer(0, *given[1]), alone(held, *given[1]), atol=1e-5)
        there.begin(0, *given[0])
        there.share("shards", "plain")
        np.testing.assert_allclose(there.layer(0, *given[1]), alone(held, *given[1]), atol=1e-5)
        assert [sum(each.copies for each in step.reports) for step in there.traffic.steps] == [
            6,
            80,
            2,
            6,
            80,
            6,
            80,
        ]


def test_large_answers_on_their_way_block_nobody() -> None:
    held, given = experts(6), tokens(6, 6000)  # far more than a socket keeps
    with layer(MAPS["even"], held) as there:
        pending = [there.begin(0, *given) for _ in range(4)]
        made = [each.result() for each in pending]
    assert all((each == made[0]).all() for each in made)


def test_who_dies_before_its_answer_is_named_whenever_it_is_asked() -> None:
    held, given = experts(6), tokens(6, 4)
    with layer(MAPS["even"], held, copy_s=0.5) as there:
        pending = there.begin(0, *given)
        os.kill(there.processes[1], signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(WorkerDied, match="experts' workers are gone"):
                pending.result()
            with pytest.raises(WorkerDied, match="experts' workers are gone"):
                there.begin(0, *given)


@pytest.mark.serial
def test_a_slower_worker_takes_its_time_while_others_go_on() -> None:
    held, given = experts(6), tokens(6, 4)
    with layer(np.zeros(6, int), held, copy_s=0.02) as there:
        there.layer(0, *given)
        begun_s = time.monotonic()
        pending = there.begin(0, *given)
        asked_s = time.monotonic() - begun_s
        pending.result()
        assert asked_s < 0.5 * (time.monotonic() - begun_s)
        assert time.monotonic() - begun_s >= 8 * 0.02
