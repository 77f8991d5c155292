"""A headless Chromium told what to do over its debugging pipe: a page that listens for ever never ends by itself."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)


class Page:
    """One page. Messages are JSON that ends with a zero byte."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = os.fdopen(read, "rb", buffering=0), write
        self._rest, self._number, self._session = b"", 0, ""
        self.faults: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def open(self, url: str, width: int = 1280, height: int = 1600, *, dark: bool = False) -> None:
        """Go to `url` in a window of that size."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """What a line of JavaScript comes to."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str, most_s: float = 30.0) -> None:
        """Wait until it is true."""
        deadline_s = time.monotonic() + most_s
        while not self.value(expression):
            assert time.monotonic() < deadline_s, f"never true: {expression}"
            time.sleep(0.05)

    def picture(self, path: Path) -> None:
        """Keep what is to be seen."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))

    def ask(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            came = self._next()
            if came.get("id") == self._number:
                assert "error" not in came, came["error"]
                return came["result"]
            self._note(came)

    def _note(self, came: Mapping[str, Any]) -> None:
        """Keep errors of the page's scripts, and what its policy refused."""
        told = came.get("params", {})
        if came.get("method") == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(told["exceptionDetails"]))
        if came.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.faults.append(f"{told['entry'].get('url', '')} {told['entry']['text']}")

    def _next(self) -> Any:
        while b"\0" not in self._rest:
            chunk = self._read.read(1 << 16)
            assert chunk, "the browser has ended"
            self._rest += chunk
        found, self._rest = self._rest.split(b"\0", 1)
        return json.loads(found)


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A page of a browser of its own; it is gone afterwards."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()

    def at_their_places() -> None:
        high = [fcntl.fcntl(each, fcntl.F_DUPFD, 50) for each in (theirs_in, theirs_out)]
        for place, each in zip((3, 4), high, strict=True):
            os.dup2(each, place)

    process = subprocess.Popen(
        [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'browser'}"],
        preexec_fn=at_their_places,  # noqa: PLW1509  # it takes no lock
        pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        page = Page(ours_in, ours_out)
        try:
            yield page
        finally:
            page._read.close()
    finally:
        os.close(ours_out)
        process.terminate()
        process.wait(20)
