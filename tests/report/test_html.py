"""The page, opened in a real browser where there is one."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest

from shoal.errors import InputError
from shoal.record import Run
from shoal.report import write_html
from shoal.report.html import page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=10000",
]
EVIL = "<script>window.evil=1</script><img src=x onerror=alert(1)>"
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")

Browse = Callable[[Path], str]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Open a file, refuse any error of its scripts, and give the page as it stands after drawing."""

    def opened(path: Path) -> str:
        command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
        assert not re.findall(r".*(?:Uncaught|CONSOLE|Content Security Policy).*", done.stderr)
        return done.stdout

    return opened


def evil(run: Run) -> Run:
    """`run` with markup wherever a text comes from outside."""
    spans = tuple(replace(s, name=EVIL, unit=f"{EVIL}/{s.unit}") for s in run.spans)
    size = len(run.outline.ops)
    outline = replace(run.outline, ops=(EVIL,) * size, kinds=(EVIL,) * size, units=(f"{EVIL}/cpu",) * size)
    return replace(
        run,
        name=EVIL,
        model=EVIL,
        devices={EVIL: run.devices["pi-0"]},
        spans=spans,
        outline=outline,
        versions={EVIL: EVIL},
        started_at=EVIL,
        notes=(EVIL,),
        front=tuple(replace(p, label=EVIL) for p in run.front),
    )


@needs_browser
def test_one_run_is_drawn(run: Run, tmp_path: Path, browse: Browse) -> None:
    write_html([run], tmp_path / "report.html")
    dom = browse(tmp_path / "report.html")
    assert dom.count('data-drawn="yes"') == 3  # plans, timeline, network
    assert dom.count('class="main-svg"') >= 3
    bars = dom.count('class="point"')
    assert bars > 50, "the timeline has no bars"
    assert 'class="scatterlayer' in dom
    for words in (run.model, "2025-03-01 12:30 UTC", "onnxruntime 1.22.0", "predicted 24.7 /s", "emulated"):
        assert words in dom


@needs_browser
def test_several_runs_are_compared(run: Run, tmp_path: Path, browse: Browse) -> None:
    other = replace(run, name="slower", period_s=0.06, outputs_match=False)
    write_html([run, other], tmp_path / "report.html")
    dom = browse(tmp_path / "report.html")
    assert dom.count('data-drawn="yes"') == 5  # throughput, latency, plans; the second run's wait folded
    assert "Side by side" in dom
    assert "<strong" in dom


@needs_browser
def test_strings_from_outside_stay_text(run: Run, tmp_path: Path, browse: Browse) -> None:
    write_html([evil(run), evil(run)], tmp_path / "report.html")
    dom = browse(tmp_path / "report.html")
    assert escape(EVIL, quote=False) in dom
    assert "<img" not in dom
    assert "<script>window" not in dom


@needs_browser
def test_nothing_hangs_over_a_narrow_screen(run: Run, tmp_path: Path, browse: Browse) -> None:
    frame = f'<iframe width="360" height="5000" srcdoc="{escape(page([run, evil(run)]))}"></iframe>'
    script = (
        "onload = () => { const root = document.querySelector('iframe').contentDocument;"
        "document.title = root.documentElement.scrollWidth + ' ' + root.querySelectorAll('.main-svg').length; }"
    )
    (tmp_path / "frame.html").write_text(f"<title></title>{frame}<script>{script}</script>")
    title = re.search("<title>(.*?)</title>", browse(tmp_path / "frame.html"))
    assert title is not None
    width, drawings = map(int, title.group(1).split())
    assert width <= 360
    assert drawings > 3


@needs_browser
def test_the_oddest_run_opens(tmp_path: Path, odd_nothing: Run, browse: Browse) -> None:
    write_html([odd_nothing], tmp_path / "report.html")
    assert "throughput" in browse(tmp_path / "report.html")


def test_odd_runs_have_a_page(odd_run: Run) -> None:
    text = page([odd_run, odd_run])
    assert "NaN" not in text.split('id="charts">')[1].split("</script>")[0]
    assert not re.search(r">\s*(nan|None)\b", text)


def test_the_page_needs_no_network(run: Run) -> None:
    own = re.sub(r"<script>.*?</script>", "", page([run]), flags=re.DOTALL)
    assert not re.search(r"https?://|src=|<link|@import|url\(", own)
    assert "default-src 'none'" in own


def test_the_drawing_library_is_there_once(run: Run) -> None:
    assert page([run, run]).count("plotly.js v") == page([run]).count("plotly.js v") >= 1


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run"):
        write_html([], tmp_path / "report.html")


def test_a_page_that_cannot_be_written_is_a_clear_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_html([run], tmp_path / "file" / "report.html")
