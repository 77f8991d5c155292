"""The last tokens alone."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.kv.policies.contract import Head, at_least
from shoal.kv.policies.streaming import Ends


@dataclass(frozen=True)
class Sliding:
    """A token sees the last ones; a prompt that comes at once sees all of itself.

    Raises:
        InputError: an empty window.
    """

    window: int = 1024  # tokens, the newest included
    spare: int = 0  # tokens before those that are held, not read: so many can be taken back

    def __post_init__(self) -> None:
        at_least(1, window=self.window)
        at_least(0, spare=self.spare)

    def store(self, layer: int) -> Ends:
        """See `Policy`."""
        return Ends(0, self.window, self.spare)

    def held_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """See `Policy`."""
        return min(tokens, self.window + self.spare) * head.token_bytes

    def read_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """See `Policy`."""
        return min(tokens, self.window) * head.token_bytes
