from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from shoal.cost.models.roofline import Roofline
from shoal.graph import Graph
from shoal.plan import Front, ModelRef, Objective, Wishes, search
from shoal.plan.show import front_json, print_front
from tests.plan.toys import MIB, device, fleet, light_graph


@pytest.fixture(scope="module")
def squeezenet() -> Graph:
    return light_graph("squeezenet")


@pytest.fixture(scope="module")
def front(squeezenet: Graph) -> Front:
    machines = fleet(*(device(name, gflops) for name, gflops in (("pi-0", 10), ("pi-1", 10), ("nano", 25))))
    machines = replace(
        machines, devices=tuple(replace(each, board="raspberry-pi-4b-4gb") for each in machines.devices)
    )
    asked = Wishes(objective=Objective(("throughput",), memory_limit_bytes=200 * MIB))
    costs = Roofline().over(squeezenet, machines, ())
    return search(squeezenet, ModelRef("light_squeezenet", "x.onnx", ""), machines, costs, asked)


def printed(graph: Graph, front: Front, columns: int) -> str:
    out = io.StringIO()
    print_front(graph, front, Path("plan"), Console(file=out, width=columns, color_system=None, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("columns", [80, 120])
def test_the_preview_fits_and_nothing_is_cut_off(squeezenet: Graph, front: Front, columns: int) -> None:
    text = printed(squeezenet, front, columns)
    assert "…" not in text.replace(" … ", "")
    assert max(len(line) for line in text.splitlines()) <= columns
    for word in (
        *("Who runs what", "What each device gives", "Why", "The front", "items/s"),
        *(
            "raspberry-pi-4b-4gb",
            "onnxruntime",
            "200 MiB",
            "J/item",
            "max memory",
            "(exact)",
            "figures are predicted",
        ),
    ):
        assert word in text, word
    assert text.count("▶") == 1
    assert text.splitlines()[0] == "light_squeezenet: 65 ops, 0.35 G multiply-accumulates, 4.71 MiB of weights"


def test_long_reasons_hang_under_their_bullet(squeezenet: Graph, front: Front) -> None:
    lines = printed(squeezenet, front, 80).splitlines()
    start = lines.index("Why") + 1
    block = lines[start : lines.index("", start) if "" in lines[start:] else start + 4]
    assert block[0].startswith(" • ")
    assert all(line.startswith((" • ", "   ")) for line in block if line.strip())
    assert any(line.startswith("   ") for line in block)


def test_names_with_brackets_are_no_markup(squeezenet: Graph, front: Front) -> None:
    odd = replace(front.plan, reasons=("cut after 'conv[bold]': [/] stays",), model=ModelRef("[red]x", "", ""))
    text = printed(squeezenet, Front((odd,), 0, exact=False), 120)
    assert "cut after 'conv[bold]': [/] stays" in text
    assert text.startswith("[red]x: ")
    assert "The front" not in text  # one plan is no front


def test_the_keys_for_machines(front: Front) -> None:
    found = front_json(front)
    assert found["chosen"] == front.chosen
    assert len(found["front"]) == len(front.plans)
    shown = found["front"][front.chosen]
    assert list(shown) == [
        "latency_s",
        "throughput_items_per_s",
        "energy_j",
        "memory_bytes",
        "strategy",
        "placement",
    ]
    assert set(shown["energy_j"]) == set(shown["memory_bytes"]) == {u.partition("/")[0] for u in shown["placement"]}
    assert sum(len(ops) for ops in shown["placement"].values()) == 65
