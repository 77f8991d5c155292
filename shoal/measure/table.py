"""Samples in a file: measured once, kept, and found again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shoal import cache, codec
from shoal.record import Sample

SampleKey = tuple[str, str, str, str, int]


@dataclass(frozen=True)
class Table:
    """Samples, one for each subject, machine, engine, format and thread count."""

    samples: tuple[Sample, ...] = ()

    def merge(self, newer: Iterable[Sample]) -> Table:
        """This table with `newer` samples in place of older ones of the same thing."""
        found = {key_of(sample): sample for sample in self.samples}
        found |= {key_of(sample): sample for sample in newer}
        return Table(tuple(found[key] for key in sorted(found)))

    def of(self, machine: str) -> Table:
        """Only what was measured on `machine`."""
        return Table(tuple(sample for sample in self.samples if sample.machine == machine))

    def find(self, subject: str, engine: str, number_format: str, threads: int) -> Sample | None:
        """The sample of `subject` taken so, whichever machine."""
        wanted = (subject, engine, number_format, threads)
        for sample in self.samples:
            if (sample.subject, sample.engine, sample.format, sample.threads) == wanted:
                return sample
        return None

    def save(self, path: Path) -> None:
        """Write the table to `path`, merged with what is there already.

        Raises:
            InputError: the file cannot be written, or holds something else.
        """
        codec.save(load(path).merge(self.samples), path)


def load(path: Path) -> Table:
    """The table in the file `path`; empty if there is no such file.

    Raises:
        InputError: the file cannot be read or is no table.
    """
    return codec.load(Table, path) if path.exists() else Table()


def table_path(model: str) -> Path:
    """Where the samples of the graph with identity `model` are kept: a file of the cache folder."""
    return cache.folder("samples") / f"{model}.json"


def bench_path() -> Path:
    """Where the samples of benches are kept."""
    return cache.folder("samples") / "benches.json"


def handling_path() -> Path:
    """Where the constants of workers are kept."""
    return cache.folder("samples") / "handling.json"


def key_of(sample: Sample) -> SampleKey:
    """What two samples of the same thing have in common."""
    return (sample.subject, sample.machine, sample.engine, sample.format, sample.threads)
