"""Texts gone on with by a model whose weights other machines keep: here are its tokens, and room for a part of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoal.errors import ModelError, WireError
from shoal.llm.checkpoint.kept import Spoken, spoken
from shoal.llm.offload.kept import facts_of
from shoal.llm.offload.text import Paged, Within, served
from shoal.store import Tier
from shoal.store.remote import RemoteTier
from shoal.store.replicas import Replicas
from shoal.units import format_bytes

READERS = 2  # while the bytes of one record come, the next one is asked for
SAME = ("model_type", "vocab_size", "hidden_size", "num_hidden_layers")  # of both configurations
LOG = logging.getLogger("shoal.store")


@contextmanager
def paged_from(
    addresses: Sequence[str], path: Path, budget_bytes: int, ahead: int = 1, over: str = "tcp"
) -> Iterator[tuple[Spoken, Paged]]:
    """A trained model that goes on with texts while its weights stay where they are offered.

    Args:
        addresses: of `shoal worker MODEL`, "host:port"; those after the first stand in for it.
        path: the model's folder, which may lack the weights, or its GGUF file.
        budget_bytes: of memory for weights.
        ahead: records that are read before their use.
        over: how the addresses are reached: "tcp", "tcp:identity=FOLDER".

    Raises:
        ModelError: there is no such model, or the weights are another one's.
        LimitError: the budget is too small; what it would have to be.
        WireError: no address can be reached.
    """
    here = spoken(path)
    tier, about = _opened(addresses, over)
    try:
        facts = facts_of(about, addresses[0])
        _check_same(here.config, facts.config, addresses[0])
    except ModelError:
        tier.close()
        raise
    label = f"transformers within {format_bytes(budget_bytes)} of weights from {' or '.join(addresses)}"
    with served(tier, facts, Within(budget_bytes, ahead, READERS), label, here.context) as text:
        yield here, text


def _opened(addresses: Sequence[str], over: str) -> tuple[Tier, str]:
    """The store at these addresses, and what it says of itself; who does not answer is left out.

    Raises:
        WireError: nobody answers.
        InputError: not an address, or others offer something else.
    """
    found: list[RemoteTier] = []
    faults: list[WireError] = []
    for each in addresses:
        try:
            found.append(RemoteTier(each, over))
        except WireError as fault:
            LOG.warning("%s; left out", fault.message)
            faults.append(fault)
    if not found:
        raise faults[0]
    return (Replicas(found) if len(found) > 1 else found[0]), found[0].about


def _check_same(here: Mapping[str, Any], there: Mapping[str, Any], where: str) -> None:
    """Refuse weights that belong to other tokens."""
    other = [name for name in SAME if here.get(name) != there.get(name)]
    if other:
        raise ModelError("the weights are another model's", where=where,
                         needed=", ".join(f"{name} {here.get(name)}" for name in other),
                         had=", ".join(f"{there.get(name)}" for name in other))  # fmt: skip
