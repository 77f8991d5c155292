"""A network over three boards in a few lines: plan, simulate, run, and a page that shows both.

    python -m examples.quickstart

What it prints is in quickstart.out, where … stands for figures that vary.
"""

from pathlib import Path

from examples.models import light
from shoal import fleet, graph, plan, report, run
from shoal.plan.costs import costs_of
from shoal.run.simulated import simulated

if __name__ == "__main__":
    model = light.seeded("squeezenet")  # or any ONNX file
    network = graph.load(model)
    print(f"{network.name}: {len(network.ops)} ops, {len(graph.cuts(network))} legal cuts")

    boards = fleet.load(Path(__file__).parent / "fleets" / "three_boards.toml")
    reference = plan.ModelRef(network.name, str(model), network.sha256)
    front = plan.search(network, reference, boards, costs_of(network, boards), plan.Wishes())
    best = front.plan
    print(f"best of {len(front.plans)} plans: {' → '.join(best.units)}")
    print(f"predicted: {best.prediction.throughput_items_per_s:.1f} items/s", *best.reasons, sep="\n  ")

    forecast = simulated(best, items=32)
    result = run.execute(best, run.Settings(items=32))
    print("on this machine, outputs match:", result.run.outputs_match)

    page = Path("quickstart.html")
    report.write_html([forecast, result.run], page)
    print(f"the simulated and the measured run are in {page}")
