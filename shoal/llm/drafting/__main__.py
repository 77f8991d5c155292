"""`python -m shoal.llm.drafting DRAFTER`: a drafter that answers whoever connects; says where in one line of JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys

from shoal import catalog
from shoal.errors import ShoalError
from shoal.llm.drafting.drafters import FAMILY
from shoal.llm.drafting.messages import UNIT, Line, Sizes
from shoal.llm.drafting.process import NODES, START_S, serve


def main(arguments: list[str] | None = None) -> int:
    """Serve one connection."""
    parser = argparse.ArgumentParser("shoal.llm.drafting", description="A drafter in a process of its own.")
    parser.add_argument("drafter", help="ngram, small:file=…, fused:file=…")
    parser.add_argument("--context", type=int, default=4096, help="most tokens of a text")
    parser.add_argument("--core", type=int, help="run on this core alone")
    parser.add_argument("--over", default="tcp", help="the transport")
    options = parser.parse_args(arguments)
    try:
        if options.core is not None:
            os.sched_setaffinity(0, {options.core})
        made = catalog.make(FAMILY, options.drafter)
        sizes = Sizes(made.vocabulary, made.width, options.context, NODES)

        def announce(address: str) -> None:
            told = {"listening": address, "vocabulary": sizes.vocabulary, "width": sizes.width}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()

        over = f"tcp:wait_s={START_S:g}" if options.over == "tcp" else options.over
        serve(Line(catalog.make("wire/transports", over).worker(UNIT, sizes.program(), "", announce)), made)
    except ShoalError as fault:
        sys.stderr.write(f"error: {fault.message}\n")
        return fault.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
