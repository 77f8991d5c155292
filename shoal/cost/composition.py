"""What serving many whole models on one machine takes: copying one in, answering with it, and machines to hold all.

Source: Prabhakar et al., "SambaNova SN40L: Scaling the AI Memory Wall with Dataflow and Composition of Experts",
MICRO 2024. Machines are in composition.toml, each figure with its source.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path

from shoal import codec
from shoal.catalog import nearest
from shoal.errors import InputError, LimitError

FILE = Path(__file__).with_name("composition.toml")


@dataclass(frozen=True)
class Machine:
    """Sockets that answer together, their fast memory in front of a large one."""

    title: str
    sockets: int
    flop_per_s: float  # of a socket
    fast_bytes_per_s: float  # of a socket's fast memory
    fast_bytes: int  # of a socket
    held_bytes: float  # of the large memory, all sockets together
    switch_bytes_per_s: float  # from the large memory to the fast one, all that one model gets
    sram_bytes: int = 0  # on the chip of a socket; 0: of no use between kernels
    units: int = 0  # of a socket, that a fused kernel is laid out on

    def __post_init__(self) -> None:
        rates = (self.flop_per_s, self.fast_bytes_per_s, self.fast_bytes, self.held_bytes, self.switch_bytes_per_s)
        if self.sockets < 1 or min(rates) <= 0:
            raise InputError("a machine has sockets, memory and rates above zero", where=self.title)

    @property
    def all_fast_bytes(self) -> int:
        """Of all sockets."""
        return self.sockets * self.fast_bytes


@dataclass(frozen=True)
class Expert:
    """A whole language model, one of many of a kind."""

    parameters: float = 6.74e9  # Llama 2 7B
    parameter_bytes: float = 2.0  # bfloat16

    def __post_init__(self) -> None:
        if self.parameters <= 0 or self.parameter_bytes <= 0:
            raise InputError(
                "an expert has parameters", had=f"{self.parameters:g} of {self.parameter_bytes:g} bytes"
            )

    @property
    def bytes(self) -> float:
        """Of its weights."""
        return self.parameters * self.parameter_bytes


@dataclass(frozen=True)
class Requests:
    """Prompts that come together; each goes to an expert, and experts answer one after another."""

    prompts: int = 8
    distinct: int = 8  # experts that they go to
    prompt_tokens: int = 256
    out_tokens: int = 20
    hit_rate: float = 0.0  # of those experts, in the fast memory already

    def __post_init__(self) -> None:
        if not 1 <= self.distinct <= self.prompts or self.prompt_tokens < 0 or self.out_tokens < 1:
            raise InputError("requests have prompts, experts for them and tokens to give", had=str(self))
        if not 0 <= self.hit_rate <= 1:
            raise InputError("a hit rate is from 0 to 1", had=f"{self.hit_rate:g}")


@dataclass(frozen=True)
class Split:
    """Where the time of requests goes."""

    router_s: float
    switch_s: float  # that nothing hides
    execute_s: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.router_s + self.switch_s + self.execute_s


@lru_cache(maxsize=1)
def machines() -> Mapping[str, Machine]:
    """Those of the file, by name."""
    found = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: codec.convert(each, Machine) for name, each in found.items() if name != "sources"}


def machine(name: str) -> Machine:
    """One of the file.

    Raises:
        InputError: there is none of that name.
    """
    if name not in machines():
        raise InputError(f"no machine for whole experts is called '{name}'", hint=nearest(name, machines()))
    return machines()[name]


def switch_s(on: Machine, expert: Expert) -> float:
    """Copying an expert into the fast memory.

    Raises:
        LimitError: the fast memory does not hold it.
    """
    resident(on, expert)
    return expert.bytes / on.switch_bytes_per_s


def resident(on: Machine, expert: Expert, reserve_bytes: float = 0.0) -> int:
    """Experts that the fast memory holds beside what is reserved.

    Raises:
        LimitError: not even one.
    """
    count = int((on.all_fast_bytes - reserve_bytes) // expert.bytes)
    if count < 1:
        raise LimitError("an expert is larger than the fast memory", where=on.title, hint="cut it over more machines",
                         needed=f"{expert.bytes:.4g} bytes", had=f"{on.all_fast_bytes - reserve_bytes:.4g}")  # fmt: skip
    return count


def machines_for(on: Machine, expert: Expert, experts: int, reserve_bytes: float = 0.0, *, copied: bool) -> int:
    """Machines that answer for all experts at their best: copied in from the large memory, or all in the fast one.

    Raises:
        LimitError: a machine holds not even one.
    """
    most = resident(on, expert, reserve_bytes)
    return ceil(experts / (int(on.held_bytes // expert.bytes) if copied else most))


def token_s(on: Machine, expert: Expert, tokens: int = 1) -> float:
    """One pass of so many tokens of one prompt: the longer of reading all weights and of two operations for each."""
    work = 2 * expert.parameters * tokens
    return max(work / (on.sockets * on.flop_per_s), expert.bytes / (on.sockets * on.fast_bytes_per_s))


def answered(
    on: Machine, expert: Expert, of: Requests, router: Expert | None = None, *, prefetch: bool = False
) -> Split:
    """The time of requests that come together; each prompt is read and answered by itself.

    Args:
        on: the machine.
        expert: those that answer.
        of: the requests.
        router: a model that reads every prompt first, all of them in one pass; None: choosing takes no time.
        prefetch: an expert is copied while the one before it answers; the first one's copy is waited for.

    Raises:
        LimitError: the fast memory does not hold an expert.
    """
    copy_s = switch_s(on, expert)
    read_s = token_s(on, expert, of.prompt_tokens) if of.prompt_tokens else 0.0
    execute_s = of.prompts * (read_s + of.out_tokens * token_s(on, expert))
    missed = of.distinct * (1 - of.hit_rate)
    waited_s = missed * copy_s
    if prefetch:
        first = min(1.0, missed)
        waited_s = first * copy_s + (missed - first) * max(0.0, copy_s - execute_s / of.distinct)
    chosen_s = token_s(on, router, of.prompts * max(1, of.prompt_tokens)) if router else 0.0
    return Split(chosen_s, waited_s, execute_s)
