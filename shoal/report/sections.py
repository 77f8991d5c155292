"""The parts of the page that need no drawing: header, key figures, bars, tables, notes. All text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from shoal.record import FrontPoint, Provenance, Run
from shoal.report import figures
from shoal.report.figures import Figure
from shoal.report.palette import colours
from shoal.report.text import ABSENT, Kind, date, error, plain, plural, quantity, shorten

_BARS = (
    ("utilisation", "Busy share"),
    ("energy_per_item_j", "Energy per item"),
    ("peak_bytes", "Peak memory"),
    ("sent_per_item_bytes", "Sent per item"),
)
_CARDS = ("throughput_items_per_s", "latency_p50_s", "latency_p99_s", "energy_per_item_j", "peak_bytes")
_PLANS = 40  # rows of the table of plans
_MEANING: dict[Provenance, str] = {
    "measured": "a clock or a meter on the real thing",
    "emulated": "really executed, paced to a board's speed",
    "simulated": "the event simulation of the same program",
    "modelled": "measured time times stated power",
    "predicted": "the plan's own estimate",
}


def text(value: str) -> str:
    """`value` for the page: control characters shown as such, markup inert."""
    return escape(plain(value))


def title(runs: Sequence[Run]) -> str:
    """The page's title."""
    models = list(dict.fromkeys(run.model for run in runs))
    return models[0] if len(runs) == 1 else f"{plural(len(runs), 'run')} of {', '.join(models)}"


def heading(runs: Sequence[Run]) -> str:
    """The page's heading."""
    return f'<p class="eyebrow">shoal report</p><h1>{text(title(runs))}</h1>'


def section(heading: str, body: str, lead: str = "") -> str:
    """A section, or nothing where there is nothing to show."""
    if not body:
        return ""
    lead = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return f"<section><h2>{escape(heading)}</h2>{lead}{body}</section>"


def header(run: Run, heading: str = "") -> str:
    """What ran where and when, under `heading` (markup)."""
    facts = [text(run.name), plural(run.items, "item"), f"window {run.window}", f"seed {run.seed}"]
    facts += [text(date(run.started_at))] if run.started_at else []
    versions = " · ".join(f"{text(name)} {text(version)}" for name, version in run.versions.items())
    return (
        f"<header>{heading}"
        f'<p class="facts">{" · ".join(facts)}</p>{_fleet(run)}'
        f'<p class="versions">{versions}</p></header>'
    )


def cards(run: Run) -> str:
    """The key figures, the prediction beside each, whether the outputs are right, and what was planned for."""
    whole = figures.whole(run)
    shown = "".join(_card(figures.pick(whole, key)) for key in _CARDS)
    return f'<div class="cards">{shown}{_outputs_card(run)}</div>{_goals(run)}'


def device_bars(run: Run) -> str:
    """For each kind of figure, a bar per device with a mark at the prediction."""
    if not run.devices:
        return ""
    found = {name: figures.device(run, name) for name in run.devices}
    blocks = (
        _bar_block(run, heading, {n: figures.pick(f, key) for n, f in found.items()}) for key, heading in _BARS
    )
    return f'<div class="bars">{"".join(blocks)}</div>'


def device_table(run: Run) -> str:
    """Every figure of every device, with the prediction and how it was got."""
    if not run.devices:
        return ""
    columns = [figures.device(run, name) for name in run.devices]
    heads = "".join(f"<th>{_dot(colour)}{text(name)}</th>" for name, colour in colours(run.devices).items())
    rows = "".join(_table_row(row) for row in zip(*columns, strict=True))
    return scrolling(f"<thead><tr><th></th>{heads}<th>how it was got</th></tr></thead><tbody>{rows}</tbody>")


def comparison(runs: Sequence[Run]) -> str:
    """A row per run: key figures, prediction and error under each."""
    heads = "".join(f"<th>{escape(figures.pick(figures.whole(runs[0]), key).label)}</th>" for key in _CARDS)
    rows = "".join(_compared_run(f"{index + 1}. {text(run.name)}", run) for index, run in enumerate(runs))
    return scrolling(f"<thead><tr><th>run</th>{heads}<th>outputs</th></tr></thead><tbody>{rows}</tbody>")


def _compared_run(name: str, run: Run) -> str:
    about = f"<small>{text(run.model)} · {plural(run.items, 'item')}</small>"
    cells = "".join(_compared(figures.pick(figures.whole(run), key)) for key in _CARDS)
    return f"<tr><th>{name}{about}</th>{cells}<td>{_verdict(run)}</td></tr>"


def plan_table(runs: Sequence[Run]) -> str:
    """The plans in figures, folded away; nothing without plans."""
    points = list(dict.fromkeys(point for run in runs for point in run.front))[:_PLANS]
    heads = "".join(f"<th>{name}</th>" for name in ("latency", "throughput", "energy (max)", "memory (max)"))
    rows = "".join(_plan_row(point) for point in points)
    table = scrolling(f"<thead><tr><th>plan</th>{heads}</tr></thead><tbody>{rows}</tbody>")
    return f'<details class="inner"><summary>The plans in figures</summary>{table}</details>' if points else ""


def _plan_row(point: FrontPoint) -> str:
    figures_shown: tuple[tuple[float, Kind], ...] = (
        (point.latency_s, "s"),
        (point.throughput_items_per_s, "items/s"),
        (point.energy_j, "J"),
        (point.memory_bytes, "B"),
    )
    cells = "".join(f"<td>{quantity(value, kind)}</td>" for value, kind in figures_shown)
    return f"<tr><th>{text(point.label)}{' <b>(chosen)</b>' if point.chosen else ''}</th>{cells}</tr>"


def notes(run: Run) -> str:
    """Notes of the run, what was left out, and what the badges mean."""
    lines = [text(note) for note in run.notes]
    if run.late_share is not None:
        lines.append(f"{quantity(run.late_share, 'share')} of the items missed their due time.")
    if run.spans_dropped:
        lines.append(f"{run.spans_dropped} spans were counted but not kept; the timeline shows those kept.")
    used = [how for how in _MEANING if how in run.provenance.values() or (how == "predicted" and run.prediction)]
    lines += [f"{_badge(how)} {_MEANING[how]}" for how in used]
    return section("Notes", f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>" if lines else "")


def _goals(run: Run) -> str:
    told = [f"planned for <b>{text(name)}</b>: {text(words)}" for name, words in figures.goals(run).items()]
    return f'<p class="goals">{"<br>".join(told)}</p>' if told else ""


def _fleet(run: Run) -> str:
    items = "".join(f"<li>{_dot(colour)}{text(name)}</li>" for name, colour in colours(run.devices).items())
    return f'<ul class="fleet">{items}</ul>' if items else ""


def _dot(colour: str) -> str:
    return f'<i class="dot" style="background:{colour}"></i>'


def _badge(how: Provenance | None) -> str:
    return f'<b class="badge {how}" title="{escape(_MEANING[how])}">{how}</b>' if how else ""


def _card(figure: Figure) -> str:
    beside = "" if figure.predicted is None else f"predicted {quantity(figure.predicted, figure.kind)}"
    if figure.error is not None:
        beside += f" <em>{error(figure.error)}</em>"
    return (
        f'<div class="card"><h3>{escape(figure.label)}</h3><p class="value">{_split(figure)}</p>'
        f'<p>{_badge(figure.provenance)}</p><p class="beside">{beside or "&nbsp;"}</p></div>'
    )


def _split(figure: Figure) -> str:
    number, _, unit = quantity(figure.obtained, figure.kind).partition(" ")
    return f"{number}<small> {unit}</small>"


def _outputs_card(run: Run) -> str:
    word = {True: "match", False: "differ", None: "not compared"}[run.outputs_match]
    details = figures.verdict(run).partition(" (")[2].rstrip(")").replace("e-", "e‑")  # do not break there
    style = {True: "good", False: "bad", None: "open"}[run.outputs_match]
    return (
        f'<div class="card"><h3>outputs</h3><p class="value {style}">{word}</p>'
        f'<p class="beside">{details or "with the undivided model"}</p></div>'
    )


def _verdict(run: Run) -> str:
    return {True: "match", False: '<strong class="bad">differ</strong>', None: ABSENT}[run.outputs_match]


def _bar_block(run: Run, heading: str, by_device: dict[str, Figure]) -> str:
    values = [v for f in by_device.values() for v in (f.obtained, f.predicted) if v is not None]
    if not values:
        return ""
    longest = max(*values, 1.0 if heading == "Busy share" else 0.0) or 1.0
    tones = colours(run.devices)
    rows = "".join(_bar(name, figure, longest, tones[name]) for name, figure in by_device.items())
    source = next((figure.provenance for figure in by_device.values() if figure.provenance), None)
    return f"<div><h3>{escape(heading)} {_badge(source)}</h3>{rows}</div>"


def _bar(name: str, figure: Figure, longest: float, colour: str) -> str:
    def percent(value: float) -> str:
        return f"{min(100.0, max(0.0, 100 * value / longest)):.2f}%"

    mark = "" if figure.predicted is None else f'<i class="mark" style="left:{percent(figure.predicted)}"></i>'
    obtained, predicted = quantity(figure.obtained, figure.kind), quantity(figure.predicted, figure.kind)
    hint = f"{plain(name)}: obtained {obtained}, predicted {predicted}"
    return (
        f'<div class="bar" title="{escape(hint)}"><span>{escape(shorten(name, 16))}</span><span class="track">'
        f'<i class="fill" style="width:{percent(figure.obtained or 0.0)};background:{colour}"></i>{mark}</span>'
        f"<span>{obtained}</span></div>"
    )


def _table_row(row: Iterable[Figure]) -> str:
    found = list(row)
    if all(figure.obtained is None for figure in found):
        return ""
    how = next((figure.provenance for figure in found if figure.provenance), None)
    cells = "".join(_compared(figure) for figure in found)
    return f"<tr><th>{escape(found[0].label)}</th>{cells}<td>{_badge(how)}</td></tr>"


def _compared(figure: Figure) -> str:
    beside = ""
    if figure.predicted is not None:
        gap = f", {error(figure.error)}" if figure.error is not None else ""
        beside = f"<small>plan {quantity(figure.predicted, figure.kind)}{gap}</small>"
    return f"<td>{quantity(figure.obtained, figure.kind)}{beside}</td>"


def scrolling(table: str) -> str:
    """A table (markup of its inside) that is moved sideways where the page is narrow."""
    return f'<div class="scroll"><table>{table}</table></div>'
