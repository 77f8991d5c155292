"""`python -m shoal.worker BUNDLE|STORE`: one unit of a program, until its coordinator lets it go; or records for others."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path

from shoal import catalog
from shoal.errors import InputError, ShoalError
from shoal.program import bundle as bundles
from shoal.worker.offering import offer
from shoal.worker.serve import load, serve

GRACE_S = 1.0  # how long a worker may take to leave by itself once its parent is gone


def main(arguments: list[str] | None = None) -> int:
    """Run one worker; returns its exit code.

    On stdout it prints one line of JSON, {"listening": address}, once peers may connect; over MPI nobody listens.
    """
    options = _parser().parse_args(arguments)
    if options.tied:
        threading.Thread(target=_end_with_parent, name="shoal parent", daemon=True).start()
    try:
        _work(options)
    except ShoalError as fault:
        hint = f"\n  hint: {fault.hint}" if fault.hint else ""
        sys.stderr.write(f"error: {fault.message}{hint}\n")
        return fault.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _work(options: argparse.Namespace) -> None:
    if os.path.isfile(options.bundle):  # not the path's own method: that fails where no such path can be
        _pin(options.cores or ())
        offer(options.bundle, options.over, options.listen, _announce)
        return
    bundle = bundles.read(options.bundle)
    if options.verify:
        bundles.verify(bundle)
    cores = options.cores if options.cores is not None else bundle.manifest.cores
    _pin(cores)
    sessions = load(bundle)
    transport = catalog.make("wire/transports", options.over)
    serve(bundle, sessions, transport.worker(bundle.manifest.unit, bundle.program, options.listen, _announce))


def _pin(cores: tuple[int, ...]) -> None:
    if not cores:
        return
    try:
        os.sched_setaffinity(0, cores)
    except (OSError, ValueError, OverflowError) as fault:
        had = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
        raise InputError(f"cannot run on the cores {', '.join(map(str, cores))}", had=had) from fault


def _end_with_parent() -> None:
    """Leave soon after the process that started this one has gone, or has closed our stdin."""
    while os.read(0, 1):
        pass
    time.sleep(GRACE_S)
    os._exit(1)  # the main thread may be deep in an engine


def _announce(address: str) -> None:
    if not address:
        return
    sys.stdout.write(json.dumps({"listening": address}) + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "shoal.worker", description="Run one unit of a program from its bundle, or offer the records of a store."
    )
    parser.add_argument(
        "bundle", type=Path, help="the folder `shoal pack` made for this device, or a file of records"
    )
    parser.add_argument("--over", default="tcp", help="transport with its options (default: tcp)")
    parser.add_argument(
        "--listen", default="", metavar="ADDRESS", help="where peers connect (default: a free port)"
    )
    parser.add_argument("--cores", type=_cores, default=None, help="pin to these cores, as 0,1")
    parser.add_argument("--tied", action="store_true", help="end when stdin is closed")
    parser.add_argument("--verify", action="store_true", help="check the hash of every file first")
    return parser


def _cores(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(core) for core in text.split(","))
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of cores such as 0,1") from fault


if __name__ == "__main__":
    sys.exit(main())
