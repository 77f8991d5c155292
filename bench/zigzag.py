"""Cycles of the systolic array beside zigzag's for the same array, on five layers of real networks.

    python -m bench.zigzag [--python PYTHON] [--sums 1]

zigzag-dse runs in a process of its own, under an interpreter that has it (`--python`, or SHOAL_ZIGZAG_PYTHON). It is
told the machine's own figures: rows × columns of multiply-adds that pass operands on, a sum in each, one buffer, one
memory port that all share; places of the output lie on rows, filters on columns, and a row of sums leaves in a cycle.
The order of loops and what stays in the buffer is zigzag's to find, for the least latency. With `--sums 2` the next tile
begins while the last one's sums leave.

Shown are cycles of both and their ratio; bytes over the memory's port; then causes: of shoal the array and the port,
the longer of which decides, of zigzag what its sum is made of.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import Any, Protocol

from bench import LACKING
from shoal.machines.accelerators.contract import Call, Operand
from shoal.machines.accelerators.systolic import SUM_BYTES, Systolic

PEER = Path(__file__).parent / "peers" / "zigzag_cycles.py"
INSTALL = "pip install zigzag-dse six"
PATIENCE_S = 600
AIM = 0.15
BYTE = 8  # bits
PARTS = ("computing", "stalls", "loading", "storing", "draining")
OPERANDS = {"O": "O", "W": "I2", "I": "I1"}  # zigzag's names of a layer's, and of memories'


class Layer(Protocol):
    """An op with its sizes, for both."""

    @property
    def name(self) -> str:
        """Where it stands."""

    @property
    def call(self) -> Call:
        """As shoal's machines take it."""

    @property
    def loops(self) -> Mapping[str, Any]:
        """As zigzag takes it, without what all layers share."""

    @property
    def places(self) -> Mapping[str, int]:
        """The loops over places of the output, which lie on the array's rows."""


@dataclass(frozen=True)
class Conv:
    """A square convolution of stride one whose output is as large as its input."""

    name: str
    channels: int
    filters: int
    kernel: int
    side: int

    @property
    def call(self) -> Call:
        """See `Layer.call`."""
        shapes = ((1, self.channels, self.side, self.side), (self.filters, self.channels, self.kernel, self.kernel),
                  (1, self.filters, self.side, self.side))  # fmt: skip
        return _call("Conv", *shapes, pads=[self.kernel // 2] * 4)

    @property
    def loops(self) -> Mapping[str, Any]:
        """See `Layer.loops`."""
        sizes = {"B": 1, "K": self.filters, "C": self.channels, "OY": self.side, "OX": self.side,
                 "FY": self.kernel, "FX": self.kernel}  # fmt: skip
        return {
            "operator_type": "Conv",
            "equation": "O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
            "dimension_relations": ["ix=1*ox+1*fx", "iy=1*oy+1*fy"],
            "loop_dims": list(sizes),
            "loop_sizes": list(sizes.values()),
            "pr_loop_dims": ["IX", "IY"],
            "pr_loop_sizes": [self.side, self.side],
            "padding": [[self.kernel // 2] * 2] * 2,
        }

    @property
    def places(self) -> Mapping[str, int]:
        """See `Layer.places`."""
        return {"OX": self.side, "OY": self.side}


@dataclass(frozen=True)
class Gemm:
    """(rows, inner) by (inner, columns)."""

    name: str
    rows: int
    inner: int
    columns: int

    @property
    def call(self) -> Call:
        """See `Layer.call`."""
        return _call("MatMul", (self.rows, self.inner), (self.inner, self.columns), (self.rows, self.columns))

    @property
    def loops(self) -> Mapping[str, Any]:
        """See `Layer.loops`."""
        return {
            "operator_type": "Gemm",
            "equation": "O[b][k]+=W[k][c]*I[b][c]",
            "dimension_relations": [],
            "loop_dims": ["B", "K", "C"],
            "loop_sizes": [self.rows, self.columns, self.inner],
        }

    @property
    def places(self) -> Mapping[str, int]:
        """See `Layer.places`."""
        return {"B": self.rows}


LAYERS: tuple[Layer, ...] = (
    Conv("ResNet-50, 3×3, 64→64, 56×56", 64, 64, 3, 56),
    Conv("ResNet-50, 1×1, 256→64, 56×56", 256, 64, 1, 56),
    Conv("ResNet-50, 3×3, 512→512, 7×7", 512, 512, 3, 7),
    Gemm("VGG, 25088→4096, one picture", 1, 25088, 4096),
    Gemm("MiniLM, 384→1536, 128 tokens", 128, 384, 1536),
)


def hardware(machine: Systolic, sums: int = 1) -> dict[str, Any]:
    """The machine in zigzag's terms: sizes in bits, ports in bits a cycle; energies, which nobody asks for, are none."""
    memory_bits = round(machine.memory_bytes_per_s / machine.clock_hz * BYTE)
    across, down, row_of_sums = machine.rows * BYTE, machine.columns * BYTE, machine.columns * SUM_BYTES * BYTE
    one = SUM_BYTES * BYTE
    return {
        "name": "systolic",
        "memories": {
            "passed_across": _memory(BYTE, {"read": (BYTE, "I1 tl"), "write": (BYTE, "I1 fh")}, shared=False),
            "passed_down": _memory(BYTE, {"read": (BYTE, "I2 tl"), "write": (BYTE, "I2 fh")}, shared=False),
            "sums": _memory(sums * one, {"read": (one, "O tl"), "write": (one, "O fl"), "read 2": (one, "O th"),
                                         "write 2": (one, "O fh")}, shared=False),
            "buffer": _memory(machine.buffer_bytes * BYTE, {
                "read": (across, "I1 tl"), "read 2": (down, "I2 tl"), "read 3": (row_of_sums, "O tl"),
                "read 4": (memory_bits, "O th"), "write": (memory_bits, "I1 fh", "I2 fh", "O fh"),
                "write 2": (row_of_sums, "O fl")}),
            "memory": _memory(machine.memory_bytes * BYTE, {
                "read_write": (memory_bits, *(f"{each} {way}" for each in ("I1", "I2") for way in ("fh", "tl")),
                               *(f"O {way}" for way in ("fh", "tl", "fl", "th")))}),
        },
        "operational_array": {
            "unit_energy": 0.0,
            "unit_area": 0.0,
            "dimensions": ["D1", "D2"],
            "sizes": [machine.rows, machine.columns],
            "systolic_dimensions": ["D1", "D2"],
        },
    }  # fmt: skip


def mapping(layer: Layer, machine: Systolic) -> list[dict[str, Any]]:
    """Places on rows, in the shape that makes fewest tiles; filters on columns."""
    ways = itertools.product(*(range(1, min(size, machine.rows) + 1) for size in layer.places.values()))
    fitting = [way for way in ways if prod(way) <= machine.rows]
    best = min(fitting, key=lambda way: (_tiles(layer, way), -way[0]))
    on_rows = [f"{loop}, {count}" for loop, count in zip(layer.places, best, strict=True)]
    columns = min(machine.columns, layer.call.outputs[0].shape[1])
    spatial = {"D1": on_rows, "D2": [f"K, {columns}"]}
    return [{"name": "default", "spatial_mapping": spatial, "memory_operand_links": OPERANDS}]


def workload(layer: Layer) -> list[dict[str, Any]]:
    """The layer, alone: eight bits in, sums out."""
    precision = {"W": BYTE, "I": BYTE, "O": SUM_BYTES * BYTE, "O_final": SUM_BYTES * BYTE}
    shared = {"id": 0, "name": "layer", "operand_precision": precision, "operand_source": {"W": 0, "I": 0}}
    return [{**shared, **layer.loops}]


def zigzag(layer: Layer, machine: Systolic, python: str, sums: int = 1) -> dict[str, float]:
    """Cycles by cause, from a process of `python`."""
    with tempfile.TemporaryDirectory() as folder:
        described = {
            "hardware": hardware(machine, sums),
            "mapping": mapping(layer, machine),
            "workload": workload(layer),
        }
        for name, value in described.items():  # JSON is YAML
            (Path(folder) / f"{name}.yaml").write_text(json.dumps(value, indent=1))
        command = [python, "-I", str(PEER), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, cwd=folder)
    if "ModuleNotFoundError" in done.stderr:
        print(
            f"not compared: {python} cannot run zigzag; there: {INSTALL}, or name another interpreter by --python"
        )
        sys.exit(LACKING)
    if done.returncode:
        raise SystemExit(f"zigzag failed with code {done.returncode} on {layer.name}:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(python: str, sums: int) -> bool:
    """A row a layer; whether all agree."""
    machine, agreed = Systolic(), 0
    print(f"{'layer':<32}{'shoal':>10}{'zigzag':>10}{'ratio':>7}{'bytes':>12}{'zigzag':>12}{'array':>10}{'port':>10}  "
          + "".join(f"{part:>10}" for part in PARTS))  # fmt: skip
    for layer in LAYERS:
        theirs = zigzag(layer, machine, python, sums)
        ours = machine.run(machine.compiled(layer.call))
        ratio = ours.cycles / theirs["cycles"]
        agreed += abs(ratio - 1) <= AIM
        ends = "".join(f"{span.end:>10,}" for span in ours.trace)
        print(f"{layer.name:<32}{ours.cycles:>10,}{theirs['cycles']:>10,.0f}{ratio:>7.3f}{ours.counters['dram']:>12,}"
              f"{theirs['port_bytes']:>12,.0f}{ends}  {''.join(f'{theirs[part]:>10,.0f}' for part in PARTS)}",
              flush=True)  # fmt: skip
    print(f"within {AIM:.0%}: {agreed} of {len(LAYERS)}")
    return agreed == len(LAYERS)


def main() -> None:
    """Compare; the status says whether all layers agree."""
    parser = argparse.ArgumentParser(description="the systolic array beside zigzag")
    parser.add_argument("--python", default=os.environ.get("SHOAL_ZIGZAG_PYTHON", sys.executable),
                        help="an interpreter that has zigzag-dse")  # fmt: skip
    parser.add_argument("--sums", type=int, choices=(1, 2), default=1, help="that a multiply-add holds")
    options = parser.parse_args()
    sys.exit(not compare(options.python, options.sums))


def _call(
    kind: str, left: tuple[int, ...], right: tuple[int, ...], out: tuple[int, ...], **attributes: Any
) -> Call:
    inputs = (Operand("x", "float32", left), Operand("w", "float32", right))
    return Call("y", kind, inputs, (Operand("y", "float32", out),), attributes)


def _tiles(layer: Layer, way: tuple[int, ...]) -> int:
    return prod(ceil(size / count) for size, count in zip(layer.places.values(), way, strict=True))


def _memory(bits: int, ports: Mapping[str, tuple[Any, ...]], *, shared: bool = True) -> dict[str, Any]:
    """Ports by kind, each with its width and, by operand, which way it goes (to or from what is higher or lower)."""
    made = []
    for key, (width, *ways) in ports.items():
        kind, _, number = key.partition(" ")
        short = {"read": "r", "write": "w", "read_write": "rw"}[kind]
        made.append({"name": f"{short}_port_{number or 1}", "type": kind, "bandwidth_min": min(width, BYTE),
                     "bandwidth_max": width, "allocation": [way.replace(" ", ", ") for way in ways]})  # fmt: skip
    operands = sorted({way.split()[0] for _, *ways in ports.values() for way in ways})
    unpriced = {"r_cost": 0.0, "w_cost": 0.0, "area": 0.0, "latency": 1}
    served = ["D1", "D2"] if shared else []
    return {"size": bits, **unpriced, "operands": operands, "ports": made, "served_dimensions": served}


if __name__ == "__main__":
    main()
