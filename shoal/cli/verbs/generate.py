"""Go on with a text by a trained language model."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli import options, talk
from shoal.errors import InputError, WorkError
from shoal.llm.service import Generator, Request, Sampling, Words
from shoal.report.trace import write_spans
from shoal.store.timeline import spans

if TYPE_CHECKING:
    from shoal.llm.offload.text import Paged

EXAMPLES = (
    "shoal generate gemma-3-270m.gguf 'The capital of France is'",
    "shoal generate llama/ 'Once upon a time' --tokens 200 --temperature 0.8 --seed 1",
    "shoal generate llama/ 'Once upon a time' --fleet two_cores.toml --weights int8",
    "shoal generate gemma-3-270m.gguf 'The capital of France is' --memory 256MB",
    "shoal generate llama/ 'Once upon a time' --memory 256MB --weights-from 192.0.2.7:4711 --over tcp:plain=true",
    "shoal generate placed 'Once upon a time' --balance least_loaded",
)


def command(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="a folder as Hugging Face keeps them, a GGUF file, or a plan of experts"
        ),
    ],
    prompt: Annotated[str, typer.Argument(help="the text to go on with; - reads it from stdin")],
    fleet: Annotated[Path | None, typer.Option(metavar="FLEET", help=talk.FLEET_HELP)] = None,
    tokens: Annotated[int, typer.Option(min=1, help="most new tokens")] = 64,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token each time")] = 0.0,
    top_p: Annotated[
        float, typer.Option(help="draw from the likeliest tokens with so much probability together")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="what is drawn")] = 0,
    chat: Annotated[bool, typer.Option("--chat", help="the prompt is what a user says in a chat")] = False,
    context: Annotated[int, typer.Option(min=0, help=talk.CONTEXT_HELP)] = 0,
    weights: Annotated[str, typer.Option(help=talk.WEIGHTS_HELP)] = "stored",
    balance: Annotated[str, typer.Option(metavar="BALANCER", help=talk.BALANCE_HELP)] = "",
    over: Annotated[
        str,
        typer.Option(
            metavar="TRANSPORT",
            help="what carries tensors here: shm, tcp, or memory (one process); with --weights-from: tcp",
        ),
    ] = "",
    memory: Annotated[
        str,
        typer.Option(
            metavar="SIZE", help="keep the weights on disk, but for so much memory: 256MB (float32, exact)"
        ),
    ] = "",
    ahead: Annotated[int, typer.Option(min=0, help="with --memory: pieces of weights read before their use")] = 1,
    weights_from: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT,…",
            help="with --memory: read the weights from a `shoal worker MODEL` there; further ones stand in for the first. "
            "MODEL here needs config.json and tokenizer.json only",
        ),
    ] = "",
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="with --memory: write when it read, waited and computed, for Perfetto"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="the result as JSON on stdout")] = False,
) -> None:
    """Go on with a text by a trained language model."""
    sampling = Sampling(temperature, top_p, seed=seed)
    said = sys.stdin.read() if prompt == "-" else prompt
    if memory and (fleet or context or weights != "stored" or balance or options.is_experts(model)):
        raise InputError(
            "with --memory the model runs here, as its file has it",
            hint="leave out --fleet, --context, --weights, --balance",
        )
    if (weights_from or trace) and not memory:
        raise InputError(
            "--weights-from and --trace are for weights that are read piece by piece", hint="add --memory SIZE"
        )
    options.writable(trace)
    ways = talk.Ways(fleet, 1, context, weights, over or ("tcp" if weights_from else talk.OVER), balance)
    with _opened(model, ways, memory, ahead, weights_from) as found:
        asked = found.text.chat([{"role": "user", "content": said}]) if chat else said
        request = Request(tuple(found.text.tokens(asked)), tokens, sampling, found.text.ends)
        words, pieces = Words(found.text), []
        began_s = time.monotonic()
        stream, times_s = found.generator.ask(request), []
        for token in stream:
            times_s.append(time.monotonic() - began_s)
            pieces.append(words.add(token))
            if not json:
                talk.say(pieces[-1])
        pieces.append(words.rest())
        placements, done, facts = tuple(found.generator.counts.placements), found.done(), found.facts()
        told = None if isinstance(found.generator, Generator) else found.generator.told()
    ended = stream.ended
    assert ended is not None
    if json:
        options.emit(
            {"text": "".join(pieces), "ended": ended.reason, "prompt_tokens": len(request.tokens),
             "tokens": stream.given, "first_s": times_s[0] if times_s else None, "total_s": times_s[-1] if times_s else None,
             "placements": placements} | facts
        )  # fmt: skip
    else:
        talk.say(f"{pieces[-1]}\n")
        sys.stderr.write(_figures(len(request.tokens), times_s, placements) + done)
    if told and trace:
        write_spans(spans(told), trace, {"model": model.stem})
    if ended.reason == "lost":
        raise WorkError(f"the text ended early: {ended.why}")


def _opened(
    model: Path, ways: talk.Ways, memory: str, ahead: int, addresses: str
) -> AbstractContextManager[talk.Talk[Generator | Paged]]:
    """The model, and what goes on with texts: here within some memory, or on the devices of a fleet."""
    if addresses:
        return talk.elsewhere(addresses, model, memory, ahead, ways.over)
    return talk.within(model, memory, ahead) if memory else talk.ready(model, ways)


def _figures(prompt: int, times_s: list[float], placements: tuple[str, ...]) -> str:
    """What was measured, in a line."""
    if len(times_s) < 2:
        return f"[{' then '.join(placements)}]\n"
    rate = (len(times_s) - 1) / (times_s[-1] - times_s[0])
    shown = f"{rate:.0f}" if rate >= 1000 else f"{rate:.3g}"
    return (
        f"[{' then '.join(placements)}: first token after {times_s[0]:.3g} s ({prompt} tokens of prompt), "
        f"then {shown} tokens/s, measured]\n"
    )
