"""The command line with files that are wrong: one message, exit code 1 or 2, no traceback."""

from __future__ import annotations

import contextlib
import io
import json
import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.cli import app
from tests.fuzz.conftest import FLEET
from tests.fuzz.mutations import damaged, fuzzed, limits, mutated_json, mutated_toml
from tests.fuzz.test_inputs import FILES as ARRAYS
from tests.fuzz.test_mapping import SHARED, WHOLE
from tests.fuzz.test_model import lying
from tests.fuzz.test_words import words
from tests.fuzz.test_workload import RATE, TRACE

if TYPE_CHECKING:
    from tests.fuzz.conftest import Files

TABLE = tomllib.loads(FLEET)


def told(*arguments: object) -> int:
    """The exit code of a command; what it says must be fit for a terminal, and for whoever reads its JSON."""
    texts = [str(argument) for argument in arguments]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace"))
    with limits(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = app.run(texts)
    out.flush(), err.flush()
    said, complaint = (each.buffer.getvalue().decode() for each in (out, err))  # type: ignore[attr-defined]
    assert code in (0, 1, 2), (texts, code)
    assert "Traceback" not in complaint
    if "--json" in texts and said:
        assert code == 0 or json.loads(said)["error"]["message"]
    elif code:
        assert complaint.startswith("error: "), complaint
    return code


@given(st.data(), st.sampled_from(("--json", "--no-profile")))
@fuzzed(15)
def test_plan_of_a_wrong_fleet(files: Files, data: st.DataObject, more: str) -> None:
    fleet = files.run.with_name("wrong.toml")
    fleet.write_bytes(data.draw(mutated_toml(TABLE)))
    told("plan", files.model, fleet, "--no-profile", more, "-o", files.run.with_name("other"))


@given(st.data(), st.sampled_from(("inspect", "plan")), st.booleans())
@fuzzed(30)
def test_wrong_models(files: Files, data: st.DataObject, verb: str, as_json: bool) -> None:
    model = files.run.with_name("wrong.onnx")
    model.write_bytes(data.draw(damaged(files.model.read_bytes()) | st.integers(0, 2**64 - 1).map(lying)))
    more = ["--json"] * as_json
    if verb == "inspect":
        told("inspect", model, *more)
        told("inspect", model, "--ops", *more)
    else:
        told("plan", model, files.fleet, "--no-profile", "-o", files.run.with_name("other"), *more)


@given(
    st.data(),
    st.sampled_from((("simulate",), ("pack",), ("run", "--over", "memory", "--items", "2"))),
    st.booleans(),
)
@fuzzed(30)
def test_wrong_plans(files: Files, data: st.DataObject, verb: tuple[str, ...], as_json: bool) -> None:
    plan = files.run.with_name("wrong.json")
    plan.write_bytes(data.draw(mutated_json(files.json(files.plan / "plan.json"))))
    told(verb[0], plan, *verb[1:], "-o", files.run.with_name(f"made.{verb[0]}"), *["--json"] * as_json)


@given(st.data(), st.booleans())
@fuzzed(25)
def test_wrong_runs(files: Files, data: st.DataObject, as_json: bool) -> None:
    run, folder = files.run.with_name("wrong.json"), files.run.parent
    run.write_bytes(data.draw(mutated_json(files.json(files.run))))
    told(
        "report",
        run,
        files.run,
        "-o",
        folder / "page.html",
        "--trace",
        folder / "trace.json",
        *["--json"] * as_json,
    )


@given(st.data())
@fuzzed(20)
def test_wrong_workloads(files: Files, data: st.DataObject) -> None:
    workload = files.run.with_name("wrong.toml")
    workload.write_bytes(data.draw(mutated_toml({**RATE, "items": 3}) | mutated_toml(TRACE)))
    told("simulate", files.plan, "--items", 3, "--workload", workload, "-o", files.run.with_name("made.json"))


@given(st.data())
@fuzzed(15)
def test_wrong_mappings(files: Files, data: st.DataObject) -> None:
    mapping = files.run.with_name("wrong.json")
    mapping.write_bytes(data.draw(mutated_json(WHOLE) | mutated_json(SHARED)))
    planner = f"mapping_file:path={mapping}"
    told("plan", files.model, files.fleet, "--no-profile", "--planner", planner, "-o", files.run.with_name("other"))


@given(st.sampled_from(ARRAYS).flatmap(damaged))
@fuzzed(10)
def test_wrong_inputs(files: Files, data: bytes) -> None:
    inputs = files.run.with_name("wrong.npz")
    inputs.write_bytes(data)
    told(
        "run",
        files.plan,
        "--over",
        "memory",
        "--items",
        2,
        "--input",
        inputs,
        "-o",
        files.run.with_name("made.json"),
    )


OPTIONS = (
    ("plan", ("--shape", "--carry", "--minimize", "--limit", "--strategy", "--planner", "--pin", "--shares", "--exclude",
              "--engine", "--window", "--items")),
    ("simulate", ("--items", "--rate", "--workload")),
    ("run", ("--items", "--rate", "--over", "--throttle", "--seed", "--input")),
    ("inspect", ("--shape", "--carry")),
    ("study", ("--show",)),
    ("boards", ()),
    ("worker", ("--over", "--listen")),
    ("report", ("--trace",)),
)  # fmt: skip


@given(st.sampled_from(OPTIONS), st.data(), words(), st.booleans())
@fuzzed(60)
def test_wrong_options(
    files: Files, verb: tuple[str, tuple[str, ...]], data: st.DataObject, text: str, as_json: bool
) -> None:
    name, options = verb
    given_first = {
        "plan": (files.model, files.fleet, "--no-profile", "-o", files.run.with_name("other")),
        "simulate": (files.plan, "-o", files.run.with_name("made.json")),
        "run": (files.plan, "--over", "memory", "-o", files.run.with_name("made.json")),
        "inspect": (files.model,),
        "study": (text,),
        "boards": (text,),
        "worker": (files.packed / "nothing",),
        "report": (files.run.with_name("nothing.json"),),
    }[name]
    more = (
        [data.draw(st.sampled_from(options)), text]
        if options and name != "study"
        else ["--show"] * (name == "study")
    )
    told(name, *given_first, *more, *["--json"] * (as_json and name != "worker"))


@pytest.mark.parametrize("path", ["\udcff.onnx", "a\0b.onnx", "x" * 300 + ".onnx", ".", "/dev/null", ""])
@pytest.mark.parametrize(
    "verb", ["inspect", "plan", "simulate", "report", "pack", "run", "worker", "pareto", "profile"]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_wrong_paths(
    files: Files, verb: str, path: str, as_json: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    second = [files.fleet] if verb in ("plan", "pareto", "profile") else []
    output = [] if verb in ("inspect", "worker", "profile") else ["-o", files.run.with_name("made")]
    assert told(verb, path, *second, *output, *["--json"] * (as_json and verb != "worker"))
