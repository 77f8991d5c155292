"""Several devices: real processes on this machine that exchange what devices would."""

from __future__ import annotations

from shoal.study.coverage.checks import _lab as lab
from shoal.study.coverage.checks.runtime import texts


def split() -> dict[str, float]:
    """Layers over two workers: that texts are those of one, and how many devices there were."""
    (alone, _, _), (found, took_s, counts) = texts(("here",), "memory", 4), texts(("left", "right"), "shm", 4)
    return {"same_text": alone == found, "devices": counts.placements[0].count("→") + 1, "took_s": took_s}


def pipeline() -> dict[str, float]:
    """The same over three workers that send by TCP."""
    names = ("one", "two", "three")
    (alone, _, _), (found, took_s, counts) = texts(("here",), "memory", 4), texts(names, "tcp", 4)
    return {"same_text": alone == found, "devices": counts.placements[0].count("→") + 1, "took_s": took_s}


def tokens() -> dict[str, float]:
    """A drafter in a process of its own proposes tokens, the target keeps its own: the text, and bytes sent a token."""
    from shoal.llm.drafting import Budget, elsewhere, generate
    from shoal.llm.tiny import tiny

    target = tiny("llama").module()
    alone = generate(target, lab.PROMPT, 48)
    with elsewhere("ngram", context=128, core=0) as drafter:
        found = generate(target, lab.PROMPT, 48, drafter=drafter, tree=Budget.chain(6))
    return {"same_text": found.tokens == alone.tokens, "passes_share": found.rounds / alone.rounds,
            "sent_bytes_a_token": found.bytes / 48}  # fmt: skip
