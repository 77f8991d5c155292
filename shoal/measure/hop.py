"""What a message costs by itself: half an echo between two processes, over each transport.

`python -m shoal.measure.hop --over TRANSPORT --bytes N,N --hops N` is the asking side; MPI needs it as a process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from shoal import catalog
from shoal.errors import InputError, MissingExtra, ShoalError, WireError
from shoal.measure.messages import UNIT, echo_program
from shoal.program import Header
from shoal.wire import Delivery, Endpoint

TIMEOUT_S = 60.0
WARM = 20  # echoes that are not counted
BY_TCP = {"OMPI_MCA_btl": "tcp,self", "OMPI_MCA_pml": "ob1"}  # Open MPI over sockets, also within a machine


def hops_s(over: str, sizes: Sequence[int], hops: int = 300, *, by_tcp: bool = False) -> tuple[float, ...]:
    """Seconds that messages of `sizes` bytes take to another process of this machine.

    Half the median round trip of a message that is answered by one byte, so a large message's way counts half; it
    is meant for small ones, where only the overhead is seen.

    Args:
        over: a transport with its options.
        sizes: bytes of payload.
        hops: echoes of each size.
        by_tcp: let MPI use sockets, as between machines; without, it may use shared memory.

    Raises:
        InputError: a transport that does not leave its process.
        MissingExtra: MPI is not installed.
        WireError: no echo came back.
    """
    if over.partition(":")[0] in ("memory", "shaped"):
        raise InputError(f"'{over}' is no way between two processes by itself", hint="tcp, shm or mpi")
    listed = ",".join(map(str, sizes))
    ask = [sys.executable, "-m", "shoal.measure.hop", "--over", over, "--bytes", listed, "--hops", str(hops)]
    echo = [sys.executable, "-m", "shoal.measure.echo", "--over", over, "--bytes", str(max(sizes))]
    if over.partition(":")[0] == "mpi":
        command = [*_mpirun(), "-n", "1", *ask, ":", "-n", "1", *echo]
        environment = {**os.environ, "OMPI_MCA_rmaps_base_oversubscribe": "1", **(BY_TCP if by_tcp else {})}
        return _told(command, environment)
    with subprocess.Popen(echo, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise WireError("the echo process did not start", where=over)
            return _told([*ask, "--at", json.loads(line)["listening"]], dict(os.environ))
        finally:
            process.kill()


def _mpirun() -> list[str]:
    """The command that starts ranks; beside the interpreter first."""
    beside = Path(sys.prefix) / "bin" / "mpirun"
    found = str(beside) if beside.exists() else shutil.which("mpirun")
    if found is None:
        raise MissingExtra("mpirun", "mpi")
    return [found, "--oversubscribe", *(["--allow-run-as-root"] if os.geteuid() == 0 else [])]


def _told(command: list[str], environment: dict[str, str]) -> tuple[float, ...]:
    """The figures that the asking side prints; nothing of the command outlives this."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=said, stdin=subprocess.DEVNULL, text=True
        )
        try:
            out, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired as fault:
            process.kill()
            process.communicate()
            raise WireError(f"no echo within {TIMEOUT_S:g} s", where=" ".join(command[:1])) from fault
        for line in out.splitlines():
            if line.startswith('{"hop_s"'):
                return tuple(json.loads(line)["hop_s"])
        said.seek(0)
        last = (said.read().strip().splitlines() or ["it said nothing"])[-1]
    raise WireError("the echo did not work", where=Path(command[0]).name, had=last)


def timed(end: Endpoint, size: int, hops: int, first: int = 0) -> float:
    """Half the median round trip over `end`, in seconds; items are counted from `first`."""
    array = np.zeros(size, np.uint8)
    trips_s = []
    for item in range(first, first + WARM + hops):
        began_s = time.perf_counter()
        end.send(Header(0, item, shape=array.shape, payload_bytes=array.nbytes), array)
        found = end.receive(TIMEOUT_S)
        if not isinstance(found, Delivery):
            raise WireError("no echo came back", where=UNIT)
        end.release(found)
        trips_s.append(time.perf_counter() - began_s)
    return median(trips_s[WARM:]) / 2


def main(arguments: list[str] | None = None) -> int:
    """Ask, and print the figures as one line of JSON."""
    parser = argparse.ArgumentParser("shoal.measure.hop", description="What a message costs by itself.")
    parser.add_argument("--over", required=True, help="a transport with its options")
    parser.add_argument("--bytes", required=True, help="payloads, separated by commas")
    parser.add_argument("--hops", type=int, default=300)
    parser.add_argument("--at", default="", help="where the echo listens")
    options = parser.parse_args(arguments)
    try:
        sizes = [int(size) for size in options.bytes.split(",")]
        program = echo_program(max(sizes), 4)
        end = catalog.make("wire/transports", options.over).client(program, {UNIT: options.at})
        try:
            each = options.hops + WARM
            found = [timed(end, size, options.hops, place * each) for place, size in enumerate(sizes)]
        finally:
            end.close()
    except ShoalError as fault:
        sys.stderr.write(f"error: {fault.message}\n")
        return fault.exit_code
    sys.stdout.write(json.dumps({"hop_s": found}) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
