"""A clock and one queue: the kernel that simulations run on."""

from shoal.events.kernel import Kernel

__all__ = ["Kernel"]
