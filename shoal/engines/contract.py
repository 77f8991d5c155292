"""What an engine is: segment, inputs → outputs.

An engine is a technique of the family `engines`: its fields are its options. On the planning machine it writes
a segment in its own form; on the device it loads that form and runs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from shoal.program import Program, Segment

if TYPE_CHECKING:
    from shoal.graph import Graph

Arrays = Mapping[str, NDArray[Any]]


class Session(Protocol):
    """A loaded segment."""

    def run(self, inputs: Arrays, into: Arrays) -> Mapping[str, NDArray[Any]]:
        """Run once.

        Args:
            inputs: every input of the segment by name, C-contiguous, in the program's dtype and shape.
            into: memory for some of the outputs, by name; an engine writes there directly if it can.

        Returns:
            Every output by name. Those that were written into `into` are the very arrays of `into`.
        """


class Engine(Protocol):
    """A technique of `engines`."""

    def write(self, graph: Graph, ops: Sequence[str], folder: Path, stem: str) -> tuple[str, ...]:
        """Write the segment made of `ops` in this engine's form, on the planning machine.

        Returns:
            The names of the files below `folder`; `load` opens the first. Same content, same bytes.

        Raises:
            ModelError: the engine has no form for one of the ops; the message names it.
        """

    def load(self, program: Program, segment: Segment, folder: Path, threads: int) -> Session:
        """Load a segment on the device; `folder` holds `segment.files`."""
