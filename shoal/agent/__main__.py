"""`python -m shoal.agent IDENTITY`: this device in its fleet, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from shoal.agent.agent import Agent, Wishes
from shoal.agent.stopping import told_to_stop
from shoal.errors import ShoalError


def main(arguments: list[str] | None = None) -> int:
    """Run the agent; returns its exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=options.log, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        with told_to_stop() as stop:
            Agent(Wishes(options.identity, options.host, options.memory_bytes)).run(stop)
    except ShoalError as fault:
        hint = f"\n  hint: {fault.hint}" if fault.hint else ""
        sys.stderr.write(f"error: {fault.message}{hint}\n")
        return fault.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("shoal.agent", description="Be a device of a fleet.")
    parser.add_argument("identity", type=Path, help="the folder that `shoal join TOKEN` made")
    parser.add_argument(
        "--host", default="", help="where others reach this device (default: where the hub sees it)"
    )
    parser.add_argument("--memory-bytes", type=int, default=None, help="what workers may use")
    parser.add_argument("--log", default="INFO", choices=("DEBUG", "INFO", "WARNING"), help="what is worth a line")
    return parser


if __name__ == "__main__":
    sys.exit(main())
