"""Cuts of a network into two, measured: a table for the terminal, keys for machines, CSV, and a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from shoal import codec
from shoal.record import SplitFigures, SplitFront
from shoal.report.charts import Chart, axis, label, layout, scale
from shoal.report.html import Charts, document
from shoal.report.palette import ACCENT, COLOURS, MUTED
from shoal.report.sections import section, text
from shoal.report.text import ABSENT, plain, plural, quantity

SHOWN = 30  # cuts in the terminal; the others are in the files


def split_keys(split: SplitFigures) -> dict[str, Any]:
    """One cut, flat: SI figures, medians over repeats; None where it was not run."""
    found: dict[str, Any] = {
        "cut": split.number,
        "after": split.after,
        "first": split.units[0],
        "second": split.units[1],
        "bytes": split.bytes,
        "window": split.window,
        "items": split.items,
        "repeats": len(split.repeats),
    }
    ran = bool(split.repeats)
    network_s = split.median_s("network_s") if ran else None
    found |= {
        "first_s": split.median_s("first_s") if ran else None,
        "second_s": split.median_s("second_s") if ran else None,
        "network_s": network_s,
        "network_bytes_per_s": split.bytes / network_s if network_s else None,
        "latency_s": split.latency_s if ran else None,
        "period_s": split.period_s if ran else None,
        "throughput_items_per_s": split.throughput_items_per_s if ran else None,
        "sequential_items_per_s": 1 / split.median_s("sequential_period_s") if ran else None,
        "gain": split.gain if ran else None,
        "gain_by_overlap": split.overlap if ran else None,
        "predicted_latency_s": split.twin.latency_s,
        "predicted_period_s": split.twin.period_s,
    }
    said = {"skipped": split.skipped, "failure": split.failure}
    return {**found, "provenance": split.provenance, "outputs_match": split.outputs_match, **said}


def split_json(split: SplitFigures) -> dict[str, Any]:
    """The same with every repeat."""
    return {**split_keys(split), "each": split.repeats, "twin": split.twin, "tensors": split.tensors}


def front_json(found: SplitFront) -> dict[str, Any]:
    """The keys that `shoal pareto --json` promises, and that stand in front.json."""
    return {
        "model": found.model,
        "front": [split_keys(each) for each in found.best],
        "best_latency": found.best[0].number if found.best else None,
        "best_throughput": found.best[-1].number if found.best else None,
        "knee": None if found.knee is None else found.splits[found.knee].number,
        "hypervolume_s2": found.hypervolume,
        "reference_s": list(found.reference),
        "splits": [split_keys(each) for each in found.splits],
        "notes": list(found.notes),
    }


def csv_text(found: SplitFront) -> str:
    """One line for each cut; the column `front` says whether it is on it."""
    text = io.StringIO()
    rows = [{**split_keys(each), "front": place in found.front} for place, each in enumerate(found.splits)]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def print_splits(found: SplitFront, console: Console | None = None) -> None:
    """The cuts as a table, those on the front marked."""
    out = console or Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    heads = ("", "cut", "after", "crosses", "latency", "predicted", "items/s", "predicted")
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place in (0, 2) else "right", no_wrap=True, overflow="ellipsis")
    for place in _listed(found):
        table.add_row(*_cells(found, place))
    out.print(Padding(table, (0, 0, 1, 0)))
    left = len(found.splits) - len(_listed(found))
    facts = [f"{left} more cuts in the files"] * bool(left) + list(_facts(found))
    out.print("\n".join(facts), soft_wrap=True, markup=False)


def write_splits_page(found: SplitFront, path: Path, lead: str = "") -> None:
    """Write the page: the plane of latency and throughput, then all cuts.

    Raises:
        InputError: the file cannot be written.
    """
    drawn = Charts()
    facts = "".join(f"<li>{text(fact)}</li>" for fact in _facts(found))
    body = "".join(
        (
            f'<header><p class="eyebrow">shoal pareto</p><h1>{text(found.model)}</h1>'
            f'<p class="facts">{text(lead)}</p></header>',
            section(
                "Where to cut",
                drawn.place(plane(found), "Cuts by latency and throughput"),
                "Each point is a cut, by its number; up and to the left is better. The line joins those that no "
                "other beats in both.",
            ),
            section("All cuts", _page_table(found)),
            section("Notes", f"<ul>{facts}</ul>"),
        )
    )
    codec.write_bytes(document(f"{found.model}: where to cut", body, drawn).encode(), path)


def plane(found: SplitFront) -> Chart | None:
    """Latency and throughput of the cuts that ran, with their front."""
    ran = [each for each in found.splits if each.done]
    if not ran:
        return None
    factor, unit = scale(max(each.latency_s for each in ran))
    others = [each for place, each in enumerate(found.splits) if each.done and place not in found.front]
    data = [_points(others, "beaten", factor, MUTED, "markers"), _points(found.best, "front", factor, COLOURS[0])]
    if found.knee is not None:
        knee = _points([found.splits[found.knee]], "best compromise", factor, ACCENT, "markers")
        data.append(
            {**knee, "marker": {"symbol": "circle-open", "size": 20, "color": ACCENT, "line": {"width": 2.5}}}
        )
    frame = layout(
        420,
        xaxis=axis(f"latency of one item alone, {unit}"),
        yaxis=axis("throughput, items/s"),
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return {"data": data, "layout": frame}


def _points(
    splits: Sequence[SplitFigures], name: str, factor: float, colour: str, mode: str = "lines+markers"
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": mode,
        "name": name,
        "x": [each.latency_s * factor for each in splits],
        "y": [each.throughput_items_per_s for each in splits],
        "hovertext": [
            f"<b>cut {each.number}</b> after {label(each.after)}<br>{quantity(each.bytes, 'B')} cross"
            for each in splits
        ],
        "hoverinfo": "text",
        "marker": {"color": colour, "size": 8},
        "line": {"color": colour, "width": 2},
    }


def _listed(found: SplitFront) -> list[int]:
    """The places shown in the terminal: all, or the front and the first others."""
    if len(found.splits) <= SHOWN:
        return list(range(len(found.splits)))
    others = [place for place in range(len(found.splits)) if place not in found.front]
    return sorted((*found.front, *others[: max(0, SHOWN - len(found.front))]))


def _cells(found: SplitFront, place: int) -> tuple[str, ...]:
    split = found.splits[place]
    mark = "▶" if place == found.knee else "•" if place in found.front else ""
    ran = bool(split.repeats)
    return (
        mark,
        str(split.number),
        plain(split.after),
        quantity(split.bytes, "B"),
        quantity(split.latency_s, "s") if ran else ABSENT,
        quantity(split.twin.latency_s, "s"),
        quantity(split.throughput_items_per_s, "items/s") if ran else ABSENT,
        quantity(1 / split.twin.period_s, "items/s") if split.twin.period_s else ABSENT,
    )


def _page_table(found: SplitFront) -> str:
    heads = "".join(f"<th>{head}</th>" for head in (
        "cut", "after", "first", "second", "crosses", "latency", "predicted", "throughput", "predicted",
        "first part", "second part", "network", "gain", "by overlap", "",
    ))  # fmt: skip
    rows = "".join(_page_row(found, place) for place in range(len(found.splits)))
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _page_row(found: SplitFront, place: int) -> str:
    split, keys = found.splits[place], split_keys(found.splits[place])
    _, number, after, *figures = _cells(found, place)
    ratios = [ABSENT if keys[name] is None else f"{keys[name]:.2f}×" for name in ("gain", "gain_by_overlap")]
    cells = (
        number, after, *split.units, *figures, *(quantity(keys[name], "s") for name in _PARTS), *ratios,
        split.skipped or split.failure or ("front" if place in found.front else ""),
    )  # fmt: skip
    return "<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in cells) + "</tr>"


_PARTS = ("first_s", "second_s", "network_s")


def _facts(found: SplitFront) -> list[str]:
    """Sentences about the whole."""
    ran = [each for each in found.splits if each.done]
    facts = [f"{plural(len(found.splits), 'cut')}, {len(ran)} run, {len(found.front)} on the front"]
    if found.best:
        knee = found.splits[found.knee or 0]
        facts.append(
            f"quickest: cut {found.best[0].number}; most items: cut {found.best[-1].number}; best compromise: cut "
            f"{knee.number}; hypervolume {found.hypervolume:.3g} s² up to {quantity(found.reference[0], 's')}, "
            f"{quantity(found.reference[1], 's')}"
        )
        same = sum(each.outputs_match is True for each in ran)
        facts.append(f"{same} of {len(ran)} answer like the undivided network; figures are {ran[0].provenance}")
    facts += found.notes
    facts += [f"cut {each.number} was left out: {each.skipped}" for each in found.splits if each.skipped]
    facts += [f"cut {each.number} failed: {each.failure}" for each in found.splits if each.failure]
    return facts
