"""Name what is on six photos with EfficientNet-Lite0 divided over a drawer of four unlike boards.

    python -m examples.demo [FOLDER]

The boards are emulated: each is a process of its own that really computes its part and is paced to its board, and
so are the links. The answers are the network's own; the figures are labelled `emulated`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from examples.models import efficientnet_lite0, photos
from shoal import codec, fleet, graph, plan, report, run
from shoal.plan.costs import costs_of
from shoal.plan.show import print_front

FLEET = Path(__file__).parent / "fleets" / "drawer.toml"
ITEMS = 48


def main(folder: Path) -> int:
    """Plan, run, name the photos, write plan, run and report to `folder`; returns the exit code."""
    out = Console(highlight=False)
    out.print("[bold]1. The network and the drawer[/]")
    model = efficientnet_lite0.model()
    network = graph.load(model)
    boards = fleet.load(FLEET)
    names = ", ".join(f"{device.name} ({device.board})" for device in boards.devices)
    out.print(f"EfficientNet-Lite0 with its ImageNet weights; one core of each of {names}\n")
    reference = plan.ModelRef(network.name, str(model), network.sha256)

    out.print("[bold]2. Who runs what[/] (the ops are timed here first and scaled to the boards)")
    with out.status("timing the ops, searching for plans"):
        costs = costs_of(network, boards)
        front = plan.search(network, reference, boards, costs, plan.Wishes(engines=("onnxruntime",)))
    codec.save(front.plan, folder / "plan.json")
    print_front(network, front, folder, out)

    out.print("\n[bold]3. Run it[/] (one process a board, paced to it; slower than the boards if need be)")
    pictures = photos.photos()
    samples = run.Samples(tuple({"image": _pixels(picture.path)} for picture in pictures))
    with out.status(f"{ITEMS} items over {len(front.plan.units)} emulated boards"):
        result = run.execute(front.plan, run.Settings(items=ITEMS, emulate=True), samples)
    if result.failure or result.answers is None:
        sys.stderr.write(f"error: {result.failure}\n")
        return 1
    named = _name(pictures, [result.answers[item]["logits"] for item in range(len(pictures))], out)
    out.print()
    report.print_table(result.run, out)

    codec.save(result.run, folder / "run.json")
    report.write_html([result.run], folder / "report.html")
    out.print(f"\nopen {folder}/report.html; plan and run are beside it")
    return 0 if named and result.run.outputs_match else 1


def _pixels(path: Path) -> NDArray[Any]:
    with Image.open(path) as image:
        return efficientnet_lite0.preprocess(image)


def _name(pictures: Sequence[photos.Photo], logits: Sequence[NDArray[Any]], out: Console) -> bool:
    """Print what the network says is on each photo; whether all are right."""
    names = efficientnet_lite0.class_names()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("photo", "the network says", "sure"):
        table.add_column(column)
    right = True
    for picture, row in zip(pictures, logits, strict=True):
        index, probability = efficientnet_lite0.best(row, 1)[0]
        right &= index in picture.accepted
        table.add_row(picture.name, names[index], f"{probability:.0%}")
    out.print(table)
    return right


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo")))
