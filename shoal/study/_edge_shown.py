"""What the study of EdgeReasoning concludes from its students, its frontier and a board's figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shoal.errors import InputError, LimitError
from shoal.llm import architecture
from shoal.llm.reasoning import Control, Decode, Drawn, Frontier, Latency, Option, Prefill, Roofline, separable
from shoal.study import Bench, Chart, Finding, Note, Series, Shown, Table
from shoal.study._edge_runs import Answered, Class, Student
from shoal.study._edge_task import Question

ALLOWED = 1.1  # of the limit
CHANCE = 0.1
ORIN = {  # what a token reads in float16 there
    "Qwen 1.5B": ("qwen2", 151936, 1536, 8960, 28, 12, 2),
    "Llama 8B": ("llama", 128256, 4096, 14336, 32, 32, 8),
    "Qwen 14B": ("qwen2", 152064, 5120, 13824, 48, 40, 8),
}


def budgets(told: Class) -> Iterator[Shown]:
    """Accuracy by budget, steps against none, what a forced answer does, whether wishes are followed."""
    curves, best = told.curves, told.thinkers[-1]
    found = [curves[best.name, Control("cut", each)].score for each in told.budgets]
    zero = curves[best.name, Control("none")].score
    rises = found[-1].accuracy > zero.accuracy and not found[-1].tied(zero)
    flat = found[-1].tied(found[-2]) if len(found) > 1 else False
    yield Finding("budget", rises and flat, "measured", zero.asked,
                  why=f"{best.name}: {zero.accuracy:.0%} without thinking, {found[-2].accuracy:.0%} and "
                      f"{found[-1].accuracy:.0%} with the two longest budgets; no "
                      f"question needs more than {told.wishes[-1]} bytes")  # fmt: skip
    yield from _steps(told, best)
    yield _forced(told, best)
    asked = [curves[each.name, Control("asked", budget)] for each in told.thinkers for budget in told.wishes]
    share = 100 * sum(each.compliant for each in asked) / len(asked)
    yield Finding("compliance", share, "measured", len(asked) * zero.asked, why="of all sizes and budgets")
    lines = [Series(each.name, told.budgets, [100 * curves[each.name, Control("cut", at)].score.accuracy
                                              for at in told.budgets]) for each in told.thinkers]  # fmt: skip
    yield Chart("Accuracy by budget, cut and answer forced", "bytes of thinking", "%", tuple(lines))
    yield Table("Students under budgets", ("student", "control", "right, %", "from", "to", "unparsable, %",
                "thought, bytes", "kept, %"), [_row(*key, each) for key, each in curves.items()],
                note="The interval is Wilson's, 95 %; kept: chains within the budget.")  # fmt: skip


def _row(name: str, control: Control, each: Answered) -> tuple[str | float, ...]:
    low, high = each.score.interval
    return (name, control.name, 100 * each.score.accuracy, 100 * low, 100 * high, 100 * each.score.unparsable_share,
            each.thought, 100 * each.compliant)  # fmt: skip


def _steps(told: Class, best: Student) -> Iterator[Shown]:
    """The largest student with steps against the one that learned without."""
    plain = [each for each in told.students if not each.steps][-1]
    with_steps, without = told.curves[best.name, Control()], told.curves[plain.name, Control("none")]
    gain = 100 * (with_steps.score.accuracy - without.score.accuracy)
    tied = " (not separable)" if with_steps.score.tied(without.score) else ""
    yield Finding("steps", gain, "measured", without.score.asked,
                  why=f"{with_steps.score.accuracy:.0%} and {without.score.accuracy:.0%}{tied}, with "
                      f"{with_steps.thought:.3g} bytes of thinking")  # fmt: skip


def _forced(told: Class, best: Student) -> Finding:
    """Half of what the longest question needs, with and without a forced answer."""
    budget = told.wishes[(told.slots - 1) // 2]
    bare = best.scored(told.questions, Control("cut", budget, forced=False)).score
    kept = told.curves[best.name, Control("cut", budget)].score
    return Finding("forced", 100 * kept.unparsable_share, "measured", kept.asked,
                   why=f"{bare.unparsable_share:.0%} without a forced answer at {budget} bytes; right: "
                       f"{kept.accuracy:.0%} against {bare.accuracy:.0%}")  # fmt: skip


def votes(told: Class) -> Iterator[Shown]:
    """More samples; and the larger model against more samples at equal measured latency."""
    gains = []
    for each in told.thinkers:
        single, many = (told.votings[each.name, at].score for at in (min(told.votes), max(told.votes)))
        if single.interval[0] > CHANCE:
            gains.append((100 * (many.accuracy - single.accuracy), each.name, single, many))
    if gains:
        gain, name, single, many = min(gains)
        tied = " (not separable)" if single.tied(many) else ""
        yield Finding("votes", gain, "measured", single.asked,
                      why=f"least gain of {len(gains)} sizes above chance: {name}, {single.accuracy:.0%} to "
                          f"{many.accuracy:.0%}{tied}")  # fmt: skip
    else:
        yield Finding("votes", None, why="no size is above chance with a single sample")
    yield Chart("Accuracy by vote", "samples", "%", tuple(
        Series(each.name, told.votes, [100 * told.votings[each.name, at].score.accuracy for at in told.votes])
        for each in told.thinkers), log_x=True)  # fmt: skip
    yield _equal_latency(told)


def _equal_latency(told: Class) -> Finding:
    """The largest model's single chain against the most accurate vote of a smaller one in no more time."""
    options = list(told.options())
    largest = next(each for each in options if each.model == told.thinkers[-1].name and each.control == Control())
    within = [each for each in options if each.samples > 1 and each.model != largest.model
              and each.latency_s <= largest.latency_s]  # fmt: skip
    if not within:
        return Finding("parallel", False, "measured", largest.score.asked,
                       why="no vote of a smaller model is as quick as one chain of the largest: all sizes have as many "
                           "layers, and calls, more than their width, make up the time of a token")  # fmt: skip
    best = max(within, key=lambda each: each.score.accuracy)
    return Finding("parallel", best.score.accuracy >= largest.score.interval[0], "measured", best.score.asked,
                   why=f"{best.name}: {best.score.accuracy:.0%}; {largest.name}: {largest.score.accuracy:.0%}, in "
                       f"{1e3 * largest.latency_s:.3g} ms")  # fmt: skip


def frontier(told: Class, others: Sequence[Question], limits: int, timed: int, bench: Bench) -> Iterator[Shown]:
    """Limits between the quickest and the slowest; what is chosen for each is run on other questions."""
    found = Frontier(tuple(told.options()))
    worth = found.worth_having()
    yield Table("Configurations worth having", ("configuration", "foreseen, ms", "J, modelled", "right, %", "from",
                "to"), [(each.name, 1e3 * each.latency_s, each.energy_j, 100 * each.score.accuracy,
                *(100 * end for end in each.score.interval)) for each in worth],
                note="" if separable(worth) else "Neighbours whose intervals overlap are tied.")  # fmt: skip
    low, high = worth[0].latency_s, worth[-1].latency_s
    kept, asked, held, rows = 0, 0, 0, []
    for at in bench.each(range(limits), "limit"):
        limit_s = low * (high / low) ** (at / max(limits - 1, 1)) * (1 + 1e-9)
        choice = found.best(limit_s)
        student = next(each for each in told.students if each.name == choice.best.model)
        times_s = [student.answered([each], choice.best.control, choice.best.samples, told.seed).total_s
                   for each in others[:timed]]  # fmt: skip
        again = student.scored(others, choice.best.control, choice.best.samples, told.seed + 1).score
        kept, asked = kept + sum(each <= ALLOWED * limit_s for each in times_s), asked + len(times_s)
        held += again.tied(choice.best.score)
        rows.append((1e3 * limit_s, choice.best.name, len(choice.tied), 100 * choice.best.score.accuracy,
                     100 * again.accuracy, 1e3 * max(times_s)))  # fmt: skip
    yield Table("Best under a limit, and run", ("limit, ms", "chosen", "tied with", "stated, %", "again, %",
                "slowest, ms"), rows)  # fmt: skip
    yield Finding("deadline", 100 * kept / asked, "measured", asked, why="on one thread, its own time")
    yield Finding("stated", 100 * held / limits, "measured", limits, why="Wilson intervals that overlap")


def orin(efficiency: float) -> Iterator[Shown]:
    """Time between tokens on the board, and the share of decode."""
    rows: list[tuple[str | float, ...]] = []
    over, shares = list[float](), list[float]()
    for name, (kind, vocabulary, width, hidden, layers, heads, kept) in ORIN.items():
        model = architecture({
            "model_type": kind, "vocab_size": vocabulary, "hidden_size": width, "intermediate_size": hidden,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kept,
            "tie_word_embeddings": False,
        })  # fmt: skip
        floor, found = Roofline().latency(model), Roofline(bandwidth_share=efficiency).latency(model)
        tokens = (floor.decode.token_s(0), found.decode.token_s(512))
        over.append(100 * (tokens[1] / tokens[0] - 1))
        shares.append(100 * found.decode_share(128, 1024))
        rows.append((name, *(1e3 * each for each in tokens), found.prefill.seconds(128) * 1e3, shares[-1]))
    yield Table("Jetson AGX Orin, float16", ("model", "floor, ms a token", "foreseen after 512, ms",
                "prompt of 128, ms", "decode's share, %"), rows)  # fmt: skip
    yield Finding("orin", max(over), "predicted", len(rows),
                  why=f"{efficiency:.0%} of the bandwidth is reached, as by decode on this machine")  # fmt: skip
    yield Finding("dominant", min(shares), "predicted", len(rows), why="1024 tokens after a prompt of 128")


def refused(option: Option) -> Finding:
    """A budget of nothing, limits below the least, a vote of equal samples: each refused with what would do."""
    latency = Latency(Prefill(0.0, 0.0, 1e-3), Decode(1e-3, 0.0, 0.0))
    tries = (
        lambda: Control("cut", 0),
        lambda: Drawn(samples=4),
        lambda: latency.most_tokens(1e-3, 8),
        lambda: Frontier((option,)).best(option.latency_s / 2),
    )
    told = []
    for attempt in tries:
        try:
            attempt()
        except (InputError, LimitError) as fault:
            told.append(fault.message)
    good = len(told) == len(tries) and all("minimum is" in each for each in told[2:])
    return Finding("refused", good, "computed", len(tries), why="; ".join(told[2:]))


def note(efficiency: float) -> Note:
    """What the board's figures rest on."""
    return Note("Orin's figures are the catalog's roofline; the share of the bandwidth that decode reaches is this "
                f"machine's ({efficiency:.0%}), not one measured there.")  # fmt: skip
