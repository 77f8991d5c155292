"""A model whose weights another process keeps: the text of the local one, within the budget; and a peer that leaves."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.cli.app import run
from shoal.errors import ModelError, WireError
from shoal.llm.offload.elsewhere import paged_from
from shoal.llm.offload.experts import Budget, offload
from shoal.llm.offload.records import write_experts
from shoal.llm.service import Request
from shoal.llm.tiny import save_folder, tiny
from shoal.store import FileTier
from shoal.store.offer import Offer
from shoal.store.remote import RemoteTier
from tests.store.ways import way, worker

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

PROMPT = b"The name of the module "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tiny("llama"), tmp_path_factory.mktemp("whole") / "small")


@pytest.fixture(scope="module")
def bare(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without its weights."""
    place = tmp_path_factory.mktemp("bare")
    for name in ("config.json", "tokenizer.json"):
        (place / name).write_bytes((folder / name).read_bytes())
    return place


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Of a real worker that keeps the weights."""
    with worker(folder, module=("shoal", "worker")) as (_, found):
        yield found


def test_the_text_is_that_of_the_local_run_and_waiting_is_told(
    folder: Path, bare: Path, address: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = [PROMPT.decode(), "--tokens", "8", "--memory", "3MB"]
    assert run(["generate", str(folder), *asked]) == 0
    local = capfd.readouterr()
    trace = tmp_path / "trace.json"
    assert run(["generate", str(bare), *asked, "--weights-from", address, "--trace", str(trace)]) == 0
    remote = capfd.readouterr()
    assert remote.out == local.out
    assert f"of weights from {address}" in remote.err
    for told, tier in ((local, "disk"), (remote, "remote")):
        found = re.search(rf"\[waited (\d+) of (\d+) ms for weights: .* read from {tier}, \d+ % there", told.err)
        assert found
        assert 0 <= int(found[1]) <= int(found[2])
    events = json.loads(trace.read_text())["traceEvents"]
    assert {"computing", "waiting", "reading"} <= {each["args"].get("name") for each in events}
    assert run(["generate", str(bare), *asked, "--weights-from", address, "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["read_from"] == "remote"
    for read_bytes in (said["read_bytes"], sum(each["args"].get("bytes", 0) for each in events)):
        assert read_bytes > 8 * 4e6  # each of the steps what the budget leaves out of 7.4 MB at least
    assert 0 < said["waited_s"] < said["used_s"]


def test_another_address_stands_in_for_one_that_nobody_has(
    bare: Path, address: str, capfd: pytest.CaptureFixture[str]
) -> None:
    both = f"127.0.0.1:1, {address}"
    assert run(["generate", str(bare), "The", "--tokens", "2", "--memory", "3MB", "--weights-from", both]) == 0
    capfd.readouterr()
    assert run(["generate", str(bare), "The", "--memory", "3MB", "--weights-from", "127.0.0.1:1"]) == 1
    assert "remote at 127.0.0.1:1: cannot be reached: Connection refused" in capfd.readouterr().err


def test_a_replica_takes_over_in_the_middle_of_a_text(bare: Path, address: str) -> None:
    request = Request(tuple(PROMPT), 6)
    with paged_from([address], bare, 3 << 20) as (_, text):
        wanted = text.ask(request).all()
    with way(address) as first, paged_from([first.address, address], bare, 3 << 20) as (_, text):
        found = []
        for token in text.ask(request):
            found.append(token)
            first.spoil = lambda data: None
        assert found == wanted


def test_a_peer_that_leaves_ends_the_text_with_its_name_and_what_was_given_stays(folder: Path, bare: Path) -> None:
    given, gone = [], threading.Event()
    with worker(folder, module=("shoal", "worker")) as (process, address):
        with paged_from([address], bare, 3 << 20) as (_, text):
            stream = text.ask(Request(tuple(PROMPT), 200))
            for token in stream:
                given.append(token)
                if len(given) == 2:
                    process.kill()
                    process.wait()
                    gone.set()
        assert gone.is_set()
        assert 2 <= len(given) < 200
        assert stream.ended is not None
        assert stream.ended.reason == "lost"
        assert re.fullmatch(rf"remote at {address}, \d+(/\d+)*: .*", stream.ended.why)


def test_weights_of_another_model_and_options_that_do_not_go_together(
    bare: Path, address: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((bare / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": 300}))
    (tmp_path / "tokenizer.json").write_bytes((bare / "tokenizer.json").read_bytes())
    with (
        pytest.raises(ModelError, match=r"another model's .*vocab_size 300"),
        paged_from([address], tmp_path, 3 << 20),
    ):
        pass
    for more in (["--weights-from", address], ["--trace", str(tmp_path / "x")]):
        assert run(["generate", str(bare), "The", *more]) == 2
        assert "add --memory" in capfd.readouterr().err
    assert run(["generate", str(bare), "The", "--memory", "3MB"]) == 2
    assert "without weights" in capfd.readouterr().err


def test_a_store_of_something_else_is_no_decoder(bare: Path, tmp_path: Path) -> None:
    write_experts(tiny("mixtral").module(), tmp_path / "experts")
    refused = pytest.raises(ModelError, match="something else than a decoder's weights")
    with Offer(FileTier(tmp_path / "experts")) as offer, refused, paged_from([offer.address], bare, 3 << 20):
        pass


def test_experts_of_another_process_answer_to_the_last_bit_and_come_back(tmp_path: Path) -> None:
    model = tiny("mixtral").module()
    model.set_experts_implementation("eager")
    symbols, budget = torch.tensor([list(PROMPT)]), Budget(8 * 3 * 128 * 64 * 4)
    write_experts(model, tmp_path / "experts")
    with torch.no_grad():
        wanted = model(symbols).logits
        with worker(tmp_path / "experts") as (process, address):
            out = offload(model, lambda: RemoteTier(address, patience_s=5), budget)
            assert torch.equal(model(symbols).logits, wanted)
            told = out.store.told()
            assert told.tier.name == "remote"
            assert 0 < told.peak_bytes <= budget.budget_bytes
            process.kill()
            process.wait()
        with pytest.raises(WireError, match=f"remote at {address}"):
            model(symbols.flip(1))
        with pytest.raises(WireError, match=f"remote at {address}: cannot be reached"):
            out.undo()
        with worker(tmp_path / "experts", f"--listen={address}"):
            out.undo()  # nothing was lost
        assert torch.equal(model(symbols).logits, wanted)
