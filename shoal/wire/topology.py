"""Who is connected to whom, and whether a message may go that way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import WireError
from shoal.program import CLIENT, Header, Program
from shoal.program.message import check


def peers(program: Program, name: str) -> tuple[str, ...]:
    """The parties `name` has a connection with: the client with all, units where an edge joins them.

    Raises:
        WireError: the program has no such party.
    """
    if name not in program.parties:
        raise WireError(f"the program has no party '{name}'", needed=", ".join(program.parties))
    if name == CLIENT:
        return program.units
    joined = {CLIENT}
    for edge in program.edges:
        if name in (edge.source, edge.target):
            joined |= {edge.source, edge.target}
    return tuple(party for party in program.parties if party in joined - {name})


def edges_from(program: Program, source: str, target: str) -> tuple[int, ...]:
    """Indices of the edges from `source` to `target`."""
    return tuple(
        index for index, edge in enumerate(program.edges) if (edge.source, edge.target) == (source, target)
    )


def target_of(program: Program, header: Header, name: str, peer: str | None) -> str:
    """The party that `name` must send this message to.

    Raises:
        WireError: a control message without a peer, or an edge that does not start at `name`.
    """
    if header.control:
        if peer is None:
            raise WireError("a control message needs a peer", where=name)
        return peer
    edge = program.edges[header.edge]
    if edge.source != name:
        raise WireError(f"edge '{edge.name}' does not start here", where=name, needed=edge.source)
    return edge.target


def check_way(program: Program, header: Header, source: str, target: str) -> None:
    """Refuse a tensor on an edge that does not lead from `source` to `target`.

    Raises:
        WireError: naming the edge.
    """
    if not header.control:
        edge = program.edges[header.edge]
        if (edge.source, edge.target) != (source, target):
            raise WireError(f"sent on edge '{edge.name}', which does not lead from it to {target}", where=source)


def flat(program: Program, header: Header, array: NDArray[Any] | None, name: str) -> NDArray[np.uint8] | None:
    """The payload of a message about to be sent, as bytes; None if it has none.

    Raises:
        WireError: the edge does not allow it, or the array is not what the header says.
    """
    check(header, program, name)
    had = 0 if header.empty or array is None else array.nbytes
    if had != header.payload_bytes:
        raise WireError(
            "the payload is not as long as its header says", where=name,
            needed=f"{header.payload_bytes} B", had=f"{had} B",
        )  # fmt: skip
    if header.empty or array is None:
        return None
    return array.reshape(-1).view(np.uint8)
