"""Read the text in a picture with three networks, each divided over two processes that stay ready.

    python -m examples.ocr [IMAGE]

Without IMAGE a photographed page is read. Finding the lines, turning them upright and spelling them are networks of
their own, so each gets a plan and workers of its own, kept open while the many small pieces of the picture pass.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from examples.models import ocr, photos
from shoal import fleet, graph, plan, run
from shoal.errors import InputError, ShoalError
from shoal.plan.costs import costs_of

FLEET = Path(__file__).parent / "fleets" / "two_cores.toml"


def plans(machines: fleet.Fleet) -> dict[str, plan.Plan]:
    """A plan for each of the three networks, half of its work on each machine."""
    found = {}
    for name, path in ocr.models().items():
        shapes = {ocr.INPUT: ocr.SHAPES[name]}
        network = graph.load(path, shapes)
        reference = plan.ModelRef(name, str(path), network.sha256, shapes)
        wishes = plan.Wishes(shares=(1.0,) * len(machines.devices), engines=("onnxruntime",))
        costs = costs_of(network, machines, measure=False)
        found[name] = plan.search(network, reference, machines, costs, wishes).plan
    return found


@contextmanager
def divided(machines: fleet.Fleet, settings: run.Settings | None = None) -> Iterator[ocr.Run]:
    """What `examples.models.ocr.read` runs networks with: workers of all three, ready until the block ends."""
    with ExitStack() as stack:
        calls = {name: stack.enter_context(run.opened(each, settings)) for name, each in plans(machines).items()}

        def call(name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
            (output,) = calls[name]({ocr.INPUT: array}).values()
            return output

        yield call


def main(arguments: list[str]) -> int:
    """Print the lines of text in a picture; returns the exit code."""
    path = Path(arguments[0]) if arguments else photos.page()
    try:
        image = Image.open(path).convert("RGB")
    except OSError as fault:
        raise InputError(f"cannot read a picture: {fault}", where=str(path)) from fault
    with divided(fleet.load(FLEET)) as call:
        for line in ocr.read(image, call):
            print(line)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ShoalError as fault:
        sys.stderr.write(f"error: {fault.message}\n")
        sys.exit(fault.exit_code)
