"""A composition in small, for real: experts trained on kinds of text, a router, tiers held to rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median

import numpy as np

from shoal import catalog
from shoal.llm.composition.router import Router, learned
from shoal.llm.composition.served import Answer, Composition, generated, write_experts
from shoal.llm.composition.texts import Text, texts
from shoal.llm.composition.trained import (
    RECIPE,
    SMALL,
    as_large,
    continued,
    held_out,
    mixed,
    size,
    trained,
    wider,
)
from shoal.llm.tiny import Tiny
from shoal.store import POLICIES, FileTier, Key, TensorStore, Throttled
from shoal.study import Bench, Finding, Note, Shown, Table
from shoal.train.language import Stretches

DEFAULT = "documents"
PROMPT = 96  # bytes
RATIOS = (16, 33)  # by which the slower tiers are slower


@dataclass(frozen=True, eq=False)
class Small:
    """A composition that was trained, and what it is held against."""

    texts: Mapping[str, Text]
    models: Mapping[str, Tiny]
    router: Router
    path: Path  # of the store
    expert_bytes: int  # of one record

    def prompts(self, each: int) -> list[tuple[str, bytes]]:
        """Held out, of every kind, each after another kind's."""
        found = {
            name: [text.held[at : at + PROMPT].tobytes() for at in range(0, len(text.held) - PROMPT, 5 * PROMPT)]
            for name, text in self.texts.items()
        }
        return [(name, rows[at % len(rows)]) for at in range(each) for name, rows in found.items()]

    def opened(
        self, held: int, rate: float = 0.0, policy: str = "lru", uses: Sequence[Key] | None = None
    ) -> TensorStore:
        """A store that keeps so many experts, from a file held to a rate."""
        tier = FileTier(self.path)
        slow = Throttled(tier, rate) if rate else tier
        return TensorStore(slow, held * self.expert_bytes, catalog.make(POLICIES, policy), uses)

    def over(self, store: TensorStore) -> Composition:
        """All of it on a store."""
        return Composition(next(iter(self.models.values())).config, tuple(self.models), store, self.router)


def trained_small(steps: int, most_bytes: int, held: int, drawn: int, bench: Bench) -> Iterator[Shown | Small]:
    """Experts, one model of an expert's size for all kinds, and one as large as all experts.

    The small one learns as many steps as all experts together, the large one so many that the arithmetic is the same.
    """
    found, recipe = texts(most_bytes), replace(RECIPE, steps=steps, seed=bench.seed)
    models = {name: trained(found[name].learned, recipe) for name in bench.each(tuple(found), "expert")}
    everything, large = mixed(found), as_large(len(found))
    alike = max(1, round(steps * len(found) * size(SMALL) / size(large)))
    bench.say("one model for all kinds")
    one = trained(everything, replace(recipe, steps=steps * len(found)))
    bench.say("one as large as all experts")
    wide = trained(everything, wider(replace(recipe, steps=alike), large), large)
    router = learned({name: each.learned for name, each in found.items()}, DEFAULT, each=drawn, seed=bench.seed)
    yield from _losses(found, models, {"one": one, "large": wide}, router, held)
    yield Note(f"An expert has {size(SMALL)} parameters and learns {steps} steps; the one for all kinds learns "
               f"{steps * len(found)}; the one as large as all experts has {size(large)} and learns {alike}, which is the same "
               f"arithmetic, and answers with {size(large) / size(SMALL):.2g} times an expert's.")  # fmt: skip
    path = bench.scratch / "experts.store"
    write_experts(models, path)
    tier = FileTier(path)
    expert_bytes = max(each.bytes for each in tier.records.values())
    tier.close()
    yield Small(found, models, router, path, expert_bytes)


def _losses(
    found: Mapping[str, Text], models: Mapping[str, Tiny], alone: Mapping[str, Tiny], router: Router, held: int
) -> Iterator[Shown]:
    """What follows prompts held out, by the router's choice, by each kind's expert, by one model."""
    parts = [held_out(text, held) for text in found.values()]
    of = Stretches(np.concatenate([each.x for each in parts]), np.concatenate([each.y for each in parts]))
    kinds = np.repeat(list(found), [len(each.x) for each in parts])
    chosen = np.array([router.route(row[:PROMPT].astype(np.uint8).tobytes()).expert for row in of.x])
    by_choice, by_kind = np.zeros(len(kinds)), np.zeros(len(kinds))
    for name, model in models.items():
        for into, went in ((by_choice, chosen == name), (by_kind, kinds == name)):
            if went.any():
                into[went] = continued(model, Stretches(of.x[went], of.y[went]), PROMPT)
    columns = by_choice, by_kind, *(continued(alone[name], of, PROMPT) for name in ("one", "large"))
    rows: list[tuple[str | float, ...]] = [
        (name, *(float(each[kinds == name].mean()) for each in columns)) for name in found
    ]
    yield Table("Loss of what follows prompts held out, nats a byte",
                ("kind", "by the router's choice", "by its own expert", "one model of an expert's size", "one as large as all experts"),
                rows, note=f"{held} stretches of each kind at most: after {PROMPT} bytes, which the router reads, up to {SMALL.context}")  # fmt: skip
    routes, own, one, large = (mean(float(each[kinds == name].mean()) for name in found) for each in columns)
    yield Finding(
        "loss", routes / one, "measured", len(rows), why=f"{routes:.3f} over {one:.3f}, by the router's choice"
    )
    yield Finding("routing", routes / own, "measured", len(rows), why=f"{routes:.3f} over {own:.3f}")
    yield Finding("equal_bytes", routes / large, "measured", len(rows), why=f"{routes:.3f} over {large:.3f}")


def routed(small: Small, each: int, seed: int) -> Iterator[Shown]:
    """Prompts held out, and text of no kind."""
    rows: list[tuple[str | float, ...]] = []
    right, total, names = 0, 0, tuple(small.texts)
    for name in names:
        routes = [small.router.route(prompt) for kind, prompt in small.prompts(each) if kind == name]
        hits, share = sum(route.likeliest == name for route in routes), 100 / len(routes)
        went = (share * sum(route.likeliest == other for route in routes) for other in names)
        rows.append((name, *went, share * sum(route.default for route in routes)))
        right, total = right + hits, total + len(routes)
    yield Table("The router on prompts held out: likeliest expert, %", ("kind", *names, "not sure"), rows,
                note=f"{each} prompts of {PROMPT} bytes of each kind; where it is not sure, '{DEFAULT}' answers")  # fmt: skip
    yield Finding("router", 100 * right / total, "measured", total)
    rng = np.random.default_rng(seed)
    strange = [small.router.route(rng.integers(0, 256, PROMPT, dtype=np.uint8).tobytes()) for _ in range(20)]
    yield Finding("default", all(route.default and route.expert == DEFAULT for route in strange), "measured",
                  len(strange), why=strange[0].said)  # fmt: skip


def same(small: Small, new: int) -> Iterator[Shown]:
    """Answers are those of the chosen model by itself; room for two experts only."""
    prompts = [prompt for _, prompt in small.prompts(2)]
    with small.opened(2) as store:
        found = list(small.over(store).answers(prompts, new))
    alone = {name: model.module() for name, model in small.models.items()}
    wanted = [
        generated(alone[answer.route.expert], prompt, new) for answer, prompt in zip(found, prompts, strict=True)
    ]
    yield Finding("same", [answer.tokens for answer in found] == wanted, "measured", len(prompts))


def switches(small: Small, fast_s: float, each: int) -> Iterator[Shown]:
    """Switches on tiers of three rates: against bytes over bandwidth, and the module's part by itself."""
    fast = small.expert_bytes / fast_s
    rows, off = [], 0.0
    for ratio in (1, *RATIOS):
        with small.opened(1, fast / ratio) as store:
            answers = list(small.over(store).answers([prompt for _, prompt in small.prompts(each)], 1, ahead=False))
            told = store.told()
        missed = [answer for answer, use in zip(answers, told.uses, strict=True) if not use.hits]
        taken, should = median(answer.switch_s for answer in missed), told.tier.read_s(small.expert_bytes)
        off = max(off, abs(taken / should - 1))
        rows.append(
            (ratio, len(missed), 1e3 * taken, 1e3 * should, 1e3 * median(answer.assign_s for answer in missed))
        )
    yield Table("Switching to an expert that is not there", ("times slower", "switches", "median, ms", "bytes over rate, ms", "weights into the module, ms"),
                rows, note="tiers are held to their rates by waiting (emulated)")  # fmt: skip
    yield Finding("switch", 100 * off, "emulated", sum(row[1] for row in rows), why="the most of three rates")
    for ratio, row in zip(RATIOS, rows[1:], strict=True):
        yield Finding(f"switch_{ratio}", row[2] / rows[0][2], "emulated", row[1])


def hidden(small: Small, new: int, each: int) -> Iterator[Shown]:
    """Copying ahead while another answers: a copy takes half as long as an answer."""
    prompts = [prompt for _, prompt in small.prompts(each)]
    with small.opened(2) as store:
        answer_s = median(answer.execute_s for answer in small.over(store).answers(prompts[:4], new))
    rows: list[tuple[str, list[Answer]]] = []
    for name, ahead in (("when it is asked for", False), ("ahead", True)):
        with small.opened(2, 2 * small.expert_bytes / answer_s) as store:
            rows.append((name, list(small.over(store).answers(prompts, new, ahead=ahead))))
    yield Table("Where the time goes", ("an expert is copied", "router, ms", "switches, ms", "weights into the module, ms", "answers, ms"),
                [(name, *(1e3 * sum(getattr(answer, part) for answer in answers) for part in
                          ("router_s", "switch_s", "assign_s", "execute_s"))) for name, answers in rows],
                note=f"{len(prompts)} requests, {new} bytes each, room for two experts")  # fmt: skip
    asked_s, ahead_s = (sum(answer.switch_s for answer in answers[1:]) for _, answers in rows)
    yield Finding(
        "ahead", 100 * (1 - ahead_s / asked_s), "emulated", len(prompts) - 1, why="after the first request"
    )
