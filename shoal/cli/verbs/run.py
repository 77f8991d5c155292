"""Run a plan; show what happened beside what was predicted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from shoal import codec
from shoal.cli import grounds, options
from shoal.errors import OutputsDiffer, WorkerDied
from shoal.program import TensorSpec
from shoal.report import print_table, summary, write_trace
from shoal.run import Result, Settings, execute, read
from shoal.run.execute import model_of
from shoal.run.throttle import way_of

EXAMPLES = (
    "shoal run plan",
    "shoal run plan --emulate --items 64 --trace trace.json",
    "shoal run plan --rate 20/s --poisson --items 200",
    "shoal run plan/front/03.json --over tcp --input photos.npy",
)


def command(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help=options.PLAN_HELP)],
    items: Annotated[int | None, typer.Option(min=1, help="how many items to run (default: 32)")] = None,
    rate: Annotated[str, typer.Option(metavar="RATE", help=options.RATE_HELP)] = "",
    poisson: Annotated[bool, typer.Option("--poisson", help=options.POISSON_HELP)] = False,
    workload: Annotated[Path | None, typer.Option(metavar="FILE", help=options.WORKLOAD_HELP)] = None,
    input: Annotated[
        Path | None, typer.Option(metavar="FILE", help="a .npy or .npz file of inputs; random ones otherwise")
    ] = None,
    over: Annotated[
        str, typer.Option(metavar="TRANSPORT", help="what carries tensors here: shm, tcp, or memory (one process)")
    ] = "shm",
    emulate: Annotated[bool, typer.Option("--emulate", help="pace each worker and link to its board")] = False,
    throttle: Annotated[
        str, typer.Option(metavar="WAY", help="how to slow devices that have a speed: quota, pace, or auto")
    ] = "auto",
    compare: Annotated[bool, typer.Option(help="compare the outputs with the undivided model's")] = True,
    seed: Annotated[int, typer.Option(min=0, help="of the random inputs")] = 0,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="file to write the run to")] = Path(
        options.RUN_FILE
    ),
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="also write the run as a trace for ui.perfetto.dev")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="the figures as JSON on stdout")] = False,
) -> None:
    """Run a plan; show what happened beside what was predicted."""
    options.writable(output, trace)
    decided = options.plan(plan)
    coming = options.workload_of(decided, items, rate, poisson, workload)
    settings = Settings(
        coming.items, over, emulate=emulate, compare=compare, seed=seed, throttle=way_of(throttle), workload=coming
    )
    samples = None
    if input is not None:
        graph = model_of(decided)
        samples = read(
            input, {name: TensorSpec(graph.tensors[name].dtype, graph.tensors[name].shape) for name in graph.inputs}
        )
    with ExitStack() as stack:
        there = None
        if grounds.is_live(decided.fleet.source) and not emulate:
            there = stack.enter_context(grounds.of(decided, over, emulate=False)).crew
        result = _with_progress(
            lambda told: execute(decided, settings, samples, told, there), coming.items, quiet=json
        )
    codec.save(result.run, output)
    if trace is not None:
        write_trace(result.run, trace)
    if json:
        options.emit(summary(result.run))
    else:
        print_table(result.run)
        sys.stdout.write(f"\nrun written to {output}; `shoal report {output}` makes the page\n")
    _judge(result)


def _with_progress(work: Callable[[Callable[[int], None]], Result], items: int, *, quiet: bool) -> Result:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("items"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("items", total=items)
        return work(lambda done: bar.update(task, completed=done))


def _judge(result: Result) -> None:
    """Fail when the run did.

    Raises:
        WorkerDied: it ended early.
        OutputsDiffer: the answers are not the undivided model's.
    """
    run = result.run
    if result.failure:
        raise WorkerDied(result.failure, had=f"{len(run.latencies_s)} of {run.items} answers, which are kept")
    if run.outputs_match is False:
        raise OutputsDiffer(
            "the divided network does not answer like the undivided one",
            needed=f"at most 1e-4 of {run.reference_magnitude:g}",
            had=f"{run.max_abs_difference:g}",
        )
