from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.compress import nets
from tests.graph.models import write


def test_a_model_becomes_smaller(shoal: Any, tmp_path: Path) -> None:
    proto = nets.mlp(opset=17)
    path, given = write(proto, tmp_path), nets.samples(proto)
    np.savez(tmp_path / "inputs.npz", x=np.stack([each["x"] for each in given]))
    words = (
        "compress",
        path,
        "--with",
        "compensate",
        "--with",
        "gptq:format=int4g16",
        "--samples",
        tmp_path / "inputs.npz",
    )
    told = shoal(*words, "-o", tmp_path / "smaller").out
    assert "bits a weight in 3 layers" in told
    assert "a2: off by" in told
    facts = shoal(*words, "-o", tmp_path / "smaller", "--json").json
    assert facts["stored_bytes"] < facts["weights_bytes"] / 5
    assert {each["format"] for each in facts["layers"]} == {"int4g16"}
    plain, coded = (nets.answers(each, given) for each in (path, tmp_path / "smaller" / "model.onnx"))
    error = np.linalg.norm(coded - plain) / np.linalg.norm(plain)
    assert abs(error - facts["output_error"]["a2"]) < 0.01
    assert (tmp_path / "smaller" / "compress.json").exists()
    page = (tmp_path / "smaller" / "compress.html").read_text()
    assert page.count("int4g16") >= 3
    inspected = shoal("inspect", tmp_path / "smaller" / "model.onnx", "--json").json
    assert inspected["weights_bytes"] < facts["weights_bytes"] / 4


def test_both_models_are_timed(shoal: Any, tmp_path: Path) -> None:
    path = write(nets.mlp(256), tmp_path)
    words = ("compress", path, "--with", "rtn:format=hlq2g64", "--measure", "-o", tmp_path / "smaller")
    facts = shoal(*words, "--json").json
    assert [(each["model"], each["engine"]) for each in facts["timings"]] == [
        ("as it was", "onnxruntime"), ("smaller", "onnxruntime"), ("smaller", "native"),
    ]  # fmt: skip
    assert all(0 < each["low_s"] <= each["latency_s"] <= each["high_s"] for each in facts["timings"])
    assert "Speed and memory here" in (tmp_path / "smaller" / "compress.html").read_text()


def test_formats_are_mixed_for_so_many_bits(shoal: Any, tmp_path: Path) -> None:
    proto = nets.mlp()
    path, given = write(proto, tmp_path), nets.samples(proto)
    np.savez(tmp_path / "inputs.npz", x=np.stack([each["x"] for each in given]))
    facts = shoal(
        "compress", path, "--with", "gptq", "--mix", "int2g16/int4g16/int8", "--bits", "5", "--json",
        "--samples", tmp_path / "inputs.npz", "-o", tmp_path / "smaller",
    ).json  # fmt: skip
    assert 4 < facts["bits_per_weight"] <= 5
    assert {each["format"] for each in facts["layers"]} <= {"int2g16", "int4g16", "int8"}
    weighed = facts["mixes"]
    assert [each["name"] for each in weighed["uniform"]] == ["int2g16", "int4g16", "int8"]
    assert weighed["chosen"]["stored_bytes"] == facts["stored_bytes"]
    sizes, losses = ([each[key] for each in weighed["frontier"]] for key in ("stored_bytes", "loss"))
    assert (sizes, losses) == (sorted(sizes), sorted(losses, reverse=True))
    for each in weighed["uniform"]:  # none loses less than the mix of its size
        within = [loss for size, loss in zip(sizes, losses, strict=True) if size <= each["stored_bytes"]]
        assert min(within) <= each["loss"] * (1 + 1e-9)
    assert {(each["op"], each["format"]) for each in weighed["choices"] if each["chosen"]} == {
        (each["op"], each["format"]) for each in facts["layers"]
    }
    assert "Size against loss" in (tmp_path / "smaller" / "compress.html").read_text()
    less = shoal(
        "compress", path, "--with", "gptq", "--mix", "int2g16/int4g16/int8", "--bits", "5", "--json", "--skip", "m0",
        "--samples", tmp_path / "inputs.npz", "-o", tmp_path / "smaller",
    ).json  # fmt: skip
    assert (len(less["layers"]), 4 < less["bits_per_weight"] <= 5) == (2, True)


def test_a_network_is_equalised_before(shoal: Any, tmp_path: Path) -> None:
    proto = nets.mlp(opset=21)
    path, given = write(proto, tmp_path), nets.samples(proto)
    np.savez(tmp_path / "inputs.npz", x=np.stack([each["x"] for each in given]))
    words = (
        "compress", path, "--with", "smoothquant:alpha=0.4", "--with", "rtn", "--activations", "int8",
        "--samples", tmp_path / "inputs.npz", "-o", tmp_path / "smaller",
    )  # fmt: skip
    assert "3 tensors are equalised, 2 of them without another op" in shoal(*words).out
    facts = shoal(*words, "--json").json
    assert [(each["tensor"], each["into"]) for each in facts["equalised"]] == [
        ("x", []),
        ("a0", ["m0"]),
        ("a1", ["m1"]),
    ]


def test_weights_and_activations_in_floating_point_numbers(shoal: Any, tmp_path: Path) -> None:
    proto = nets.mlp(opset=21)
    path, given = write(proto, tmp_path), nets.samples(proto)
    np.savez(tmp_path / "inputs.npz", x=np.stack([each["x"] for each in given]))
    words = ("compress", path, "--with", "adaround:format=fp4", "--activations", "fp8", "--ends", "fp8", "--json")
    facts = shoal(*words, "--samples", tmp_path / "inputs.npz", "-o", tmp_path / "smaller").json
    assert [each["format"] for each in facts["layers"]] == ["fp8", "fp4", "fp8"]
    assert shoal("inspect", tmp_path / "smaller" / "model.onnx").code == 0
    assert "calibration samples" in shoal(*words, "-o", tmp_path / "smaller").out


def test_what_is_told_when_it_does_not_work(shoal: Any, tmp_path: Path) -> None:
    path = write(nets.mlp(), tmp_path)
    for words, said in (
        (("--with", "gptq:format=int4g16"), "calibration samples"),
        (("--with", "rtn:format=int4g48"), "do not divide 64 columns"),
        (("--with", "rtn:format=int99"), "no number format is called 'int99'"),
        (("--with", "rtn", "--with", "awq"), "awq works on the whole network"),
        (("--with", "nothing"), "no technique is called 'nothing'"),
        (("--with", "rtn", "--skip", "nobody"), "no product is called 'nobody'"),
    ):
        done = shoal("compress", path, *words, "-o", tmp_path / "smaller")
        assert (done.code, said in done.err) == (2, True), done.err


def test_formats_are_mixed_for_bytes_and_time(shoal: Any, tmp_path: Path) -> None:
    """Limits of the whole model, on this machine; the ends within them."""
    proto = nets.mlp(width=128, depth=4)
    path, given = write(proto, tmp_path), nets.samples(proto)
    np.savez(tmp_path / "inputs.npz", x=np.stack([each["x"] for each in given]))
    words = (
        "compress", path, "--with", "rtn", "--mix", "float32/int4g32/int8", "--ends", "int8", "--json",
        "--samples", tmp_path / "inputs.npz", "-o", tmp_path / "smaller",
    )  # fmt: skip
    facts = shoal(*words, "--max-size", "60 KiB", "--max-latency", "1 s", "--sensitivity", "kl").json
    assert facts["stored_bytes"] <= 60 * 1024
    formats = [each["format"] for each in facts["layers"]]
    assert (formats[0], formats[-1]) == ("int8", "int8")
    weighed = shoal(*words, "--alpha", "1", "--max-energy", "10 J").json
    assert [each["op"] for each in weighed["layers"]] == ["m0", "m3"]  # the others stay as they are
    done = shoal(*words, "--max-latency", "1 ns")
    assert (done.code, "do not go so low in latency" in done.out) == (1, True), done.out
    done = shoal(*words, "--max-size", "30 KiB")
    assert (done.code, "do not go so low in size" in done.out, "at least" in done.out) == (1, True, True), done.out


def test_inputs_may_be_made_up(shoal: Any, tmp_path: Path) -> None:
    path = write(nets.mlp(), tmp_path)
    told = shoal("compress", path, "--with", "gptq:format=int4g16", "--data-free", "4", "-o", tmp_path / "smaller")
    assert told.code == 0
    assert "warning: calibrated on noise" in told.err
    done = shoal(
        "compress", path, "--with", "rtn", "--data-free", "4", "--samples", path, "-o", tmp_path / "smaller"
    )
    assert (done.code, "samples are given" in done.err) == (2, True)


def test_limits_need_formats_to_choose_from(shoal: Any, tmp_path: Path) -> None:
    path = write(nets.mlp(), tmp_path)
    for words, said in (
        (("--max-latency", "12ms"), "--max-latency: there are no formats to choose from"),
        (("--bits", "4"), "--bits: there are no formats to choose from"),
        (("--mix", "int4/int8", "--max-latency", "12"), "--max-latency: a figure without its unit"),
        (("--mix", "int4/int8", "--max-size", "12 s"), "--max-size: another kind of unit"),
        (("--mix", "int4/int8", "--sensitivity", "k"), "no sensitivity is called 'k'"),
        (("--mix", "fp4/fp8", "--activations", "fp8", "--max-latency", "12ms"), "no time can be told"),
    ):
        done = shoal("compress", path, "--with", "rtn", *words, "-o", tmp_path / "smaller")
        assert (done.code, said in done.err) == (2, True), done.err


def test_formats_are_chosen_with_the_plan(shoal: Any, tmp_path: Path) -> None:
    proto = nets.mlp(64, 3)
    path, given = write(proto, tmp_path), nets.samples(proto)
    np.savez(tmp_path / "inputs.npz", x=np.stack([each["x"] for each in given]))
    (tmp_path / "fleet.toml").write_text('[devices.one]\nboard = "this-machine"\n')
    words = ("plan", path, tmp_path / "fleet.toml", "--formats", "int4g32/int8g32", "-o", tmp_path / "plan")
    assert "needed --samples FILE" in shoal(*words).err
    told = shoal(*words, "--samples", tmp_path / "inputs.npz", "--error", "5%").out
    assert "formats of 3 layers" in told
    assert (tmp_path / "plan" / "models" / "formats.json").exists()
    assert shoal("run", tmp_path / "plan", "--items", "4").code == 0
    wrong = shoal(*words, "--samples", tmp_path / "inputs.npz", "--error", "much")
    assert (wrong.code, "'much' is no share" in wrong.err) == (2, True)
