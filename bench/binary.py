"""Convolutions of signs on packed words against onnxruntime's in float32, one thread each, in alternating rounds.

    python -m bench.binary [--channels 64 256 512] [--sides 28 14 7] [--rounds 30]

A 3×3 kernel with as many channels out as in, on one picture. The packed one starts from figures: signs are taken and
packed within its time. Medians.
"""

from __future__ import annotations

import argparse
import json

from shoal.kernels.lowbit import lowbit_paths
from shoal.study._bibench_speed import convolution


def main() -> None:
    """Print a table and a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--channels", type=int, nargs="+", default=[64, 256, 512])
    parser.add_argument("--sides", type=int, nargs="+", default=[28, 14, 7])
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    print(f"kernels: {lowbit_paths()[0]}")
    found = []
    for channels in options.channels:
        for side in options.sides:
            timed = convolution(channels, side, options.rounds)
            faster, smaller = timed.float_s / timed.packed_s, timed.float_bytes / timed.packed_bytes
            print(
                f"{channels:5} channels, {side:2} × {side:2}: float32 {timed.float_s * 1e3:7.3f} ms, packed signs "
                f"{timed.packed_s * 1e3:7.3f} ms: {faster:5.2f} × as fast, weights {smaller:.0f} × smaller"
            )
            found.append({"channels": channels, "side": side, "float_s": timed.float_s, "packed_s": timed.packed_s})
    print(json.dumps(found))


if __name__ == "__main__":
    main()
