"""The folder a device is given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shoal import codec
from shoal.errors import InputError
from shoal.program import Hop, Pace
from shoal.program.bundle import MANIFEST_FILE, PROGRAM_FILE, Bundle, FileMark, Manifest, mark, read, verify, write
from tests import toy

PACE = Pace({"look": 0.5}, {"photo": (Hop("wifi", 1e6, 0.003),)})


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """The eye's, written."""
    toy.write(tmp_path)
    program = toy.program()
    files = {name: mark(tmp_path / name) for name in ("look.onnx", "feel.onnx")}
    manifest = Manifest(toy.EYE, program.hash.hex(), 2, files, cores=(0, 1), pace=PACE)
    write(program, manifest, tmp_path)
    return Bundle(program, manifest, tmp_path)


def test_it_comes_back_as_it_was(bundle: Bundle) -> None:
    found = read(bundle.folder)
    assert found == bundle
    assert found.program.hash == bundle.program.hash
    verify(found)


def test_a_missing_file(bundle: Bundle) -> None:
    (bundle.folder / "look.onnx").unlink()
    with pytest.raises(InputError, match=r"look\.onnx: a file is missing"):
        read(bundle.folder)


def test_a_short_file(bundle: Bundle) -> None:
    file = bundle.folder / "look.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(
        InputError, match=rf"look\.onnx.*wrong length.*needed {len(whole)} B, had {len(whole) - 1} B"
    ):
        read(bundle.folder)


def test_an_altered_file_is_found_by_its_hash(bundle: Bundle) -> None:
    file = bundle.folder / "feel.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    found = read(bundle.folder)
    with pytest.raises(InputError, match=r"feel\.onnx: not the file the manifest names"):
        verify(found)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "in/../../outside"])
def test_a_path_out_of_the_folder(bundle: Bundle, name: str) -> None:
    (bundle.folder.parent / "outside").write_bytes(b"1")
    (bundle.folder / "in").mkdir()
    codec.save(replace(bundle.manifest, files={name: FileMark("0", 1)}), bundle.folder / MANIFEST_FILE)
    with pytest.raises(InputError, match="only name files inside its folder"):
        read(bundle.folder)


def test_a_link_out_of_the_folder(bundle: Bundle) -> None:
    (bundle.folder.parent / "outside").write_bytes(b"1")
    (bundle.folder / "link").symlink_to(bundle.folder.parent / "outside")
    codec.save(replace(bundle.manifest, files={"link": FileMark("0", 1)}), bundle.folder / MANIFEST_FILE)
    with pytest.raises(InputError, match="only name files inside its folder"):
        read(bundle.folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": 99}, "another protocol.*needed 1, had 99"),
        ({"program_hash": "00"}, "do not belong together"),
        ({"unit": "leg/cpu"}, "no unit 'leg/cpu'"),
    ],
)
def test_a_manifest_that_does_not_fit(bundle: Bundle, changes: dict[str, object], message: str) -> None:
    codec.save(replace(bundle.manifest, **changes), bundle.folder / MANIFEST_FILE)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        read(bundle.folder)


@pytest.mark.parametrize("name", [PROGRAM_FILE, MANIFEST_FILE])
@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b'{"unit": 3}'])
def test_a_damaged_description(bundle: Bundle, name: str, text: bytes) -> None:
    (bundle.folder / name).write_bytes(text)
    with pytest.raises(InputError, match=name):
        read(bundle.folder)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read: No such file"):
        read(tmp_path / "nowhere")
