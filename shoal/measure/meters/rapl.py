"""The processor's own energy counters, where the system shows them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = re.compile(r"[a-z-]*rapl:\d+")  # whole packages; their parts ("intel-rapl:0:1") are within


@dataclass(frozen=True)
class Rapl:
    """Joules of all processor packages, everything on them included. [Intel SDM vol. 3B, 15.10; Linux powercap]"""

    root: str = "/sys/class/powercap"  # where the system lists its power zones

    @property
    def available(self) -> bool:
        """Whether there is a counter that may be read; many systems let only root."""
        return bool(self._counters())

    def start(self) -> RaplReading:
        """See `Meter.start`."""
        return RaplReading(tuple((folder, _number(folder / "energy_uj")) for folder in self._counters()))

    def _counters(self) -> list[Path]:
        root = Path(self.root)
        found = sorted(root.iterdir()) if root.is_dir() else []
        zones = [folder for folder in found if _PACKAGE.fullmatch(folder.name)]
        return [folder for folder in zones if os.access(folder / "energy_uj", os.R_OK)]


@dataclass(frozen=True)
class RaplReading:
    """Microjoules of each counter at the start."""

    began: tuple[tuple[Path, int], ...]

    def stop(self) -> float | None:
        """See `Reading.stop`. A counter that began anew in between is followed once around."""
        return sum(_since(folder, before) for folder, before in self.began) * 1e-6 if self.began else None


def _since(folder: Path, before: int) -> int:
    now = _number(folder / "energy_uj")
    return now - before if now >= before else now - before + _number(folder / "max_energy_range_uj")


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))
