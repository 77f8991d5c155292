"""One worker of `_deepseek_v3_exchange`: its tokens go to experts in other processes and come back as one sum each.

The parent hands it one connected socket for every other worker. Everything that it sends goes over these, and is counted.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from shoal import codec
from shoal.formats import Coded, make, quantise

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
TILE = "e4m3b1x128"  # how tokens travel to experts; sums come back in float16


@dataclass(frozen=True, eq=False)
class Rows:
    """Tokens on their way: (n, k) experts and shares, (n, bytes) coded values."""

    experts: NDArray[np.int16]
    shares: NDArray[np.float16]
    coded: U8

    def __getitem__(self, which: NDArray[np.intp]) -> Rows:
        return Rows(self.experts[which], self.shares[which], self.coded[which])

    def message(self) -> bytes:
        """All of it; what is how long follows from the counts at the beginning."""
        counts = np.array([*self.experts.shape, self.coded.shape[1]], np.int32)
        return b"".join(each.tobytes() for each in (counts, self.experts, self.shares, self.coded))

    @classmethod
    def of(cls, message: bytes) -> Rows:
        """What was sent."""
        rows, each, width = (int(count) for count in np.frombuffer(message, np.int32, 3))
        pairs, at = rows * each, 12
        return cls(
            np.frombuffer(message, np.int16, pairs, at).reshape(rows, each),
            np.frombuffer(message, np.float16, pairs, at + 2 * pairs).reshape(rows, each),
            np.frombuffer(message, np.uint8, rows * width, at + 4 * pairs).reshape(rows, width),
        )


class Worker:
    """One rank of one node; rank r speaks to the ranks r of other nodes, and to all of its own node."""

    def __init__(
        self, index: int, nodes: int, ranks: int, experts: int, peers: Mapping[int, socket.socket]
    ) -> None:
        self.index, self.nodes, self.ranks, self.experts, self.peers = index, nodes, ranks, experts, peers
        self.node, self.rank = divmod(index, ranks)
        self.between_bytes = self.inside_bytes = 0  # sent to other nodes, to other workers of this one

    def by_node(self, rows: Rows, width: int) -> F32:
        """Each token goes once to each node of its experts, and on from there."""
        homes = self._homes(rows) // self.ranks
        places = [np.flatnonzero((homes == node).any(axis=1)) for node in range(self.nodes)]
        columns = [node * self.ranks + self.rank for node in range(self.nodes)]
        came = self._swap({to: rows[at].message() for to, at in zip(columns, places, strict=True)})
        sums = [self._inside(Rows.of(came[each]), width) for each in columns]
        back = self._swap({to: each.astype(np.float16).tobytes() for to, each in zip(columns, sums, strict=True)})
        return self._added(len(rows.coded), width, ((places[at], back[to]) for at, to in enumerate(columns)))

    def by_expert(self, rows: Rows, width: int) -> F32:
        """Each token goes to each of its experts, wherever it is."""
        homes, workers = self._homes(rows), range(self.nodes * self.ranks)
        picked = [np.nonzero(homes == to) for to in workers]
        parts = [Rows(rows.experts[at][:, None], rows.shares[at][:, None], rows.coded[at[0]]) for at in picked]
        came = self._swap({to: each.message() for to, each in zip(workers, parts, strict=True)})
        sums = {each: self._computed(Rows.of(message), width) for each, message in came.items()}
        back = self._swap({to: each.astype(np.float16).tobytes() for to, each in sums.items()})
        return self._added(len(rows.coded), width, ((picked[to][0], back[to]) for to in workers))

    def _inside(self, rows: Rows, width: int) -> F32:
        """What the experts of this node make of the rows."""
        homes = self._homes(rows)
        own = [self.node * self.ranks + rank for rank in range(self.ranks)]
        places = [np.flatnonzero((homes == each).any(axis=1)) for each in own]
        came = self._swap({to: rows[at].message() for to, at in zip(own, places, strict=True)})
        back = self._swap({to: self._computed(Rows.of(came[to]), width).astype(np.float16).tobytes() for to in own})
        return self._added(len(rows.coded), width, zip(places, (back[each] for each in own), strict=True))

    def _computed(self, rows: Rows, width: int) -> F32:
        """The experts of this worker: expert e multiplies by e + 1, which tells who did what."""
        mine = self._homes(rows) == self.index
        factors = (mine * rows.shares.astype(np.float32) * (rows.experts + 1)).sum(axis=1)
        found: F32 = decoded(rows.coded, width) * factors[:, None].astype(np.float32)
        return found

    def _added(self, rows: int, width: int, parts: Iterable[tuple[NDArray[np.intp], bytes]]) -> F32:
        total = np.zeros((rows, width), np.float32)
        for at, message in parts:
            np.add.at(total, at, np.frombuffer(message, np.float16).reshape(-1, width).astype(np.float32))
        return total

    def _homes(self, rows: Rows) -> NDArray[np.int64]:
        """The worker of each expert."""
        return rows.experts.astype(np.int64) // (self.experts // (self.nodes * self.ranks))

    def _swap(self, messages: Mapping[int, bytes]) -> dict[int, bytes]:
        """A message to each of these workers, and one from each of them."""
        writer = Thread(target=self._write, args=(messages,))
        writer.start()
        came = {each: messages[each] if each == self.index else _read(self.peers[each]) for each in messages}
        writer.join()
        return came

    def _write(self, messages: Mapping[int, bytes]) -> None:
        for to, message in messages.items():
            if to == self.index:
                continue
            framed = len(message).to_bytes(8, "little") + message
            self.peers[to].sendall(framed)
            if to // self.ranks == self.node:
                self.inside_bytes += len(framed)
            else:
                self.between_bytes += len(framed)


def coded_rows(x: F32) -> U8:
    """Tokens as bytes: codes and scales of each row."""
    form, coded = make(TILE), quantise(make(TILE), x)
    streams = [form.pack(Coded(coded.codes[at : at + 1], {"scales": coded.params["scales"][at : at + 1]})) for at in
               range(len(x))]  # fmt: skip
    return np.stack([np.concatenate([each["codes"], each["scales"]]) for each in streams])


def decoded(rows: U8, width: int) -> F32:
    """What the bytes stand for."""
    if not len(rows):
        return np.zeros((0, width), np.float32)
    form = make(TILE)
    streams = {"codes": rows[:, :width].reshape(-1), "scales": np.ascontiguousarray(rows[:, width:]).reshape(-1)}
    coded = form.unpack(streams, (len(rows), width))
    found: F32 = form.decode(coded.codes, coded.params)
    return found


def _read(peer: socket.socket) -> bytes:
    return _exactly(peer, int.from_bytes(_exactly(peer, 8), "little"))


def _exactly(peer: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        part = peer.recv(min(count - len(found), 1 << 20))
        if not part:
            raise ConnectionError("another worker left")
        found += part
    return bytes(found)


def main(told: str) -> None:
    """Read this worker's tokens, exchange them on each trip, write sums and counts."""
    task = json.loads(told)
    peers = {int(index): socket.socket(fileno=fd) for index, fd in task["peers"].items()}
    given, answers = np.load(task["given"]), {}
    coded, width = coded_rows(given["x"]), given["x"].shape[1]
    for trip, once in enumerate(task["once"]):
        worker = Worker(task["index"], task["nodes"], task["ranks"], task["experts"], peers)
        rows = Rows(given[f"experts{trip}"].astype(np.int16), given[f"shares{trip}"].astype(np.float16), coded)
        answers[f"made{trip}"] = worker.by_node(rows, width) if once else worker.by_expert(rows, width)
        answers[f"sent{trip}"] = np.array([worker.between_bytes, worker.inside_bytes])
    codec.save_arrays(answers, Path(task["answer"]))


if __name__ == "__main__":
    main(sys.argv[1])
