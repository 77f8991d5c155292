"""`python -m shoal.run FOLDER`: the coordinator of a packed plan, whose workers are started elsewhere."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shoal import catalog, codec
from shoal.errors import InputError, ShoalError
from shoal.plan.values import Plan
from shoal.program import Program
from shoal.report import print_table
from shoal.run.execute import Settings, drive
from shoal.run.pack import PLAN_FILE, SAMPLES_FILE, read_samples


def main(arguments: list[str] | None = None) -> int:
    """Drive one run; returns its exit code."""
    parser = argparse.ArgumentParser("shoal.run", description="Drive a packed plan.")
    parser.add_argument("folder", type=Path, help="the client folder that `shoal pack` made")
    parser.add_argument("--over", default="tcp", help="transport with its options (default: tcp)")
    parser.add_argument("--at", action="append", default=[], metavar="UNIT=ADDRESS", help="where a worker listens")
    parser.add_argument("--items", type=int, default=32)
    parser.add_argument("-o", "--output", type=Path, default=Path("run.json"))
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except ShoalError as fault:
        hint = f"\n  hint: {fault.hint}" if fault.hint else ""
        sys.stderr.write(f"error: {fault.message}{hint}\n")
        return fault.exit_code
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    codec.check_writable(options.output)
    plan = codec.load(Plan, options.folder / PLAN_FILE)
    program = codec.load(Program, options.folder / "program.json")
    samples = read_samples(options.folder / SAMPLES_FILE, by_item=bool(plan.model.carried))
    addresses = {unit: plan.fleet.device(unit).address or "" for unit in program.units} | dict(
        map(_pair, options.at)
    )
    endpoint = catalog.make("wire/transports", options.over).client(program, addresses)
    result = drive(plan, program, endpoint, Settings(items=options.items, over=options.over), samples)
    codec.save(result.run, options.output)
    print_table(result.run)
    if result.failure or result.run.outputs_match is False:
        sys.stderr.write(f"error: {result.failure or 'the outputs differ from the undivided model'}\n")
        return 1
    return 0


def _pair(text: str) -> tuple[str, str]:
    unit, equals, address = text.partition("=")
    if not equals:
        raise InputError(f"'{text}' is not UNIT=ADDRESS", where="--at")
    return unit, address


if __name__ == "__main__":
    sys.exit(main())
