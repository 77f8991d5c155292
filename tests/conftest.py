"""A cache folder of its own for every test, also of the processes it starts; foreign models are fetched once."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.stalls import Stalls

# Another test may hold the core: pytest-timeout stops what hangs, and no example is judged by its time. A change is
# judged by the same examples everywhere; `make search` looks for new ones, and what it finds becomes a test of its own.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("same")

KEPT = Path(os.environ.get("SHOAL_CACHE") or Path.home() / ".cache" / "shoal")
MULTIPLIER = "booth_ks_sm"
FETCHED = ("models", "packages")  # what examples download, and build from downloads


# Started in the background, a process ignores SIGINT, and so would those whose interruption is tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    for kind in FETCHED:
        (KEPT / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind).symlink_to(KEPT / kind)
    monkeypatch.setenv("SHOAL_CACHE", str(folder))
    yield folder
    for made in folder.iterdir():  # what thousands of tests keep would fill a disk; paths by the links stay good
        if not made.is_symlink():
            shutil.rmtree(made, ignore_errors=True)  # a process that is ending may still write there


@pytest.fixture(autouse=True)
def whoever_interrupts_is_heard() -> Iterator[None]:
    """No test, and nothing called by one, leaves another handler behind: later interruptions would go to it."""
    yield
    left = signal.signal(signal.SIGINT, signal.default_int_handler)
    assert left is signal.default_int_handler, f"a handler of SIGINT was left behind: {left}"


@pytest.fixture(scope="module")
def one_torch_thread() -> Iterator[None]:
    """For answers that are compared to the bit: several threads add in another order every time."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def multipliers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the table of one multiplier: it takes seconds to make."""
    from shoal.machines.multipliers import mac_table

    folder = tmp_path_factory.mktemp("multipliers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOAL_CACHE", str(folder))
        mac_table(MULTIPLIER)
    return folder / "multipliers"


@pytest.fixture
def multiplier(multipliers: Path, cache_folder: Path) -> str:
    """A multiplier whose table is there."""
    (cache_folder / "multipliers").symlink_to(multipliers)
    return MULTIPLIER


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Stalls())
