"""What exchanging tensors takes: from neighbour to neighbour in a ring, or through memory that all share and that adds.

Source: "FengHuang: Next-Generation Memory Orchestration for AI Inferencing", arXiv 2511.10753, 2025.
"""

from __future__ import annotations

from dataclasses import dataclass

from shoal.errors import InputError


@dataclass(frozen=True)
class RingLinks:
    """Links between neighbours in a ring, each way at once."""

    link_bytes_per_s: float = 450e9  # each way; NVIDIA's data sheet of NVLink 4
    hop_s: float = 1e-6  # of a step through a switch; choice, published microbenchmarks give 1 to 2 µs

    def __post_init__(self) -> None:
        _check(self.link_bytes_per_s, self.hop_s)

    def all_gather_s(self, size: float, devices: int) -> float:
        """Every device has a part of `size`, and all get the whole; reduce-scatter is the same backwards."""
        return (devices - 1) * (size / devices / self.link_bytes_per_s + self.hop_s)

    def all_reduce_s(self, size: float, devices: int) -> float:
        """Every device has a whole, and all get the sum: reduce-scatter, then all-gather."""
        return 2 * self.all_gather_s(size, devices)

    def all_to_all_s(self, size: float, devices: int) -> float:
        """Every device has `size`, a part for each: parts go on until they are home, each time one less."""
        return (devices - 1) * (size / 2 / self.link_bytes_per_s + self.hop_s)


@dataclass(frozen=True)
class PoolPorts:
    """A port of each device into shared memory whose banks add what is written; banks keep up with all ports."""

    write_bytes_per_s: float = 4e12  # of a port; the publication's design points are 4.0 to 6.4 TB/s
    read_bytes_per_s: float = 4e12
    access_s: float = 0.2e-6  # from the last write to the readers' knowing of it; choice, 0.2 to 0.5 µs
    chunk_bytes: float = (
        64e3  # what is added already is read while the next is written: ports work both ways at once; choice
    )

    def __post_init__(self) -> None:
        _check(min(self.write_bytes_per_s, self.read_bytes_per_s), self.access_s)
        if not self.chunk_bytes > 0:
            raise InputError("a chunk is above zero, or infinite: all at once", had=f"{self.chunk_bytes:g} bytes")

    def all_reduce_s(self, size: float, devices: int) -> float:
        """Each writes its whole once, and reads the sum once, however many they are."""
        return self._moved_s(size, size)

    def all_gather_s(self, size: float, devices: int) -> float:
        """Each writes its part of `size`, and reads the whole."""
        return self._moved_s(size / devices, size)

    def reduce_scatter_s(self, size: float, devices: int) -> float:
        """Each writes its whole, and reads its part of the sum."""
        return self._moved_s(size, size / devices)

    def all_to_all_s(self, size: float, devices: int) -> float:
        """Each writes `size`, and reads what is for it."""
        return self._moved_s(size, size)

    def _moved_s(self, written: float, read: float) -> float:
        """Writing and reading, chunk after chunk: the quicker of the two has nothing to do but for one chunk of its own."""
        write_s, read_s = written / self.write_bytes_per_s, read / self.read_bytes_per_s
        chunks = max(1.0, max(written, read) / self.chunk_bytes)
        return self.access_s + max(write_s, read_s) + min(write_s, read_s) / chunks


Exchange = RingLinks | PoolPorts


def _check(rate: float, latency_s: float) -> None:
    if not rate > 0 or not latency_s >= 0:
        raise InputError("a link has a rate above zero, after a time of zero or more",
                         had=f"{rate:g} B/s, {latency_s:g} s")  # fmt: skip
