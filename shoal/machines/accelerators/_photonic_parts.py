"""What the parts of a photonic core take: events by the table of energies, components by that of areas, light by its losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2

from shoal.errors import InputError
from shoal.machines._area import area
from shoal.machines._bill import Price
from shoal.machines._energy import energy, energy_table

NODE_NM = 45  # of digital parts and of the converters of the survey
UNTOLD_NM = 0  # of devices for light and of their drivers
ADC_NODES_NM = {"survey": NODE_NM, "lightening": UNTOLD_NM}
DEVICES = ("lightening", "albireo")
WORD_BYTES = 8  # of the table's memories
ENTRY_BYTES = 2  # of a result in the queue: which one of which shot
MAC_REGISTER_BITS = 8 + 8 + 32
PUBLISHED_BITS = 8  # of the converters that others are scaled from


@dataclass(frozen=True)
class Parts:
    """Which published devices a core is made of.

    An exponent that is not zero scales a converter from that of eight bits, by so many powers of two for each bit;
    else the table's row of its bits counts.

    Raises:
        InputError: unknown devices or converters.
    """

    devices: str
    adc: str
    energy_exponent: float
    area_exponent: float

    def __post_init__(self) -> None:
        for name, known in (("devices", DEVICES), ("adc", ADC_NODES_NM)):
            if getattr(self, name) not in known:
                raise InputError(f"no {name} '{getattr(self, name)}'", where="photonic_attention",
                                 needed=" or ".join(known))  # fmt: skip

    def conversion(self, bits: int) -> Price:
        """One value from analogue to a number; never less than thermal noise allows."""
        item, node = f"adc {self.adc}", ADC_NODES_NM[self.adc]
        floor = (4.0**bits, energy("adc thermal floor", "convert", 1, UNTOLD_NM))
        if self.energy_exponent:
            row = energy(item, "convert", PUBLISHED_BITS, node)
            scaled = (2.0 ** (self.energy_exponent * (bits - PUBLISHED_BITS)), row)
        else:
            scaled = (1.0, energy(item, "convert", bits, node))
        return (max(scaled, floor, key=lambda price: price[0] * price[1].energy_j),)

    def conversion_mm2(self, bits: int) -> float:
        """One converter."""
        node = ADC_NODES_NM[self.adc]
        if self.area_exponent:
            scaled: float = 2.0 ** (self.area_exponent * (bits - PUBLISHED_BITS))
            return scaled * area(f"adc {self.adc} {PUBLISHED_BITS} bits", node).area_mm2
        return area(f"adc {self.adc} {bits} bits", node).area_mm2

    def prices(self, operand_bits: int, converter_bits: int) -> dict[str, Price]:
        """Of every event of the machine. What a device holds is counted in nanoseconds."""
        sram = energy("sram 8 KB", "read", 64, NODE_NM)
        dac = 2.0 ** (operand_bits - PUBLISHED_BITS)
        return {
            "dac": ((dac, energy(f"{self.devices} dac", "convert", PUBLISHED_BITS, UNTOLD_NM)),),
            "modulator": self._device("modulator", "symbol"),
            "modulators_ns": self._device("modulator", "hold"),
            "receiver": self._device("receiver", "sample"),
            "receivers_ns": self._device("receiver", "hold"),
            "adc": self.conversion(converter_bits),
            "comparator": ((1.0, energy("comparator", "compare", 1, NODE_NM)),),
            "sum": ((1.0, energy("int", "add", 32, NODE_NM)),),
            "mac": ((1.0, energy("int", "mul", 8, NODE_NM)), (1.0, energy("int", "add", 32, NODE_NM))),
            "queue": ((2 * ENTRY_BYTES / WORD_BYTES, sram),),  # written and read
            "operand": ((1 / WORD_BYTES, sram),),
            "buffer": ((1 / WORD_BYTES, energy("sram 1 MB", "read", 64, NODE_NM)),),
            "dram": ((1 / WORD_BYTES, energy("dram", "read", 64, NODE_NM)),),
        }

    def device_mm2(self, name: str) -> float:
        """One "dac", "modulator", "engine", "amplifier" or "laser"."""
        return area(f"{self.devices} {name}", UNTOLD_NM).area_mm2

    def _device(self, name: str, op: str) -> Price:
        """The rows that a source gives for an event: none if it has its device spend nothing so."""
        return tuple((1.0, row) for row in energy_table() if (row.item, row.op) == (f"{self.devices} {name}", op))


def mac_mm2() -> float:
    """A multiply-add of whole numbers of eight bits with its registers."""
    parts = area("int mul 8", NODE_NM).area_mm2 + area("int add 32", NODE_NM).area_mm2
    return parts + registers_mm2(MAC_REGISTER_BITS)


def registers_mm2(bits: int) -> float:
    """Flip-flops."""
    return bits * area("register", NODE_NM).area_mm2


def comparator_mm2() -> float:
    """One of the two that tell whether a result is small."""
    return area("comparator", NODE_NM).area_mm2


def sram_mm2(size_bytes: int) -> float:
    """A memory on the die."""
    return 8 * size_bytes * area("sram bit", NODE_NM).area_mm2


def laser_w(engines: int, most: int, levels: int, detector_w: float, losses_mdb: Mapping[str, int],
            efficiency: float) -> float:  # fmt: skip
    """What the laser of a core takes from its supply.

    Each engine needs `levels` times what a detector can tell from nothing, behind a modulator, two ring filters, a
    tree of splitters to `most` engines, and the engine's own splitter, phase shifter and coupler. That the light is
    shared out is in the number of engines.
    """
    splitters = ceil(log2(most)) + 1 if most > 1 else 1
    lost = (losses_mdb["modulator"] + 2 * losses_mdb["filter"] + splitters * losses_mdb["splitter"]
            + losses_mdb["shifter"] + losses_mdb["coupler"])  # fmt: skip
    return float(engines * levels * detector_w * 10 ** (lost / 10_000) / efficiency)
