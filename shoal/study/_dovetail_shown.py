"""What the study of Dovetail finds."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from shoal import catalog
from shoal.errors import ModelError
from shoal.llm import architecture
from shoal.llm.drafting import (
    FAMILY,
    ROOT,
    Ask,
    Budget,
    Curve,
    Drafter,
    Elsewhere,
    Speed,
    Tree,
    Trying,
    Tuner,
    chain_length,
    distributions,
    elsewhere,
    measure_target,
)
from shoal.llm.drafting.rounds import Two
from shoal.llm.service import Sampling
from shoal.study import _dovetail_exact as exact
from shoal.study._dovetail_runs import DEEP, DGF, LOOKUP, PLAIN, Desk, Prompt, Total
from shoal.study.contract import Chart, Finding, Series, Shown, Table

TREE = Budget(5, 4, 16)
CHAIN = Budget.chain(8)  # so long that few are accepted whole
LONGEST = 8  # of chains that are tried
ALONE = "target alone"
TIE = 1e-4  # of logits, within which another order of sums may choose another token
LLAMA_7B = {
    "model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096, "tie_word_embeddings": False,
}  # fmt: skip
PAIRS = (
    ("desktop-ryzen-7700x", "rtx-3060-12gb"),
    ("desktop-ryzen-7700x", "t4"),
    ("server-xeon-6338", "t4"),
    ("laptop-i7-1165g7", "rtx-3060-12gb"),
)


def made(text: str) -> Drafter:
    """In this process."""
    found: Drafter = catalog.make(FAMILY, text)
    return found


def exactness(desk: Desk, drafter: Drafter, draws: int, seed: int) -> Iterator[Shown]:
    """By everything that can be drawn from three tokens, and by draws with the real target and drafter."""
    yield Finding("exact", exact.worst(3), "computed", 3 * len(exact.BUDGETS),
                  why="largest difference of a probability; the drafter's are in float32")  # fmt: skip
    prompt = desk.prompts[0]
    first = desk.verifier.begin(prompt)
    p = distributions(Sampling(1.0), np.repeat(first.logits, 3, axis=0))
    tokens = np.array([*prompt, int(first.logits[0].argmax())], np.int32)
    ask = Ask(tokens[:-1], first.features[:-1], Budget(1, 2, 2), 1.0)
    q = drafter.begin(seed).propose(ask).q
    assert q is not None
    logs = np.log(np.maximum(q[0], exact.NEVER))
    tree_of = exact.drafted(lambda _: np.exp(logs), Budget(1, 2, 2))
    yield Finding("draws", exact.p_value(p, tree_of, draws, seed), "measured", draws,
                  why="two siblings drawn by the trained drafter, logits of the real target; no temperature or cut")  # fmt: skip


def same_text(desk: Desk, drafter: Elsewhere) -> Iterator[Shown]:
    """Every prompt, chains and trees by turns, and the bytes of each round."""
    differ: list[str] = []
    wrong = 0
    rounds = accepted = told_bytes = 0
    for at, prompt in enumerate(desk.prompts):
        alone = desk.write(prompt).tokens
        found = desk.write(prompt, drafter, TREE if at % 2 else CHAIN)
        if found.tokens != alone:
            differ.append(f"prompt {at}, {desk.flips(prompt, found.tokens, alone):.2g} between the two best")
        new, begins = len(prompt) + 1, True
        for each in found.log:
            if each.offered:
                wrong += each.bytes != drafter.sizes.bytes(new, each.offered, begins=begins)
                new, begins = 0, False
                told_bytes += each.bytes
            new += each.accepted + 1
        rounds, accepted = rounds + found.rounds, accepted + found.accepted
    texts = len(desk.prompts)
    yield Finding("same", len(differ), "measured", texts,
                  why="; ".join(differ[:3]) or f"{desk.new} tokens each, not one choice flipped")  # fmt: skip
    yield Finding("bytes", wrong, "measured", rounds,
                  why=f"{told_bytes / max(1, rounds):.0f} B a round of {accepted / max(1, rounds) + 1:.1f} tokens, prompts "
                      "included; 48 B, 4 B and a float16 feature a new token, 8 B a drafted one")  # fmt: skip


@dataclass(frozen=True)
class Sweep:
    """One drafter at all lengths of a chain."""

    speed: Speed  # measured before
    alpha: float  # of other texts
    totals: Mapping[int, Total]  # by length; 0: the target alone
    curve: Curve  # t_T of more tokens at a time than chains have

    @property
    def chosen(self) -> int:
        """The length that the model of the speed chooses."""
        return self.speed.best_chain(self.alpha, LONGEST)

    def foreseen(self, tokens: int, length: float) -> float:
        """Tokens/s."""
        return self.speed.tokens_per_s(length, tokens)


def swept(desk: Desk, drafter: Elsewhere, timed: int, repeats: int) -> Sweep:
    """All lengths in turn; by turns with them, on other prompts, what each takes and what is accepted."""
    others, prompts = desk.prompts[:timed], desk.prompts[timed : 2 * timed] or desk.prompts
    ways = {str(tokens): Budget.chain(tokens) if tokens else None for tokens in range(LONGEST + 1)}
    trying, tried, found = Trying(LONGEST), [], []
    for other, prompt in zip(others, prompts, strict=False):
        tried.append(desk.write(other, drafter, trying))
        found.append(desk.in_turn(drafter, ways, [prompt]))
    totals = {int(name): Total.sum(each[name] for each in found) for name in ways}
    speed = Speed.of(each for one in tried for each in one.log)
    return Sweep(speed, Total.of(tried).alpha, totals, measure_target(desk.verifier, others[0], repeats=repeats))


def speeds(sweep: Sweep) -> Iterator[Shown]:
    """The chosen length against the best, and the model of the speed against what was measured."""
    measured = {tokens: each.tokens_per_s for tokens, each in sweep.totals.items()}
    best = max(measured, key=lambda tokens: measured[tokens])
    count = len(sweep.totals[0].texts)
    yield Finding("chosen", 100 * (1 - measured[sweep.chosen] / measured[best]), "measured", count,
                  why=f"chosen {sweep.chosen} with α = {sweep.alpha:.2f} of other texts, best {best}")  # fmt: skip
    foreseen = {tokens: sweep.foreseen(tokens, each.length) for tokens, each in sweep.totals.items()}
    misses = {tokens: 100 * abs(foreseen[tokens] / measured[tokens] - 1) for tokens in measured}
    by_alpha = sweep.foreseen(sweep.chosen, chain_length(sweep.alpha, sweep.chosen))
    yield Finding("model", max(misses.values()), "measured", count,
                  why=f"worst of lengths 0 to {LONGEST}, with curves of other texts and τ as it came; at the chosen length "
                      f"with τ from α {100 * (by_alpha / measured[sweep.chosen] - 1):+.0f} %")  # fmt: skip
    rows = [
        (tokens, each.length, chain_length(sweep.alpha, tokens), measured[tokens], foreseen[tokens])
        for tokens, each in sweep.totals.items()
    ]
    yield Table("Chains in two processes", ("tokens", "τ", "τ from α", "tokens/s", "foreseen tokens/s"), rows)
    x = [float(tokens) for tokens in measured]
    yield Chart("Speed by length of the chain", "drafted tokens a round", "tokens/s",
                (Series("measured", x, list(measured.values())), Series("foreseen", x, list(foreseen.values()))))  # fmt: skip


def tuned(desk: Desk, drafter: Elsewhere, sweep: Sweep, timed: int) -> Iterator[Shown]:
    """The tuner with a drafter that is worth it."""
    prompts = desk.prompts[-timed:]
    tuner = Tuner(sweep.speed, most=LONGEST)
    found = desk.in_turn(drafter, {ALONE: None, "tuned": tuner, "tree": TREE}, prompts)
    gain = {name: each.tokens_per_s / found[ALONE].tokens_per_s for name, each in found.items()}
    yield Finding("speedup", gain["tuned"], "measured", len(prompts),
                  why=f"chains of {tuner.tokens} at the end, α = {tuner.alpha:.2f}; trees of {TREE.tokens}: "
                      f"{gain['tree']:.2f} ×; both processes on one processor, small nets whose passes cost little more "
                      "for many tokens than for one")  # fmt: skip


def gives_up(desk: Desk, sweep: Sweep, timed: int, context: int) -> Iterator[Shown]:
    """The tuner with a drafter that is not."""
    prompts = desk.prompts[-timed:]
    tuner = Tuner(sweep.speed, most=LONGEST)
    with elsewhere("random", context=context) as drafter:
        found = desk.in_turn(drafter, {ALONE: None, "tuned": tuner, "chain": CHAIN}, prompts)
    gain = {name: each.tokens_per_s / found[ALONE].tokens_per_s for name, each in found.items()}
    right = found["tuned"].texts == found["chain"].texts == found[ALONE].texts
    yield Finding("bad", right and gain["chain"] < 1, "measured", len(prompts),
                  why=f"the same text; chains of {CHAIN.tokens} of them: {gain['chain']:.2f} × the speed")  # fmt: skip
    yield Finding("gives_up", tuner.tokens == 0, "measured", len(prompts),
                  why=f"it ends with no draft, α = {tuner.alpha:.2f}; {gain['tuned']:.2f} × the speed, the learning "
                      "included")  # fmt: skip


def compared(desk: Desk, drafters: Mapping[str, str], prompts: Sequence[Prompt]) -> dict[str, dict[str, Total]]:
    """Every drafter, in this process, which changes no τ: chains and trees."""
    return {
        name: desk.in_turn(made(text), {"chain": CHAIN, "tree": TREE}, prompts) for name, text in drafters.items()
    }


def ablation(found: Mapping[str, Mapping[str, Total]]) -> Iterator[Shown]:
    """τ of every drafter."""
    lengths = {name: each["chain"].length for name, each in found.items()}
    prompts = len(found[DGF]["chain"].texts)
    order = [lengths[name] for name in (DEEP, DGF, PLAIN, LOOKUP)]
    told = ", ".join(f"{name} {lengths[name]:.2f}" for name in (DEEP, DGF, PLAIN, LOOKUP))
    yield Finding("order", all(a > b for a, b in pairwise(order)), "measured", prompts,
                  why=f"τ of chains of {CHAIN.tokens}: {told}; all heads were trained for the same steps")  # fmt: skip
    columns = (
        "drafter",
        f"τ, chain of {CHAIN.tokens}",
        "α",
        f"τ, tree of {TREE.tokens}",
        "tokens/s, tree, one process",
    )
    rows = [
        (name, each["chain"].length, each["chain"].alpha, each["tree"].length, each["tree"].tokens_per_s)
        for name, each in found.items()
    ]
    yield Table("Drafters, text held out", columns, rows)


def two_boards(sweep: Sweep, found: Mapping[str, Mapping[str, Total]]) -> Iterator[Shown]:
    """A target of seven billion weights on a processor, the head on a graphics card, or where the target is."""
    target, first = architecture(LLAMA_7B), PAIRS[0][0]
    chains = {Budget.chain(tokens): each.length for tokens, each in sweep.totals.items() if tokens}
    lengths = {name: {CHAIN: each["chain"].length, TREE: each["tree"].length} for name, each in found.items()}
    lengths[DGF] |= chains
    pairs = [(DGF, Two(target, on, draft_on=draft_on)) for on, draft_on in PAIRS]
    beside = [(DEEP, Two(target, first, blocks=2, draft_on=PAIRS[0][1])), (DGF, Two(target, first, draft_on=first))]
    best = [_fastest(pair, lengths[name]) for name, pair in (*pairs, *beside)]
    gains = [each[-2] for each in best[: len(pairs)]]
    rows = [
        (name, pair.on, pair.draft_on, *each) for (name, pair), each in zip((*pairs, *beside), best, strict=True)
    ]
    enough = 4 * pairs[0][1].round_s(LONGEST, LONGEST) / pairs[0][1].target_s(1) - 1
    yield Finding("simulated", gains[0], "simulated", 1, (min(gains), max(gains)),
                  "interval: pairs of boards; acceptance of the byte decoder's head, which foresees bytes and not words: with "
                  f"chains of {LONGEST} four times the speed takes τ = {enough:.1f}, here it is {lengths[DGF][CHAIN]:.1f}; "
                  "float16 weights and the roofline's usual efficiencies")  # fmt: skip
    yield Table("Llama 7B on boards of the catalog, simulated",
                ("head", "target on", "head on", "drafted tokens", "levels", "τ", "gain, ×", "tokens/s"), rows,
                "each with the fastest of the trees that were tried here")  # fmt: skip
    yield _passes(sweep.curve, [pair for _, pair in pairs])


def _fastest(pair: Two, lengths: Mapping[Budget, float]) -> tuple[float, float, float, float, float]:
    """Tokens, levels, τ, gain and tokens/s of the tree that is fastest there."""

    def gain(budget: Budget) -> float:
        return pair.speedup(lengths[budget], budget.tokens, budget.depth, budget.top_k)

    best = max(lengths, key=gain)
    return best.tokens, best.depth, lengths[best], gain(best), gain(best) / pair.target_s(1)


def _passes(curve: Curve, pairs: Sequence[Two]) -> Chart:
    """t_T(n), here and on boards."""
    x = [float(count) for count in curve.counts]
    here = Series("tiny decoder, here (measured)", x, [each / curve(1) for each in curve.seconds])
    boards = {
        pair.on: Series(
            f"7B, {pair.on} (roofline)", x, [pair.target_s(count) / pair.target_s(1) for count in curve.counts]
        )
        for pair in pairs
    }
    return Chart(
        "A pass of the target", "tokens of a pass", "time over that of one token", (here, *boards.values())
    )


def refused(desk: Desk, text: str) -> Finding:
    """Another vocabulary, a malformed tree, and a drafter that dies."""
    prompt = desk.prompts[0]
    alone = desk.write(prompt).tokens
    told = []
    try:
        desk.write(prompt, made("random:vocabulary=300"))
    except ModelError as fault:
        told.append("different vocabularies" in fault.message)
    babbled = desk.write(prompt, _Babbler())
    told.append(babbled.tokens == alone and "malformed" in babbled.left)
    with elsewhere(text, context=len(prompt) + desk.new) as drafter:
        os.kill(drafter.process, signal.SIGKILL)
        died = desk.write(prompt, drafter)
    told.append(died.tokens == alone and "gone" in died.left)
    return Finding("refused", told == [True] * 3, "measured", 3)


class _Babbler:
    """A drafter whose trees are none."""

    vocabulary = width = 0

    def begin(self, seed: int) -> _Babbler:
        return self

    def propose(self, ask: Ask) -> Tree:
        return Tree.of([1, 2], [1, ROOT])
