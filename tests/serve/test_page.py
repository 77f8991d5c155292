"""The page in a real browser, over a real server, while a device dies."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from shoal.serve.pages import document, policy
from tests.serve.browser import CHROMIUM, Page, browser
from tests.serve.conftest import listening
from tests.serve.scripted import Scripted, sums

EVIL = "<img src=x onerror=alert(1)>"
PLACES = "[...document.querySelectorAll('section, .card, .device')].map((it) => it.getBoundingClientRect().top + scrollY)"
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")


@contextmanager
def dying() -> Iterator[tuple[str, Scripted]]:
    """A fleet that is loaded for two minutes of history, and loses 'zero' 3 s after somebody looks."""
    backend = Scripted(sums)
    backend.happen("began", "small", "pi4/cpu → pi3/cpu → zero/cpu is ready")
    ended = threading.Event()

    def live() -> None:
        while not backend.listeners and not ended.is_set():
            time.sleep(0.05)
        for number in range(1000):
            if ended.wait(0.25):
                return
            lost = number > 10
            backend.become(
                throughput_items_per_s=0.0 if 10 < number < 13 else 18.0 + number % 5,
                latency_s={"p50": 0.05 + 0.004 * (number % 3), "p99": 0.3 if 10 < number < 16 else 0.08},
                answered=number * 5, in_flight=number % 4, queued=number % 3 + (6 if 10 < number < 16 else 0),
            )  # fmt: skip
            if number == 11:
                died = replace(
                    backend.said.devices[2], present=False, since_s=time.time(), units=(), why="no beat for 1.0 s"
                )
                backend.become(devices=(*backend.said.devices[:2], died), resent=3)
                backend.happen("lost", "zero", "no beat for 1.0 s; 3 items are begun again")
            if number == 13 and lost:
                backend.become(epoch=1, pipeline=("pi4/cpu", "pi3/cpu"), standbys={})
                backend.happen("switched", "1", "pi4/cpu → pi3/cpu serves")

    with listening(backend) as url:
        thread = threading.Thread(target=live)
        thread.start()
        try:
            yield url, backend
        finally:
            ended.set()
            thread.join()


@needs_browser
def test_a_device_dies_before_the_eyes(tmp_path: Path) -> None:
    with dying() as (url, _), browser(tmp_path) as page:
        page.open(url)
        page.wait_for("document.querySelectorAll('.device').length === 3")
        page.wait_for("document.getElementById('status').textContent === 'serving'")
        assert page.value("document.querySelectorAll('.device.gone').length") == 0
        places = page.value(PLACES)
        page.wait_for("document.querySelector('.log li.lost') !== null")
        page.wait_for("document.querySelector('.device.gone b')?.textContent === 'zero'")
        page.wait_for("document.querySelector('.device.gone span').textContent.startsWith('✕ gone')")
        card = page.value("document.querySelector('.device.gone').textContent")
        assert re.search(r"✕ gone \d\d:\d\d:\d\d", card)
        assert "no beat for 1.0 s" in card
        page.wait_for("document.querySelector('.log .recovered.done') !== null")
        page.wait_for("document.getElementById('facts').textContent.startsWith('epoch 1')")
        time.sleep(2)  # a few points more for the lines
        assert page.value(PLACES)[:-1] == places[:-1]  # nothing above the pipeline moved
        assert page.value("document.querySelectorAll('svg .marker').length") == 2  # one in each chart
        lines = page.value("[...document.querySelectorAll('svg path')].map((it) => it.getAttribute('d'))")
        assert len(lines) == 4
        assert all(re.match(r"M[\d. ]+L", line) for line in lines)
        assert page.value("document.getElementById('log').getAttribute('aria-live')") == "polite"
        assert "2 of 3 devices" in page.value("document.getElementById('there').textContent")
        assert page.value("[...document.querySelectorAll('#pipeline li')].length") == 2
        assert page.value("document.querySelector('.log').textContent").count("after it was noticed") == 1
        keep(page, "died")
        assert page.faults == []


@needs_browser
@pytest.mark.parametrize("width", [360, 400, 1280])
def test_nothing_hangs_over_and_strings_stay_text(width: int, tmp_path: Path) -> None:
    backend = Scripted(sums)
    backend.become(
        devices=tuple(replace(it, name=f"{EVIL}{it.name}", board=EVIL * 9, why=EVIL * 9) for it in backend.said.devices),
        pipeline=(EVIL * 4, "pi3/cpu"), standbys={EVIL * 3: EVIL * 9},
    )  # fmt: skip
    backend.happen("lost", EVIL * 5, EVIL * 20)
    with listening(backend, name=f"{EVIL}{'a' * 90}") as url, browser(tmp_path) as page:
        page.open(url, width, 2400, dark=True)
        page.wait_for("document.querySelectorAll('.device').length === 3")
        assert page.value("document.documentElement.scrollWidth") <= width
        assert page.value("document.querySelectorAll('img').length") == 0
        assert page.value("document.querySelector('.device b').textContent").startswith(EVIL)
        keep(page, f"evil-{width}")
        assert page.faults == []


@needs_browser
def test_a_service_that_ends_is_seen(tmp_path: Path) -> None:
    with browser(tmp_path) as page:
        with listening(Scripted(sums)) as url:
            page.open(url)
            page.wait_for("document.getElementById('status').textContent === 'serving'")
        page.wait_for("document.getElementById('status').textContent === 'no connection'")


def keep(page: Page, name: str) -> None:
    """Keep a picture for people to look at, where SHOAL_PICTURES names a folder."""
    if folder := os.environ.get("SHOAL_PICTURES"):
        page.picture(Path(folder) / f"{name}.png")


def test_the_page_needs_no_other_server() -> None:
    text = document("x")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|src=|<link|@import|url\(", text)
    assert "default-src 'none'" in policy()


def test_a_name_is_text() -> None:
    assert "<title>&lt;b&gt; · shoal" in document("<b>")


def test_without_a_page() -> None:
    with listening(Scripted(sums), page=False) as url:
        assert httpx.get(url).status_code == 404
    with listening(Scripted(sums)) as url:
        assert httpx.get(url).headers["content-security-policy"] == policy()
