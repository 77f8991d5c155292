"""Serve a plan over HTTP, with a page that shows the fleet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shoal.cli import grounds, options, talk
from shoal.errors import InputError, UnitError
from shoal.units import parse

EXAMPLES = (
    "shoal serve plan",
    "shoal serve plan --queue 128 --deadline 500ms",
    "shoal serve plan --pixels mean=127,std=128,crop=0.875 --labels classes.txt",
    "shoal serve gemma-3-270m.gguf --fleet two_cores.toml --rows 8",
    "shoal serve placed --balance least_loaded",
    "shoal serve plan --host 0.0.0.0 --identity ~/.config/shoal/fleets/home/coordinator",
)
MOST_LABELS_BYTES = 16 << 20


def command(
    plan: Annotated[
        Path,
        typer.Argument(
            metavar="PLAN", help=f"{options.PLAN_HELP}; or a trained language model's folder or GGUF file"
        ),
    ],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="where to listen; 0.0.0.0 or :: everywhere")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8000,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="what clients call the model (default: its own name)")
    ] = "",
    queue: Annotated[int, typer.Option(min=1, help="requests that may wait; one more is told to come again")] = 64,
    deadline: Annotated[
        str, typer.Option(metavar="TIME", help="of a request that says none, such as 500ms")
    ] = "10s",
    drain: Annotated[
        str, typer.Option(metavar="TIME", help="how long what was taken may take after SIGTERM or Ctrl-C")
    ] = "30s",
    over: Annotated[
        str, typer.Option(metavar="TRANSPORT", help="what carries tensors here: shm, tcp, or memory (one process)")
    ] = "shm",
    standbys: Annotated[
        bool, typer.Option(help="keep a plan prepared, its workers loaded, for the loss of each device")
    ] = True,
    wait: Annotated[
        bool, typer.Option("--wait", help="with no device left, let requests wait for one until their deadline")
    ] = False,
    emulate: Annotated[bool, typer.Option("--emulate", help="pace each worker and link to its board")] = False,
    pixels: Annotated[
        str, typer.Option(metavar="FIGURES", help="how photos become numbers: mean=127,std=128,crop=0.875")
    ] = "",
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the classes, a line each: photos are answered with them")
    ] = None,
    identity: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="mutual TLS with this identity; clients need one too")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="allow unencrypted connections with other hosts")] = False,
    page: Annotated[bool, typer.Option("--page/--no-page", help="the page of the fleet at /")] = True,
    fleet: Annotated[
        Path | None, typer.Option(metavar="FLEET", help=f"of a language model: {talk.FLEET_HELP}")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="of a language model: texts that are gone on with at once")] = 8,
    context: Annotated[int, typer.Option(min=0, help=f"of a language model: {talk.CONTEXT_HELP}")] = 0,
    weights: Annotated[str, typer.Option(help=f"of a language model: {talk.WEIGHTS_HELP}")] = "stored",
    balance: Annotated[str, typer.Option(metavar="BALANCER", help=talk.BALANCE_HELP)] = "",
    json: Annotated[bool, typer.Option("--json", help="where it serves, as JSON on stdout, once it does")] = False,
) -> None:
    """Serve a plan over HTTP, with a page that shows the fleet; or a language model, as OpenAI's clients expect it."""
    from shoal import serve

    if talk.is_trained(plan):
        ways = talk.Ways(fleet, rows, context, weights, over, balance)
        _serve_language(
            plan, ways, (host, port), (identity, plain), name, rows + queue, _seconds(drain, "--drain"), json=json
        )
        return
    from shoal.live.service import kept
    from shoal.program.drivers.failover import Failover

    if balance:
        raise InputError("only a plan of experts is balanced", where="--balance", had=str(plan))
    decided = options.plan(plan)
    called = name or decided.model.name
    _check_name(called)
    deadline_s, drain_s = _seconds(deadline, "--deadline"), _seconds(drain, "--drain")
    said = serve.Classifier(serve.pixels_of(pixels) if pixels else None, _labels(labels))
    serve.needed()
    with serve.bound(host, port) as listening:
        serve.check_open(listening, identity, plain=plain)
        secure = serve.secured(identity) if identity else None
        url = serve.url_of(listening, secure=secure is not None)
        driver = Failover(standbys=standbys, wait=wait, period_s=decided.prediction.period_s, drain=emulate)
        with grounds.of(decided, over, emulate=emulate) as ground, kept(decided, ground, driver, queue) as backend:
            app = serve.app(backend, name=called, page=page, deadline_s=deadline_s, classifier=said)
            serve.serve(app, backend, listening, drain_s, secure, lambda: _told(called, url, page=page, json=json))
            state = backend.state()
    if not json:
        sys.stdout.write(f"{state.answered} answered, {state.failed} failed, {state.refused} refused\n")


def _serve_language(
    model: Path, ways: talk.Ways, place: tuple[str, int], safety: tuple[Path | None, bool], name: str, most: int,
    drain_s: float, *, json: bool,
) -> None:  # fmt: skip
    from shoal import serve
    from shoal.serve.language import LanguageModel, language_app

    serve.needed()
    with serve.bound(*place) as listening:
        serve.check_open(listening, safety[0], plain=safety[1])
        secure = serve.secured(safety[0]) if safety[0] else None
        with talk.ready(model, ways) as ready:
            served = LanguageModel(name or ready.name, ready.text, ready.generator, most, ready.facts)
            url = serve.url_of(listening, secure=secure is not None)
            serve.serve(language_app(served), served, listening, drain_s, secure,
                        lambda: _told(served.name, url, page=False, json=json))  # fmt: skip
            counts, done = ready.generator.counts, ready.done()
    if not json:
        sys.stdout.write(
            f"{counts.tokens} tokens given in {counts.steps} steps, {counts.losses} devices lost\n{done}"
        )


def _told(name: str, url: str, *, page: bool, json: bool) -> None:
    """Say where it serves, at once: whoever started us may be waiting for the line."""
    if json:
        options.emit({"name": name, "url": url})
    else:
        sys.stdout.write(f"serving {name} at {url}{' (the fleet is shown there)' if page else ''}; Ctrl-C ends\n")
    sys.stdout.flush()


def _check_name(name: str) -> None:
    if not name or "/" in name or len(name) > 200:
        raise InputError(f"'{name[:60]}' cannot be part of an address", where="--name", hint="--name NAME")


def _seconds(text: str, where: str) -> float:
    try:
        return parse(text, "second")
    except UnitError as fault:
        raise UnitError(fault.what, where=where, needed=fault.needed, had=fault.had, hint=fault.hint) from fault


def _labels(path: Path | None) -> tuple[str, ...]:
    """The lines of a file."""
    if path is None:
        return ()
    try:
        if path.stat().st_size > MOST_LABELS_BYTES:
            raise InputError("not a file of labels: it is too large", where=str(path))
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    except OSError as fault:
        raise InputError(f"cannot read: {fault.strerror}", where=str(path)) from fault
    except UnicodeDecodeError as fault:
        raise InputError("not a text file", where=str(path)) from fault
