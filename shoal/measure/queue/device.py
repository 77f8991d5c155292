"""`python -m shoal.measure.queue.device FOLDER`: a device that executes calls in the order of their launches."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from shoal import catalog
from shoal.errors import ShoalError
from shoal.measure.queue.calls import load
from shoal.measure.queue.replay import Replay
from shoal.measure.queue.words import TIMES, UNIT, VALUES, put, queue_program
from shoal.wire import Delivery, Endpoint, Transport, boot_id

SWITCH_S = 1e-4  # after which the thread that reads messages may have its turn


def serve(end: Endpoint, device: Replay) -> None:
    """Execute launches until the host has gone; when it waits, tell when each began and ended, and the output."""
    times: list[float] = []
    while isinstance(found := end.receive(None), Delivery):
        places = [] if found.array is None else found.array.tolist()
        end.release(found)
        if places != [-1]:
            begin_s = time.monotonic()
            device.run(places)
            times += (begin_s, time.monotonic())
            continue
        put(end, TIMES, found.header.item, np.array(times))
        put(end, VALUES, found.header.item, device.output())
        times = []
    end.close()


def main(arguments: list[str] | None = None) -> int:
    """Serve one host; says where, and on which machine, in one line of JSON."""
    parser = argparse.ArgumentParser("shoal.measure.queue.device", description="A device with a launch queue.")
    parser.add_argument("folder", type=Path, help="calls and tensors")
    parser.add_argument("--over", required=True, help="a transport with its options")
    for name in ("calls", "launches", "values"):
        parser.add_argument(f"--{name}", type=int, required=True, help="at most so many")
    options = parser.parse_args(arguments)
    try:
        import torch

        torch.set_num_threads(1)
        sys.setswitchinterval(SWITCH_S)
        device = Replay(load(options.folder))
        transport: Transport = catalog.make("wire/transports", options.over)
        program = queue_program(options.calls, options.launches, options.values)
        serve(transport.worker(UNIT, program, "", _announce), device)
    except ShoalError as fault:
        sys.stderr.write(f"error: {fault.message}\n")
        return fault.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _announce(address: str) -> None:
    sys.stdout.write(json.dumps({"listening": address, "boot": boot_id()}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
