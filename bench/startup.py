"""How long the command line and a worker take to be there. Run: python -m bench.startup"""

from __future__ import annotations

import subprocess
import sys
import time

from bench import _common as common

ROUNDS = 7
COMMANDS = {
    "shoal --help": ["-m", "shoal", "--help"],
    "shoal boards": ["-m", "shoal", "boards"],
    "python alone": ["-c", "pass"],
}


def main() -> None:
    """Print wall seconds, interpreter included."""
    for name, arguments in COMMANDS.items():
        print(f"{name:14} {common.spread([_seconds(arguments) for _ in range(ROUNDS)])} s")


def _seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
