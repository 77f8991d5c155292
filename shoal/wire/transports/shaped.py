"""Any other transport with the links of a fleet: what is sent takes the links' time, for real."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shoal import catalog
from shoal.errors import InputError
from shoal.program import Program
from shoal.wire.contract import Endpoint, Transport
from shoal.wire.shaping import Losses, ShapedEndpoint, carrier


@dataclass(frozen=True, eq=False)
class Shaped:
    """Links shaped between the parties of one machine. `shoal run` fills in `links` from the plan's fleet.

    "shaped:inner=tcp:wait_s=5;plain=true" gives the inner transport options of its own.
    """

    inner: str = "shm"  # the transport that carries the messages; its options are separated by semicolons
    links: str = ""  # the file that wire.write_links made: the hops of each edge
    loss: float = 0.0  # probability that a packet gets lost on a hop; it is sent again a round trip later
    mtu_bytes: int = 1500  # payload of a packet
    seed: int = 0  # of the losses

    def __post_init__(self) -> None:
        if self.inner.partition(":")[0] == "shaped":
            raise InputError("links are shaped once", where="shaped", hint="inner=shm, tcp or memory")

    @cached_property
    def _transport(self) -> Transport:
        transport: Transport = catalog.make("wire/transports", self.inner.replace(";", ","))
        return transport

    def worker(self, name: str, program: Program, address: str, announce: Callable[[str], None]) -> ShapedEndpoint:
        """The endpoint of the unit `name`.

        Raises:
            InputError: the file of the links is missing, or of another machine.
            WireError: as the inner transport does.
        """
        return self._shaped(program, lambda: self._transport.worker(name, program, address, announce))

    def client(self, program: Program, addresses: Mapping[str, str]) -> ShapedEndpoint:
        """The coordinator's endpoint; raises like `worker`."""
        return self._shaped(program, lambda: self._transport.client(program, addresses))

    def _shaped(self, program: Program, meet: Callable[[], Endpoint]) -> ShapedEndpoint:
        if not self.links:
            raise InputError("the links to shape are not known", where="shaped", hint="shoal run gives them")
        carries = carrier(program, Path(self.links), Losses(self.loss, self.mtu_bytes, self.seed))
        try:
            return ShapedEndpoint(meet(), carries)
        except BaseException:  # also an interrupt while waiting for peers
            carries.close()
            raise
