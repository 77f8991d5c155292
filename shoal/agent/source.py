"""Files by their SHA-256 from the hub, over HTTPS with mutual TLS."""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Iterator
from types import TracebackType

from shoal.agent.way import Way
from shoal.errors import WireError

PATIENCE_S = 15.0  # how long the hub may say nothing
BLOCK_BYTES = 1 << 18
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Interrupted(WireError):
    """The connection ended in the middle; what came is worth keeping."""


class Source:
    """One connection with a hub, made when first needed and again after it broke. For one thread."""

    def __init__(self, way: Way) -> None:
        """`way`: to the hub.

        Raises:
            InputError: its address is none.
        """
        self.address = way.address
        self._connection = way.connection(PATIENCE_S)

    def blocks(self, sha256: str, start: int, size: int) -> Iterator[bytes]:
        """The bytes from `start` on of the file of `size` bytes, in blocks; never more than asked for.

        Raises:
            Interrupted: the connection ended before all was there.
            WireError: the hub refuses, or speaks nonsense.
        """
        try:
            response = self._get(f"/parts/{sha256}", start)
            self._check(response, sha256, start, size)
            left = size - start
            while left:
                block = response.read(min(BLOCK_BYTES, left))
                if not block:
                    raise Interrupted("the hub stopped in the middle of a file", where=self.address)
                left -= len(block)
                yield block
            response.read()  # nothing, but the connection can be used again
        except ssl.SSLCertVerificationError as fault:
            self.close()
            raise WireError(f"not our hub: {fault.verify_message}", where=self.address) from fault
        except (OSError, http.client.HTTPException) as fault:
            self.close()
            raise Interrupted(f"the connection with the hub broke: {fault}", where=self.address) from fault
        except BaseException:  # the answer was not read to its end
            self.close()
            raise

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def __enter__(self) -> Source:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the connection."""
        self.close()

    def _get(self, path: str, start: int) -> http.client.HTTPResponse:
        headers = {"Range": f"bytes={start}-"} if start else {}
        self._connection.request("GET", path, headers=headers)
        return self._connection.getresponse()

    def _check(self, response: http.client.HTTPResponse, sha256: str, start: int, size: int) -> None:
        """The hub answers with what was asked for: before any of it is taken."""
        if response.status not in (http.client.OK, http.client.PARTIAL_CONTENT):
            text = response.read(1024).decode(errors="replace").strip()
            raise WireError(f"the hub refuses: {response.status} {text or response.reason}", where=self.address)
        first, length = 0, response.getheader("Content-Length", "")
        if response.status == http.client.PARTIAL_CONTENT:
            found = _RANGE.fullmatch(response.getheader("Content-Range", ""))
            first = int(found[1]) if found else -1
        if first != start or length != str(size - start):
            raise WireError(
                "the hub sends another part of a file than asked for", where=sha256,
                needed=f"{size - start} B from {start}", had=f"{length or 'unknown'} B from {first}",
            )  # fmt: skip
