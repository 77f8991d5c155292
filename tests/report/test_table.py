import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from shoal.record import Run
from shoal.report import print_table


def printed(run: Run, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO(), color_system=None)
    print_table(run, console)
    return console.export_text()


@pytest.mark.parametrize("width", [100, 80])
def test_lines_fit_and_figures_stand_beside_their_prediction(run: Run, width: int) -> None:
    text = printed(run, width)
    assert max(map(len, text.splitlines())) <= width
    line = next(line for line in text.splitlines() if "latency p50" in line)
    assert line.split() == ["latency", "p50", "139", "ms", "151", "ms", "+8.3", "%", "emulated"]
    memory = next(line for line in text.splitlines() if "resident memory" in line)
    assert memory.split() == ["resident", "memory", "96", "MiB", "188", "MiB", "141", "MiB", "measured"]


@pytest.mark.parametrize("width", [100, 80, 60])
def test_odd_runs_fit_too(odd_run: Run, width: int) -> None:
    text = printed(odd_run, width)
    assert max(map(len, text.splitlines())) <= max(width, 76)
    assert odd_run.model in text
    assert not re.search(r"\b(nan|None)\b", text)


def test_names_are_neither_markup_nor_commands(run: Run) -> None:
    text = printed(replace(run, model="[red]x[/red]\x1b[2J", notes=("[bold]n",)), 100)
    assert "[red]x[/red]" in text
    assert "[bold]n" in text
    assert "\x1b" not in text


def test_long_names_keep_what_tells_them_apart(run: Run) -> None:
    devices = {f"a-board-with-a-very-long-name-{i}": run.devices["pi-0"] for i in range(9)}
    text = printed(replace(run, devices=devices), 80)
    assert all(f"name-{i}" in text for i in range(9))
