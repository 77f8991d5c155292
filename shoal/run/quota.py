"""CPU quotas of the kernel: a control group for each worker, in the first or the second version of their files.

A process in such a group computes for `speed` of each period and is stopped for the rest of it. What takes less
than a period is therefore slowed unevenly: the first part of each period runs at full speed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shoal.errors import WorkError

LEAST_QUOTA_S = 0.001  # what the kernel accepts
PERIOD_S = 0.010  # short against what a segment takes, long against the kernel's tick
MOUNT = Path("/sys/fs/cgroup")
PREFIX = "shoal-"


def period_s(speed: float) -> float:
    """The period for a process at `speed`: as short as the kernel allows, at least PERIOD_S."""
    return max(PERIOD_S, LEAST_QUOTA_S / speed)


@dataclass(frozen=True)
class Groups:
    """The folder that control groups of the processor can be made in."""

    folder: Path
    second: bool  # version 2 of the files

    @contextmanager
    def limited(self, speeds: Mapping[int, float]) -> Iterator[None]:
        """Hold processes, by their ids, to a share of one core each; let go of them afterwards.

        Raises:
            WorkError: the kernel does not let us.
        """
        self._clear()
        made: list[Path] = []
        try:
            for pid, speed in speeds.items():
                made.append(self._make(pid, speed))
            yield
        except OSError as fault:
            raise WorkError(f"cannot hold workers to a quota: {fault.strerror}", where=str(self.folder)) from fault
        finally:
            for group in made:
                self._remove(group)

    def _make(self, pid: int, speed: float) -> Path:
        group = self.folder / f"{PREFIX}{os.getpid()}-{pid}"
        group.mkdir()
        try:
            period_us = round(period_s(speed) * 1e6)
            quota_us = round(speed * period_us)
            if self.second:
                (group / "cpu.max").write_text(f"{quota_us} {period_us}")
            else:
                (group / "cpu.cfs_period_us").write_text(str(period_us))
                (group / "cpu.cfs_quota_us").write_text(str(quota_us))
            (group / "cgroup.procs").write_text(str(pid))
        except OSError:
            self._remove(group)
            raise
        return group

    def _remove(self, group: Path) -> None:
        """Give the group's processes back to ours, then remove it; of those that ended nothing is left to give."""
        home = own_groups(self.second)
        with suppress(OSError):
            for pid in (group / "cgroup.procs").read_text().split():
                with suppress(OSError):
                    (home / "cgroup.procs").write_text(pid)
        with suppress(OSError):
            group.rmdir()

    def _clear(self) -> None:
        """Remove what coordinators that were killed have left."""
        for group in self.folder.glob(f"{PREFIX}*-*"):
            owner = group.name.removeprefix(PREFIX).partition("-")[0]
            if owner.isdigit() and not Path(f"/proc/{owner}").exists():
                self._remove(group)


def own_groups(second: bool) -> Path:
    """This process's own group."""
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        number, controllers, path = line.split(":", 2)
        if second and number == "0":
            return MOUNT / path.lstrip("/")
        if not second and "cpu" in controllers.split(","):
            return MOUNT / controllers / path.lstrip("/")
    return MOUNT


def groups() -> Groups | None:
    """Where this process may make groups with a quota, tried out; None if nowhere."""
    for second in (False, True):
        own = own_groups(second)
        folder = own.parent if second and own != MOUNT else own  # v2: a group with processes has no groups in it
        found = Groups(folder, second)
        if _works(found):
            return found
    return None


def _works(found: Groups) -> bool:
    trial = found.folder / f"{PREFIX}{os.getpid()}-trial"
    try:
        if found.second:
            (found.folder / "cgroup.subtree_control").write_text("+cpu")
        trial.mkdir()
    except OSError:
        return False
    try:
        name, text = ("cpu.max", "5000 10000") if found.second else ("cpu.cfs_quota_us", "50000")
        (trial / name).write_text(text)
    except OSError:
        return False
    finally:
        with suppress(OSError):
            trial.rmdir()
    return True
