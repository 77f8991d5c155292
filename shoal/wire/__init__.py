"""How parties talk: transports, one file each, and the contract they keep."""

from shoal.wire.contract import Delivery, Endpoint, Left, Transport
from shoal.wire.shaping import boot_id, write_links

__all__ = ["Delivery", "Endpoint", "Left", "Transport", "boot_id", "write_links"]
