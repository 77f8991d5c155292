"""Decide who runs what, show why, and write the plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from numpy.typing import NDArray

from shoal import catalog, codec
from shoal.cli import entries, grounds, language, options
from shoal.cli import experts as expert_plans
from shoal.errors import InputError
from shoal.formats import listed
from shoal.plan import Front, Objective, Wishes, mapping_of, search
from shoal.plan.costs import costs_of
from shoal.plan.mixing import AUTO, Mixed, Mixing
from shoal.plan.refine import refined
from shoal.plan.show import front_json, print_front
from shoal.program import TensorSpec, Workload
from shoal.program.workload_file import load_workload
from shoal.run.handled import kept_handling
from shoal.run.samples import read

STRATEGIES = ", ".join(catalog.names("plan/strategies"))
PLACERS = ", ".join(catalog.names("plan/experts"))
MODEL_FOLDER = "models"  # in the plan's: the model in the chosen formats
FORMATS_FILE = "formats.json"
EXAMPLES = (
    "shoal plan model.onnx fleet.toml",
    "shoal plan model.onnx fleet.toml --minimize latency,energy --limit memory=1GiB",
    "shoal plan model.onnx fleet.toml --strategy all --minimize latency",
    "shoal plan model.onnx fleet.toml --pin conv1=pi-0 --exclude nano -o other",
    "shoal plan config.json fleet.toml --weights fp8 --context 8192",
    "shoal plan model.onnx fleet.toml --formats auto --samples inputs.npz --error 1%",
    "shoal plan mixtral fleet.toml --place ilp --routes texts.txt -o placed",
)


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="an ONNX file, or a language model's config.json")],
    fleet: Annotated[
        Path, typer.Argument(metavar="FLEET", help="a fleet file (TOML), or live: the devices that are there now")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="folder to write the plan to")
    ] = Path("plan"),
    shape: Annotated[list[str], typer.Option(metavar="NAME=SIZES", help=options.SHAPE_HELP)] = [],
    carry: Annotated[list[str], typer.Option(metavar="INPUT=OUTPUT", help=options.CARRY_HELP)] = [],
    minimize: Annotated[
        str,
        typer.Option(
            metavar="GOALS",
            help="goals; of several, the best compromise is taken: throughput,latency,energy,memory",
        ),
    ] = "throughput",
    limit: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=FIGURE",
            help="what must hold: memory=1GiB (a device), latency=50ms (an item), energy=2J (a device and item)",
        ),
    ] = [],
    strategy: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"how the work is divided, with options (tile:depth=2), several joined by +, or all: {STRATEGIES}",
        ),
    ] = "stage",
    planner: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="how to search, with options: auto, chain_dp:order=given, ilp, evolve, anneal"
        ),
    ] = "auto",
    pin: Annotated[
        list[str], typer.Option(metavar="OP=DEVICE", help="run this op on this device; may be repeated")
    ] = [],
    shares: Annotated[
        str,
        typer.Option(
            metavar="FIGURES",
            help="divide the work so over the units, in the order of the fleet, instead of searching: 3,1",
        ),
    ] = "",
    exclude: Annotated[
        list[str], typer.Option(metavar="DEVICE", help="leave this device out; may be repeated")
    ] = [],
    engine: Annotated[list[str], typer.Option(metavar="NAME", help="allow only this engine; may be repeated")] = [],
    window: Annotated[int, typer.Option(min=0, help="items in flight; 0: enough to keep every unit busy")] = 0,
    items: Annotated[int | None, typer.Option(min=1, help="items to plan for (default: 32)")] = None,
    workload: Annotated[Path | None, typer.Option(metavar="FILE", help=options.WORKLOAD_HELP)] = None,
    profile: Annotated[bool, typer.Option(help="measure the model's ops here first, if not done before")] = True,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="also run the front's segments here and predict from that; with --place: an expert"
        ),
    ] = False,
    mapping: Annotated[
        Path | None, typer.Option(metavar="FILE", help="also write the placement as mapping JSON")
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            metavar="FORMATS", help="auto, or int4g32/int8/float32: one of these for each layer; needs --samples"
        ),
    ] = "",
    samples: Annotated[
        Path | None, typer.Option(metavar="FILE", help="with --formats: inputs, .npz or .npy")
    ] = None,
    error: Annotated[
        str, typer.Option(metavar="SHARE", help="with --formats: how much answers may be off, of their norm: 2%")
    ] = "2%",
    techniques: Annotated[
        list[str],
        typer.Option(
            "--with", metavar="TECHNIQUE", help="with --formats: how layers are coded, a dozen times (default: rtn)"
        ),
    ] = [],
    entry: Annotated[
        str,
        typer.Option(metavar="NAME", help="of a config.json: plan only prefill, or only decode (default: both)"),
    ] = "",
    together: Annotated[
        bool,
        typer.Option("--together", help="of a config.json: prefill runs where decode does, on the same weights"),
    ] = False,
    answer: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="TOKENS",
            help="of a config.json: choose both entries together, for a request of so many new tokens",
        ),
    ] = 0,
    batch: Annotated[int, typer.Option(help="of a config.json: sequences of an item")] = 1,
    tokens: Annotated[int, typer.Option(min=0, help="of a config.json: tokens of a prompt; 0: up to 1024")] = 0,
    context: Annotated[
        int, typer.Option(min=0, help="of a config.json: tokens that a new one sees; 0: up to 4096")
    ] = 0,
    weights: Annotated[
        str, typer.Option(metavar="FORMAT", help="of a config.json: float32, float16, fp8, int8, int4g128 …")
    ] = "float16",
    experts: Annotated[int, typer.Option(help="of a config.json: experts of one block at most")] = 64,
    heads: Annotated[int, typer.Option(help="of a config.json: blocks that the head is cut into")] = 1,
    place: Annotated[
        str,
        typer.Option(
            metavar="TECHNIQUE",
            help=f"of a language model's folder: put its experts on devices: {PLACERS}; with options (ilp:time_limit_s=10)",
        ),
    ] = "",
    routes: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="with --place: texts like those to come, a document each, or recorded routes (.npz)",
        ),
    ] = [],
    step_tokens: Annotated[
        int, typer.Option(metavar="TOKENS", help="with --place: tokens of a step: of all texts that go on together")
    ] = 256,
    combine: Annotated[
        str,
        typer.Option(
            metavar="WHERE",
            help="with --place: between layers a token's state goes home, or is taken to stay with its expert: home, stay",
        ),
    ] = "home",
    json: Annotated[bool, typer.Option("--json", help="the front as JSON on stdout")] = False,
) -> None:
    """Decide who runs what, show why, and write the plan to a folder."""
    options.writable(output / options.PLAN_FILE, mapping)
    if routes and not place:
        raise InputError("routes are what experts are placed by", where="--routes", needed="--place TECHNIQUE")
    machines = grounds.fleet(fleet)
    if place:
        _refuse(
            "experts are placed by their routes alone",
            {"--formats": formats, "--shape": shape, "--carry": carry, "--mapping": mapping, "--pin": pin, "--shares": shares,
             "--exclude": exclude, "--engine": engine, "--limit": limit, "--workload": workload, "--entry": entry},
        )  # fmt: skip
        found_plan = expert_plans.planned(model, machines, place, routes, step_tokens, combine, measure=measure)
        expert_plans.tell(found_plan, output, json=json)
        return
    limits = options.limits_of(limit)
    if profile and any(device.speed < 1 for device in machines.devices):
        kept_handling()
    goals = tuple(part.strip() for part in minimize.split(",") if part.strip())
    wishes = Wishes(
        objective=Objective(
            goals,
            memory_limit_bytes=int(limits["memory"]) if "memory" in limits else None,
            latency_limit_s=limits.get("latency"),
            energy_limit_j=limits.get("energy"),
        ),
        workload=_workload(workload, items, window or None),
        items=items or options.ITEMS,
        strategy=strategy,
        planner=planner,
        pins=options.pins_of(pin),
        exclude=tuple(exclude),
        shares=options.shares_of(shares),
        engines=tuple(engine),
    )
    if language.is_configuration(model):
        _refuse(
            "a configuration alone cannot do that",
            {"--formats": formats, "--shape": shape, "--carry": carry, "--measure": measure, "--mapping": mapping},
            "give the model's ONNX file",
        )
        found = entries.Question(
            model, machines, wishes, entry,
            {"batch": batch, "tokens": tokens, "context": context, "weights": weights, "experts": experts, "heads": heads},
            together, answer,
        ).answered()  # fmt: skip
        (output / options.PLAN_FILE).unlink(missing_ok=True)  # of another model: the folder is now one of entries
        (output / options.EXPERTS_FILE).unlink(missing_ok=True)
        for name, front in found.fronts.items():
            _write(front, output / name, None)
        entries.tell(found, output, json=json)
        return
    if formats:
        question = Mixing(
            model, machines, wishes, _given(model, samples, shape, carry), options.share_of(error, "--error"),
            AUTO if formats == "auto" else listed(formats), tuple(techniques) or ("rtn",),
            *options.shapes_of(shape), measure=profile,
        )  # fmt: skip
        mixed = question.solve(output / MODEL_FOLDER)
        graph, front = mixed.graph, mixed.front
        codec.save({"formats": dict(mixed.formats), "error": mixed.error}, output / MODEL_FOLDER / FORMATS_FILE)
        if not json:
            typer.echo(_mixed(mixed))
    else:
        graph, reference = options.model(model, shape, carry)
        front = search(graph, reference, machines, costs_of(graph, machines, measure=profile), wishes)
    if measure:
        front = refined(graph, front)
    _write(front, output, mapping)
    if json:
        options.emit(front_json(front))
    else:
        print_front(graph, front, output)


def _refuse(why: str, given: Mapping[str, object], hint: str = "leave it out") -> None:
    """Refuse options that do not go with what is planned.

    Raises:
        InputError: naming the first that is given.
    """
    for option, value in given.items():
        if value:
            raise InputError(why, where=option, hint=hint)


def _mixed(found: Mixed) -> str:
    """How many layers have which format, and what that costs."""
    counts = Counter(found.formats.values())
    listed = ", ".join(f"{name} in {count}" for name, count in sorted(counts.items()))
    return f"formats of {len(found.formats)} layers: {listed}; answers off by {found.error:.2%} on the samples"


def _given(
    model: Path, samples: Path | None, shape: Sequence[str], carry: Sequence[str]
) -> Sequence[Mapping[str, NDArray[Any]]]:
    """The samples that formats are chosen on.

    Raises:
        InputError: there are none, or the model keeps state between items.
    """
    if samples is None:
        raise InputError("formats are chosen on samples", where="--formats", needed="--samples FILE")
    if carry:
        raise InputError("a model with state between items is not coded", where="--formats", had="--carry")
    graph, _ = options.model(model, shape)
    specs = {name: TensorSpec(graph.tensors[name].dtype, graph.tensors[name].shape) for name in graph.inputs}
    return read(samples, specs).inputs


def _workload(file: Path | None, items: int | None, window: int | None) -> Workload | None:
    """What the plan is for; None: closed, with a window that keeps every unit busy."""
    if file is not None:
        return load_workload(file, items, window)
    return Workload(items=items or options.ITEMS, window=window) if window else None


def _write(front: Front, output: Path, mapping: Path | None) -> None:
    """The chosen plan, and all that were shown in `front`; what an earlier search left there goes."""
    placement = mapping_of(front.plan) if mapping is not None else {}
    codec.save(front.plan, output / options.PLAN_FILE)
    (output / options.EXPERTS_FILE).unlink(missing_ok=True)
    for old in (output / "front").glob("[0-9][0-9].json"):
        old.unlink()
    for number in range(len(front.plans)):
        codec.save(front.marked(number), output / "front" / f"{number:02}.json")
    if mapping is not None:
        codec.save(placement, mapping)
