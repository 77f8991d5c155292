"""ZigZag's least cycles for one layer on one machine, both described in a folder.

Run by path, with any interpreter that has zigzag-dse and six (it imports nothing of shoal):

    python -I bench/peers/zigzag_cycles.py FOLDER

FOLDER holds hardware.yaml, workload.yaml and mapping.yaml, whose spatial mapping is fixed; the order of loops and what
stays in which memory is zigzag's to find. Prints one line of JSON. What zigzag itself keeps goes to FOLDER/kept.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import yaml
from zigzag.api import get_hardware_performance_zigzag
from zigzag.datatypes import LayerOperand


def main(folder: Path) -> None:
    """The search, then cycles by cause and what crosses the port of the outermost memory."""
    logging.disable(logging.CRITICAL)
    described = [str(folder / name) for name in ("workload.yaml", "hardware.yaml", "mapping.yaml")]
    found = get_hardware_performance_zigzag(
        *described, opt="latency", dump_folder=str(folder / "kept"), loma_show_progress_bar=False
    )
    best = found[2][0][1][0][0]  # of all results the first layer's only one
    memories = yaml.safe_load((folder / "hardware.yaml").read_text())["memories"]
    port_bits = list(memories.values())[-1]["ports"][0]["bandwidth_max"]
    words = sum(sum(best.memory_word_access[LayerOperand(name)][-1].data.values()) for name in "IWO")
    parts = {
        "cycles": best.latency_total2,
        "computing": best.ideal_temporal_cycle,
        "stalls": best.stall_slack_comb,
        "loading": best.data_onloading_cycle,
        "storing": best.data_offloading_cycle,
        "draining": best.systolic_drain_cycle,
        "port_bytes": words * port_bits / 8,
    }
    print(json.dumps({name: float(value) for name, value in parts.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
