"""Programs and bundles: what a device is given."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from shoal import codec
from shoal.program import Program, bundle, check
from shoal.worker.serve import load
from tests import toy
from tests.fuzz.mutations import damaged, fuzzed, json_text, mutated, mutated_json, survives

if TYPE_CHECKING:
    from tests.fuzz.conftest import Files

TOY = json.loads(codec.encode(toy.program()))


@given(mutated_json(TOY))
@fuzzed(250)
def test_a_program_is_refused_in_words_or_sound(data: bytes) -> None:
    program = survives(lambda: codec.decode(Program, data, "program.json"), "program.json")
    if program is not None:
        survives(lambda: check(program))


@given(st.data())
@fuzzed(60)
def test_a_checked_program_can_be_asked_everything(data: st.DataObject) -> None:
    text = json_text(data.draw(mutated(TOY, 1))).encode(errors="surrogatepass")
    program = survives(lambda: codec.decode(Program, text, "program.json"))
    if program is None or survives(lambda: (check(program), True)) is None:
        return
    assert len(program.hash) == 16
    assert len(program.bounds) == len(program.edges)
    assert all(program.route_of(entry) >= 0 for entry in program.entries)


@given(st.data(), st.sampled_from(("program.json", "manifest.json", "both")))
@fuzzed(80)
def test_a_bundle_is_refused_in_words_or_loaded(files: Files, data: st.DataObject, which: str) -> None:
    source = files.packed / "pi-cpu"
    folder = files.run.with_name("bundle")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    if which != "manifest.json":
        text = data.draw(mutated_json(files.json(source / "program.json"), 2))
        (folder / "program.json").write_bytes(text)
    if which != "program.json":
        manifest = files.json(source / "manifest.json")
        if which == "both":  # so that what is behind the hash is seen too
            program = survives(lambda: codec.load(Program, folder / "program.json"), "program.json")
            manifest["program_hash"] = program.hash.hex() if program else ""
            (folder / "manifest.json").write_text(json.dumps(manifest))
        else:
            (folder / "manifest.json").write_bytes(data.draw(mutated_json(manifest, 2)))
    found = survives(lambda: bundle.read(folder), str(folder))
    if found is not None:
        survives(lambda: bundle.verify(found))
        survives(lambda: load(found))


@given(st.data())
@fuzzed(25)
def test_a_damaged_segment_is_told_from_the_one_that_was_packed(files: Files, data: st.DataObject) -> None:
    source = files.packed / "pi-cpu"
    folder = files.run.with_name("bundle")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    name = next(iter(files.json(source / "manifest.json")["files"]))
    whole = (source / name).read_bytes()
    broken = data.draw(damaged(whole))
    (folder / name).unlink()
    (folder / name).write_bytes(broken)
    found = survives(lambda: bundle.read(folder), name)
    if found is not None and survives(lambda: (bundle.verify(found), True), name):
        assert broken == whole
    if found is not None:
        survives(lambda: load(found))
