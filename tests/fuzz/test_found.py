"""What fuzzing found once: each must stay a refusal in words."""

from __future__ import annotations

import base64
import dataclasses
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from shoal import codec
from shoal.catalog import make
from shoal.cli import options
from shoal.errors import (
    InputError,
    LimitError,
    ModelError,
    PlanError,
    ProgramError,
    WireError,
)
from shoal.fleet import Device, Link, Unit, loads
from shoal.graph import Split, divide, load, node_names
from shoal.graph.divide import Part
from shoal.identity import authority, signing
from shoal.live.drift import Drift
from shoal.plan.planners.mapping_file import read_mapping
from shoal.program import Program, TensorSpec, Workload, bundle, check
from shoal.program.bundle import Bundle, Manifest
from shoal.program.workload_file import load_workload
from shoal.record import Outline
from shoal.run.arrays import load_arrays
from shoal.run.pack import read_samples
from shoal.units import parse
from shoal.wire.slots import lay_out, private_slots
from shoal.worker import Clock, Throttle, answer_of, check_report
from shoal.worker.clock import LONGEST_S
from shoal.worker.serve import load as load_bundle
from shoal.worker.words import start_of
from tests.fuzz.conftest import network
from tests.fuzz.mutations import limits, survives
from tests.fuzz.test_commands import told
from tests.programs import chain

if TYPE_CHECKING:
    from tests.fuzz.conftest import Files

DEEP = "[" * 100_000
UNIT = Unit("cpu", 1, {"float32": 1e9}, 1e9, 1.0)


@pytest.mark.parametrize(
    ("name", "read"),
    [("a.json", load_workload), ("a.toml", load_workload), ("a.json", read_mapping)],
)
def test_files_that_nest_without_end(name: str, read: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / name).write_text(f"a = {DEEP}" if name.endswith("toml") else DEEP)
    with pytest.raises(InputError, match=name):
        read(tmp_path / name)


@pytest.mark.parametrize("line", ['memory = "1e308 B"', "cores = [4294967296]", "stock = 9223372036854775808"])
def test_fleets_with_figures_beyond_all_machines(line: str) -> None:
    with pytest.raises(InputError, match=r"devices\.pi"):
        loads(f'[devices.pi]\nboard = "raspberry-pi-4b-4gb"\n{line}')


@pytest.mark.parametrize("text", ["1" + "0" * 30, "-" + "9" * 19, "9223372036854775808"])
def test_integers_that_nobody_else_would_read(text: str) -> None:
    with pytest.raises(InputError, match=r"here: .*an integer is too large"):
        codec.decode(dict[str, Any], f'{{"a": [{{"b": {text}}}]}}'.encode(), "here")
    assert codec.decode(dict[str, Any], b'{"a": 9223372036854775807, "b": "10000000000000000000000"}', "here")


def test_what_cannot_be_written_as_json() -> None:
    with pytest.raises(InputError, match="no text"):
        codec.encode({"path": "\udcff.onnx"})


def test_a_value_that_refuses_itself_names_the_file() -> None:
    with pytest.raises(InputError, match=r"plan.json: not a Workload: .* at least one item"):
        codec.decode(Workload, b'{"items": 0}', "plan.json")


@pytest.mark.parametrize(
    "made",
    [
        lambda: Link("l", ("a", "b"), 0.0, 0.1),
        lambda: Link("l", ("a", "b"), 1.0, -0.1),
        lambda: Device("d", "", (UNIT,), 1, 1, 1.0, speed=0.0),
        lambda: Device("d", "", (UNIT,), 1, 1, 1.0, speed=5.0),
        lambda: Workload(2**62),
        lambda: Outline(("a",), ("Conv",), (1,), (), ()),
        lambda: Manifest("a/cpu", "", 0, {}),
        lambda: Manifest("a/cpu", "", 2**31, {}),
        lambda: Manifest("a/cpu", "", 1, {}, speed=0.0),
        lambda: Manifest("a/cpu", "", 1, {}, cores=(-1,)),
        lambda: codec.decode(Manifest, b'{"unit": "", "program_hash": "", "threads": 1, "files": {}, "pace": {"segments_s": '
                             b'{}, "hops": {"e": [{"medium": "m", "bytes_per_s": 0, "latency_s": 0}]}}}', "m"),
    ],
)  # fmt: skip
def test_values_that_nothing_could_run_with(made: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        made()


@pytest.mark.parametrize(
    "change",
    [{"replicas": []}, {"replicas": [{"groups": []}]}, {"window": 0}, {"prediction": {"period_s": 0}}],
)
def test_plans_that_say_nothing(files: Files, change: dict[str, Any]) -> None:
    plan = files.json(files.plan / "plan.json")
    if "prediction" in change:
        change = {"prediction": plan["prediction"] | change["prediction"]}
    path = files.run.with_name("nothing.json")
    path.write_text(json.dumps(plan | change))
    with pytest.raises(InputError, match=r"nothing.json"):
        options.plan(path)


@pytest.mark.parametrize(
    "split",
    [
        Split("c0", ()),
        Split("c0", (Part(0, ()),)),
        Split("c0", (Part(-1, ((0, 1), (0, 4), (0, 8), (0, 8))),)),
        Split("c0", (Part(0, ((0, 1), (0, 4), (0, 2**40), (0, 8))),)),
        Split("c0", (Part(0, ((0, 1), (0, 4), (0, 8), (0, 8)), (0, 1)),)),
    ],
)
def test_splits_that_are_none(files: Files, split: Split) -> None:
    with pytest.raises(PlanError, match="c0"):
        divide(load(files.model), (split,))


def _changed(change: Callable[[onnx.ModelProto], None], path: Path) -> Path:
    model = network()
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def _circle(model: onnx.ModelProto) -> None:
    function = model.functions.add(name="Relu", domain="")
    function.input.append("x")
    function.output.append("y")
    function.node.add(op_type="Relu", input=["x"], output=["y"])
    function.opset_import.add(domain="", version=17)


def _two_dimensions(model: onnx.ModelProto) -> None:
    sizes = next(each for each in model.graph.initializer if each.name == "sizes")
    sizes.CopyFrom(numpy_helper.from_array(np.ones((2, 2), np.int64), "sizes"))


def _wrong_field(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.uint64_data.extend([1] * 108)


@pytest.mark.parametrize(
    "change",
    [
        _circle,
        _wrong_field,
        lambda model: model.opset_import.add(domain="x", version=2**40),
        lambda model: model.opset_import.add(domain="ai.onnx", version=99),
    ],
)
def test_models_that_lie(change: Callable[[onnx.ModelProto], None], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"lying.onnx"):
        load(_changed(change, tmp_path / "lying.onnx"))


@pytest.mark.parametrize("value", [np.ones(2, np.float32), 3])
def test_constants_filled_with_what_is_no_figure(value: np.ndarray | int, tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        node = next(each for each in model.graph.node if each.op_type == "ConstantOfShape")
        tensor = value if isinstance(value, int) else numpy_helper.from_array(value)
        node.attribute.append(helper.make_attribute("value", tensor))

    path = _changed(change, tmp_path / "lying.onnx")
    survives(lambda: load(path), "lying.onnx")


def test_sizes_of_two_dimensions_are_left_as_they_are(tmp_path: Path) -> None:
    assert "ones" in load(_changed(_two_dimensions, tmp_path / "lying.onnx")).position


def test_the_names_of_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "damaged.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match=r"damaged.onnx"):
        node_names(tmp_path / "damaged.onnx")


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f4', 'fortran_order': False,",
        "(" * 500,
    ],
)
def test_arrays_whose_headers_lie(header: str, tmp_path: Path) -> None:
    text = header.encode().ljust(118)
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(64))
    with pytest.raises(InputError, match=r"x\.npy: not a \.npy or \.npz"):
        load_arrays(tmp_path / "x.npy")


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": np.ones(3)},
        {"in:x": np.ones(3)},
        {"in:x": np.ones(3), "out:y": np.ones(())},
        {"in:x": np.ones((0, 3))},
    ],
)
def test_samples_of_nothing(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", **arrays)  # type: ignore[arg-type]  # its stub has one more keyword
    with pytest.raises(InputError, match=r"samples\.npz"):
        read_samples(tmp_path / "samples.npz")


def _with_dtype(program: Program, dtype: str) -> Program:
    spec = TensorSpec(dtype, (4,))
    edges = tuple(dataclasses.replace(edge, spec=spec) for edge in program.edges)
    return dataclasses.replace(program, edges=edges, tensors=dict.fromkeys(program.tensors, spec))


@pytest.mark.parametrize("dtype", ["flo", "", "complex64"])
def test_types_that_no_message_carries(dtype: str, tmp_path: Path) -> None:
    program = _with_dtype(chain("a/cpu"), dtype)
    with pytest.raises(ProgramError, match=r"unknown type|no message carries"):
        check(program)
    bundle.write(program, Manifest("a/cpu", program.hash.hex(), 1, {}), tmp_path)
    with pytest.raises(InputError, match="no program that could run"):
        bundle.read(tmp_path)


def test_sizes_below_zero() -> None:
    with pytest.raises(ProgramError, match=r"has no shape: .* negative"):
        check(chain("a/cpu", floats=-4))


def test_sizes_that_are_none(tmp_path: Path) -> None:
    program = dataclasses.replace(chain("a/cpu"), tensors={"x": TensorSpec("float32", ("NaN W",))})
    bundle.write(program, Manifest("a/cpu", program.hash.hex(), 1, {}), tmp_path)
    with pytest.raises(InputError, match=r"program\.json: .*'NaN W' is no size"):
        bundle.read(tmp_path)


def test_tensors_larger_than_the_machine(tmp_path: Path) -> None:
    program = chain("a/cpu", floats=2**60)
    with pytest.raises(LimitError, match="does not fit this machine"):
        load_bundle(Bundle(program, Manifest("a/cpu", program.hash.hex(), 1, {}), tmp_path))


def test_buffers_larger_than_any_machine() -> None:
    for window in (2**50, 2**62):
        with pytest.raises(LimitError, match="no room for the messages under way"):
            lay_out(chain("a/cpu", window=window), (0,))
    with limits(), pytest.raises(LimitError, match="no room"):
        private_slots(chain("a/cpu", window=2**20), (0,))


REPORT: dict[str, Any] = {
    **{"is": "report", "unit": "a/cpu", "busy_s": 0.0, "cpu_s": 0.0, "spans": [], "spans_dropped": 0, "facts": []},
    **{"behind_s": None, "missed": [], "sent_bytes": 0, "received_bytes": 0, "resident_bytes": 0, "peak_bytes": 0},
}


@pytest.mark.parametrize(
    "message",
    [
        {"is": "error"},
        {"is": "ready"},
        {"is": "clock", "now_s": "soon"},
        {"is": "settled", "pending": 0},
        {"is": "report"},
        REPORT | {"unit": "b/cpu"},
        REPORT | {"spans": [["run", "s0", 0, 0.0]]},
        REPORT | {"sent_bytes": -1},
        REPORT | {"missed": [None]},
    ],
)
def test_answers_of_workers_that_are_not_whole(message: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="a/cpu"):
        answer_of(message, "a/cpu")


@pytest.mark.parametrize("row", [["run", "other", 0, 0.0, 0.0, 0], ["transfer", "s0", 0, 0.0, 0.0, 0]])
def test_reports_of_what_is_not_ones_own(row: list[Any]) -> None:
    with pytest.raises(WireError, match="not its own"):
        check_report(answer_of(REPORT | {"spans": [row]}, "a/cpu"), chain("a/cpu"), "a/cpu")


def test_vitals_of_segments_that_nobody_predicted() -> None:
    drift = Drift()
    drift.learn(0, "a/cpu", {"busy_s": 9.0, "ran": {"other": 5, "s0": 1}}, {"s0": 1.0})
    assert drift.news()


@pytest.mark.parametrize("stretch", [0.0, -1.0, "much", None])
def test_starts_that_no_clock_follows(stretch: object) -> None:
    with pytest.raises(WireError, match="'start'"):
        start_of({"do": "start", "origin": {}, "stretch": stretch}, "client")


def test_waits_longer_than_the_system_can() -> None:
    slept: list[float] = []
    throttle = Throttle(1e-320, sleep=slept.append, cpu_s=lambda: 1.0 + len(slept), now_s=lambda: 0.0)
    throttle.rest()
    assert all(each <= LONGEST_S for each in slept)
    assert Clock().now_s() < LONGEST_S


def test_a_certificate_that_breaks_only_when_it_is_asked(tmp_path: Path) -> None:
    fleet = authority.create(tmp_path / "pond", "pond")
    lead = fleet.identity(tmp_path / "lead", "lead", "coordinator")
    text = lead.paths.certificate.read_bytes()
    lines = text.strip().splitlines()
    der = base64.b64decode(b"".join(lines[1:-1]))
    for place in range(len(der)):
        broken = der[:place] + bytes([der[place] ^ 0x55]) + der[place + 1 :]
        pem = lines[0] + b"\n" + base64.encodebytes(broken) + lines[-1] + b"\n"
        with pytest.raises(WireError):
            signing.verify(fleet.pem, pem, b"data", "AAAA")


@pytest.mark.parametrize("text", ["null:gate=\udcff", "onnxruntime:\udcff=1", "\udcff"])
def test_options_that_are_no_text(text: str) -> None:
    with pytest.raises(InputError):
        make("engines", text)
    with pytest.raises(InputError, match="--carry"):
        options.carried_of([f"a=b,{text}"])


@pytest.mark.parametrize("text", ["3nan", "3 nan", "1 inf*B", "2 nan/s"])
def test_units_that_are_numbers(text: str) -> None:
    with pytest.raises(InputError, match="unit"):
        parse(text, "byte")


def test_options_that_look_like_others(files: Files) -> None:
    assert told("worker", files.packed / "nothing", "--over", "--tied") == 2
    assert told("worker", files.packed / "nothing", "--listen=--help") == 2
