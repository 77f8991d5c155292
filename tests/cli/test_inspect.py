from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Any

import pytest

from tests.graph.models import write
from tests.graph.recurrent import NETS
from tests.llm.configs import DEEPSEEK_V3


def test_json_has_every_op_and_cut(shoal: Any, model: Path) -> None:
    facts = shoal("inspect", model, "--json").json
    assert set(facts) == {"name", "sha256", "inputs", "outputs", "ops", "macs", "weights_bytes", "cuts"}
    assert [op["name"] for op in facts["ops"]] == [f"{kind}{layer}" for layer in range(4) for kind in "cr"]
    assert facts["macs"] == sum(op["macs"] for op in facts["ops"]) == 32 * 32 * 9 * 8 * (3 + 8 + 8 + 8)
    assert facts["weights_bytes"] == 4 * 9 * 8 * (3 + 8 + 8 + 8)
    assert {cut["bytes"] for cut in facts["cuts"]} == {4 * 8 * 32 * 32}
    assert facts["inputs"] == {"image": ["float32", [1, 3, 32, 32]]}


@pytest.mark.parametrize("columns", [80, 120])
def test_a_line_for_every_cut_with_what_lies_before_it(columns: int, shoal: Any, model: Path) -> None:
    lines = shoal("inspect", model, columns=columns).out.splitlines()
    assert lines[0].strip() == "four"
    assert "0.00199 G multiply-accumulates" in lines[1]
    first = next(line for line in lines if line.startswith("r0"))
    assert first.split() == ["r0", "Relu", "11.1%", "864", "B", "32", "KiB"]
    assert max(map(len, lines)) <= columns


def test_ops_gives_a_line_for_every_op(shoal: Any, model: Path) -> None:
    lines = shoal("inspect", model, "--ops").out.splitlines()
    assert sum(line.split()[1:2] in (["Conv"], ["Relu"]) for line in lines) == 8
    conv = next(line for line in lines if line.startswith("c1"))
    assert conv.split()[:4] == ["c1", "Conv", "0.5898", "M"]


def test_what_is_carried_is_shown(shoal: Any, tmp_path: Path) -> None:
    model = write(NETS["single"].proto, tmp_path)
    carry = ("--carry", "h=h2,initial=0.5,scope=stream")
    facts = shoal("inspect", model, *carry, "--json").json
    assert facts["carried"] == [{"input": "h", "output": "h2", "initial": 0.5, "scope": "stream", "rows": ""}]
    assert facts["loops"] == [["hu", "s", "h2"]]
    assert (list(facts["inputs"]), list(facts["outputs"])) == (["x"], ["y"])
    lines = shoal("inspect", model, *carry).out
    assert "kept h: float32 [1, 6], from h2 of the item before in the stream" in lines


@pytest.mark.parametrize(
    ("carry", "told"),
    [
        ("h", "'h' says not what to carry"),
        ("=h2", "says not what to carry"),
        ("h=", "says not what to carry"),
        ("h=h2,begin=1", "says not what to carry"),
        ("h=h2,input=x", "says not what to carry"),
        ("h=h2,initial=one", "Expected `float`"),
        ("h=h2,initial=nan", "the initial value must be a figure"),
        ("h=h2,scope=item", "Invalid enum value 'item'"),
        ("h=h3", "the model has no output 'h3'"),
        ("h1=h2", "the model has no input 'h1'"),
        ("x=h2", "all inputs are carried"),
    ],
)
def test_states_that_cannot_be(carry: str, told: str, shoal: Any, tmp_path: Path) -> None:
    model = write(NETS["single"].proto, tmp_path)
    more = ("--carry", "h=h2") if carry == "x=h2" else ()
    assert told in shoal("inspect", model, *more, "--carry", carry).complaint


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no.onnx",), "no.onnx: cannot read"),
        ((".",), "cannot read"),
        (("bad.onnx",), "bad.onnx: not an ONNX model"),
        (("{model}", "--shape", "image"), "--shape: 'image' is no shape"),
        (("{model}", "--shape", "image=1,3,-2,2"), "is no shape"),
        (("{model}", "--shape", "imago=1,3,32,32"), "no input 'imago'"),
        ((), "Missing argument"),
        (("{model}", "another.onnx"), "unexpected extra argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes(arguments: tuple[str, ...], told: str, shoal: Any, model: Path) -> None:
    Path("bad.onnx").write_bytes(b"\x08\xff\xff not a model")
    assert told in shoal("inspect", *(each.format(model=model) for each in arguments)).complaint


def test_a_language_model_is_described_from_its_configuration_alone(shoal: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(dumps(DEEPSEEK_V3))
    facts = shoal("inspect", tmp_path, "--json").json
    assert facts["parameters"] == 671_026_419_200
    assert facts["training_flops"] == pytest.approx(250e9, rel=0.01)
    assert facts["lengths"][0] == {"tokens": 1, "cache_bytes": 70_272, "macs": facts["lengths"][0]["macs"]}
    told = " ".join(shoal("inspect", tmp_path / "config.json").out.split())
    assert "671,026,419,200 parameters, of which a token meets 37" in told
    assert "3 latent and dense, 58 latent and experts" in told
    assert "training takes 250.5 GFLOP a token" in told


def test_a_configuration_of_an_unknown_kind_is_an_error_in_words(shoal: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "lama"}')
    found = shoal("inspect", tmp_path)
    assert found.code == 2
    assert "no language model of the kind 'lama' is known" in found.err
    assert "did you mean 'llama'" in found.err
