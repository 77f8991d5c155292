"""Imitated links, wanted against measured: the shaped transport over shm and tcp, and hosts behind the relay.

    python -m bench.shaping [--rounds 3]

Each way is set up `rounds` times and measured by echoes, without a second try; the row is the median of each
figure, the errors are those of the worst round. Hosts need root.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager

from bench._common import median
from shoal.measure import LinkFigures, LinkReport
from shoal.measure.checked import Way, hosts_way, measured, shaped_way
from shoal.wire.network import unavailable

LINKS = ((1e9, 1e-4), (1e8, 1e-3), (2e7, 5e-3), (5e6, 0.2))  # bit/s, s
Open = Callable[[LinkFigures], AbstractContextManager[Way]]


def ways() -> dict[str, Open]:
    """What can be tried here, by name."""
    found: dict[str, Open] = {"shaped over shm": shaped_way, "shaped over tcp": lambda w: shaped_way(w, "tcp")}
    if why := unavailable():
        print(f"no hosts: {why}")
        return found
    return found | {"hosts, relay": hosts_way, "hosts, tbf": lambda wanted: hosts_way(wanted, by_kernel=True)}


def report(name: str, opened: Open, wanted: LinkFigures) -> LinkReport:
    """One link set up and measured once."""
    with opened(wanted) as way:
        return LinkReport(name, wanted, measured(way, wanted))


def row(reports: list[LinkReport]) -> str:
    """Medians of what was measured, and the errors farthest from zero."""
    latency_ms = median([each.measured.latency_s for each in reports]) * 1e3
    rate = median([each.measured.bandwidth_bytes_per_s for each in reports]) * 8e-6
    late = max((each.latency_error for each in reports), key=abs)
    slow = max((each.bandwidth_error for each in reports), key=abs)
    return f"{latency_ms:9.3f} ms {late:+7.1%} {rate:9.2f} Mbit/s {slow:+7.1%}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="imitated links, wanted against measured")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for rate, latency_s in LINKS:
        wanted = LinkFigures(latency_s, rate / 8)
        print(f"wanted{latency_s * 1e3:21.3f} ms {rate / 1e6:17.2f} Mbit/s")
        for name, opened in ways().items():
            reports = [report(name, opened, wanted) for _ in range(options.rounds)]
            print(f"  {name:15} {row(reports)}", flush=True)


if __name__ == "__main__":
    main()
