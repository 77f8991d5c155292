"""The page about studies, opened in a real browser where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest

from shoal.study import Note, Table, conduct, job, write_page
from shoal.study._page import page
from shoal.study._text import Entry

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EVIL = "<script>window.evil=1</script><img src=x onerror=alert(1)>"


@pytest.fixture
def entry(family: Path) -> Entry:
    wanted = job("graham")
    return "graham", wanted.study, conduct(wanted)


def _dom(path: Path, folder: Path) -> str:
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--enable-logging=stderr", "--v=0", "--virtual-time-budget=10000", f"--user-data-dir={folder / 'b'}"]
    done = subprocess.run(
        [str(CHROMIUM), *flags, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=90, check=True
    )
    assert not re.findall(r".*(?:Uncaught|CONSOLE|Content Security Policy).*", done.stderr)
    return done.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_the_page_is_drawn_and_texts_stay_texts(entry: Entry, tmp_path: Path) -> None:
    name, study, result = entry
    assert result is not None
    hostile = result.adding(Note(EVIL)).adding(Table(EVIL, (EVIL,), [(EVIL,)]))
    write_page([(name, study, hostile)], tmp_path / "page.html")
    dom = _dom(tmp_path / "page.html", tmp_path)
    assert dom.count('data-drawn="yes"') == 1
    assert escape(EVIL, quote=False) in dom
    assert "<img" not in dom
    for told in (
        "1.75 ×",
        ">missed</b>",
        "by 100 %, within its spread",
        "not testable here",
        "that machine is gone",
    ):
        assert told in dom
    assert "shoal study graham" in dom
    assert "The worst case of the paper is built" in dom


def test_a_page_without_charts_needs_no_drawing_library(entry: Entry) -> None:
    name, study, _ = entry
    text = page([(name, study, None)])
    assert "Not run yet" in text
    assert text.count("not run</b>") == 4
    assert len(text) < 50_000
    assert "script-src 'none'" in text


def test_several_studies_are_an_overview_and_one_fold_each(entry: Entry) -> None:
    _, study, _ = entry
    text = page([entry, ("other", study, None)])
    assert "2 studies: claims 2 met, 1 missed, 1 not testable here, 4 not run" in text
    assert text.count("<details><summary>") == 2
    assert not re.search(
        r"https?://|src=|<link|@import|url\(", re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    )


def test_what_ended_early_says_so(entry: Entry) -> None:
    name, study, result = entry
    assert result is not None
    text = page([(name, study, replace(result, complete=False, failure="the belt <slipped>"))])
    assert "It ended early: the belt &lt;slipped&gt;" in text
