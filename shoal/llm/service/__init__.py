"""Language models kept ready on a fleet: continuous batching over a plan's workers, tokens as they come."""

from shoal.llm.service.generator import Counts, Generator, Places, generating
from shoal.llm.service.placed import Placed, Room, lowered, placed
from shoal.llm.service.sampling import Sampling
from shoal.llm.service.stream import Ended, Request, Stream
from shoal.llm.service.words import Words

__all__ = [
    "Counts",
    "Ended",
    "Generator",
    "Placed",
    "Places",
    "Request",
    "Room",
    "Sampling",
    "Stream",
    "Words",
    "generating",
    "lowered",
    "placed",
]
