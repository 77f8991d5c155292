"""A model that several processes have together, each its part."""

from __future__ import annotations

from collections.abc import Sequence

from shoal.errors import OutputsDiffer
from shoal.llm.offload.kept import Stored
from shoal.llm.tensor_parallel.parts import check_members
from shoal.llm.tensor_parallel.values import Share, Task, Told
from shoal.measure.joined import joined

MODULE, WHERE = "shoal.llm.tensor_parallel.alone", "a model in parts"


def answer(
    stored: Stored, tokens: Sequence[int], members: int = 2, how: str = "pool", *, new: int = 0, over: str = "shm"
) -> Told:
    """Read tokens, and go on with the likeliest.

    Args:
        stored: the model; see `shoal.llm.offload.kept`.
        tokens: at least one.
        members: processes.
        how: they exchange, of `wire/collectives`.
        new: tokens to be given.
        over: the transport among them.

    Raises:
        InputError: more members than heads of keys and values.
        WorkerDied: a member died; its last words say why.
        OutputsDiffer: members do not agree.
    """
    return answers(stored, tokens, members, (how,), new=new, over=over)[0]


def answers(
    stored: Stored,
    tokens: Sequence[int],
    members: int,
    ways: Sequence[str],
    *,
    new: int = 0,
    over: str = "shm",
    patience_s: float = 900.0,
) -> tuple[Told, ...]:
    """The same by several ways to exchange, in the same processes; see `answer`."""
    config = stored.facts.config
    heads = config.get("num_key_value_heads") or config.get("num_attention_heads")
    if heads:  # else it is no kind that can be cut, which members will say
        check_members(config["model_type"], heads, members)
    task = Task(str(stored.path.parent), tuple(tokens), new, tuple(ways))
    found = joined(MODULE, [task] * members, Share, WHERE, patience_s, over=over)
    shares = [each.answer for each in found]
    return tuple(_told(shares, at) for at in range(len(ways)))


def _told(shares: list[Share], at: int) -> Told:
    all_ = [each.answers[at] for each in shares]
    if len({(each.given, each.logits) for each in all_}) > 1:
        raise OutputsDiffer("members of the group give unlike logits", where=WHERE)
    seconds = tuple(max(step) for step in zip(*(each.seconds for each in all_), strict=True))
    return Told(all_[0].given, all_[0].logits, seconds, tuple(each.sent_bytes for each in all_),
                tuple(each.weight_bytes for each in shares))  # fmt: skip
