"""How parties talk: transports, one file each, and the contract they keep."""

from shoal.wire.contract import Delivery, Endpoint, Left, Transport

__all__ = ["Delivery", "Endpoint", "Left", "Transport"]
