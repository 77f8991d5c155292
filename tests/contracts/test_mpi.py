"""The MPI transport under a real mpirun: three ranks, each a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mpi4py")
MPIRUN = Path(sys.prefix) / "bin" / "mpirun"

RANK = """
import sys, time
from dataclasses import replace
import numpy as np
from mpi4py import MPI
from shoal.errors import ShoalError
from shoal.program import CLIENT, Edge, Flag, Header, Program, Route, TensorSpec
from shoal.program.message import CONTROL_EDGE
from shoal.wire import Left
from shoal.wire.transports.mpi import Mpi

MODE, ROWS = sys.argv[1], 500_000
spec = TensorSpec("float32", ("n",))
def edge(name, source, target):
    return Edge(name, source, target, "x", "x", spec, 4)
edges = (edge("in", CLIENT, "a"), edge("mid", "a", "b"), edge("out", "b", CLIENT))
program = Program("p", ("a", "b"), edges, (), (Route("main", (), (), ()),), 4, {}, sizes={"n": ROWS})
rank = MPI.COMM_WORLD.rank
if MODE == "other" and rank == 1:
    program = replace(program, epoch=1)
if MODE == "few":
    program = replace(program, units=("a", "b", "c"))

def head(array, item, edge=0):
    if array is None:
        return Header(edge, item, flags=Flag.EMPTY)
    return Header(edge, item, dtype="float32", shape=array.shape, payload_bytes=array.nbytes)

def unit():
    end = Mpi().worker(program.units[rank - 1], program, "", lambda address: None)
    while True:
        found = end.receive(None)
        if isinstance(found, Left):
            if found.peer == CLIENT:
                break
            continue
        if found.header.control:
            end.send(found.header, found.array, peer=CLIENT)
            continue
        onward = replace(found.header, edge=rank)
        lent = None if found.array is None else end.buffer(rank, "float32", found.array.shape)
        if lent is not None:
            lent[:] = found.array + 1
        end.send(onward, lent if lent is not None or found.array is None else found.array + 1)
        if found.array is not None:
            end.release(found)
    print("bytes", rank, end.sent_bytes, end.received_bytes, flush=True)
    end.close()
    end.close()

def client():
    end = Mpi().client(program, {})
    for turn in range(6):
        for item in range(4):
            rows = (ROWS, 0, 7, ROWS)[item]
            array = None if turn == 3 and item == 2 else np.full(rows, turn * 4 + item, np.float32)
            end.send(head(array, turn * 4 + item), array)
            if array is not None:
                array[:] = -1
        for item in range(4):
            found = end.receive(20)
            assert found.header.item == turn * 4 + item, found
            if turn == 3 and item == 2:
                assert found.array is None
                continue
            assert found.array.shape == ((ROWS, 0, 7, ROWS)[item],)
            assert (found.array == turn * 4 + item + 2).all(), found.array
            end.release(found)
    text = np.frombuffer(b"x" * 100_000, np.uint8)
    control = Header(CONTROL_EDGE, flags=Flag.CONTROL, shape=text.shape, payload_bytes=text.size)
    end.send(control, text, peer="b")
    found = end.receive(20)
    assert found.peer == "b" and found.array.tobytes() == text.tobytes()
    used = time.process_time()
    assert end.receive(0.5) is None
    print("idle", (time.process_time() - used) / 0.5)
    print("bytes", 0, end.sent_bytes, end.received_bytes, flush=True)
    end.close()

try:
    unit() if rank else client()
except ShoalError as error:
    print("error", rank, error, flush=True)
"""


def mpirun(folder: Path, mode: str) -> list[str]:
    script = folder / "rank.py"
    script.write_text(RANK)
    root = Path(__file__).parents[2]
    command = [MPIRUN, "--allow-run-as-root", "--oversubscribe", "-n", "3", sys.executable, script, mode]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(line.strip() for line in done.stdout.splitlines())


def test_three_ranks_pass_everything_on_and_sleep_while_idle(tmp_path: Path) -> None:
    *per_rank, idle = mpirun(tmp_path, "echo")
    each = 6 * 4 * (2 * 500_000 + 7) - 4 * 7
    assert per_rank == [f"bytes {rank} {each} {each}" for rank in range(3)]
    assert float(idle.split()[1]) < 0.2


def test_another_program_is_refused_on_every_rank(tmp_path: Path) -> None:
    lines = mpirun(tmp_path, "other")
    assert len(lines) == 3
    assert "error 0 rank 1: runs another program" in lines


def test_a_job_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    lines = mpirun(tmp_path, "few")
    assert [line[:8] for line in lines] == ["error 0 ", "error 1 ", "error 2 "]
    assert "needed 4: client, a, b, c, had 3" in lines[0]
