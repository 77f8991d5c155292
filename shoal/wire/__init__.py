"""How parties talk: transports, one file each, the contract they keep, and links imitated on one machine."""

from shoal.wire.contract import Delivery, Endpoint, Left, Transport
from shoal.wire.network import Network, hosts
from shoal.wire.shaping import boot_id, write_links

__all__ = ["Delivery", "Endpoint", "Left", "Network", "Transport", "boot_id", "hosts", "write_links"]
