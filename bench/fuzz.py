"""Fuzz every file and message format for long: `python -m bench.fuzz --examples 5000`.

    python -m bench.fuzz --examples 5000
    python -m bench.fuzz --examples 20000 model message

The tests of `tests/fuzz`, each with so many examples instead of its own few, and other ones every time. Prints how
many formats' tests passed; a test that fails prints the smallest example it found.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path("tests/fuzz")
TIMEOUT_S = 24 * 3600
COSTLY = {
    "commands": 20,
    "program": 4,
    "plan": 2,
    "mapping": 4,
    "identity": 2,
    "kept": 2,
    "worker": 4,
}  # fewer by so much


def main() -> int:
    """Run the tests; 0 if nothing but ShoalErrors came out of any reader."""
    parser = argparse.ArgumentParser(
        "bench.fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--examples", type=int, default=2000, help="of each test; of costly ones a part (default: 2000)"
    )
    known = sorted(path.stem.removeprefix("test_") for path in FOLDER.glob("test_*.py"))
    parser.add_argument("formats", nargs="*", default=[], metavar="FORMAT", help=f"only these: {', '.join(known)}")
    options = parser.parse_args()
    if unknown := sorted(set(options.formats) - set(known)):
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    failed = [name for name in options.formats or known if not _passes(name, options.examples)]
    print(
        f"failed: {', '.join(failed)}"
        if failed
        else f"nothing but refusals in words, {len(options.formats or known)} formats"
    )
    return 1 if failed else 0


def _passes(name: str, examples: int) -> bool:
    count = max(1, examples // COSTLY.get(name, 1))
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--show-capture=no", "--tb=short"]
    command += ["-p", "no:cacheprovider", f"--timeout={TIMEOUT_S}", str(FOLDER / f"test_{name}.py")]
    start_s = time.perf_counter()
    done = subprocess.run(
        command, env={**os.environ, "SHOAL_FUZZ_EXAMPLES": str(count)}, capture_output=True, check=False
    )
    print(
        f"{name}: {count} examples a test, {time.perf_counter() - start_s:.0f} s, {'failed' if done.returncode else 'passed'}"
    )
    if done.returncode:
        print(done.stdout.decode(errors="backslashreplace"))
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
