"""What importing costs: workers stay clear of the planner, techniques of heavy libraries; front doors hold."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import shoal
from shoal import catalog
from shoal.cli.app import verbs

ROOT = Path(shoal.__file__).parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
VERBS = verbs()
FOLDERS = sorted(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("*/*/__init__.py"))
NO_FAMILIES = {
    "cli/verbs",
    "cost/carbon",
    "wire/pool",
    "train/language",
    "measure/queue",
    "measure/trace",
    "serve/language",
} | {
    f"llm/{name}"
    for name in (
        "attention",
        "checkpoint",
        "composition",
        "decoder",
        "drafting",
        "expert_hosting",
        "expert_parallel",
        "expert_plan",
        "matmul_free",
        "offload",
        "profile",
        "reasoning",
        "service",
        "ssm",
        "tensor_parallel",
    )
}
FAMILIES = [
    "engines",
    "study",
    "llm/drafting/drafters",
    *(folder for folder in FOLDERS if folder not in NO_FAMILIES),
]
TECHNIQUES = [f"{family}/{name}" for family in FAMILIES for name in catalog.names(family)]

PLANNING = {"shoal.plan", "shoal.cost", "shoal.graph", "shoal.fleet", "shoal.run", "shoal.sim", "shoal.report"}
HEAVY = {"numba", "onnxruntime", "ncnn", "pymoo", "mpi4py", "plotly", "torch"}
SLOW = {"onnx", "onnx_ir", "pydantic", "pint", "typer", "rich", "scipy"}

BLOCK = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(HEAVY)!r}:
            raise ImportError(f"{{name}} is blocked here")
sys.meta_path.insert(0, Blocked())
"""
IMPORT_EACH = """
import dataclasses, json
from shoal import catalog
faults = {}
for technique in json.loads(sys.argv[1]):
    family, _, name = technique.rpartition("/")
    try:
        found = catalog.find(family, name)
    except (ImportError, AttributeError) as fault:
        faults[technique] = repr(fault)
    else:
        frozen = dataclasses.is_dataclass(found) and found.__dataclass_params__.frozen
        faults[technique] = "" if frozen else "not a frozen dataclass"
print(json.dumps(faults))
"""
HELP = """
import json, sys
from shoal.cli import main
sys.argv = ["shoal", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code
print()
print(json.dumps(sorted(sys.modules)))
"""


def python(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(code: str) -> set[str]:
    """The modules in memory after `code`."""
    return set(json.loads(python(f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))")))


@pytest.mark.parametrize("module", ["shoal.worker", "shoal.worker.__main__", "shoal.program", "shoal.wire"])
def test_a_worker_knows_neither_planner_nor_slow_libraries(module: str) -> None:
    assert not loaded_by(f"import {module}") & (PLANNING | HEAVY | SLOW)


def test_an_agent_knows_neither_planner_nor_engines_nor_slow_libraries() -> None:
    found = loaded_by("import shoal.agent.__main__")
    assert not found & ((PLANNING - {"shoal.fleet"}) | HEAVY | SLOW | {"numpy", "cryptography", "zenoh"})


@pytest.fixture(scope="module")
def faults() -> dict[str, str]:
    """What goes wrong with each technique where the heavy libraries are missing."""
    found: dict[str, str] = json.loads(python(BLOCK + IMPORT_EACH, json.dumps(TECHNIQUES)))
    return found


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_technique_is_a_frozen_dataclass_that_imports_without_heavy_libraries(
    technique: str, faults: dict[str, str]
) -> None:
    assert faults[technique] == ""


@pytest.mark.parametrize("package", PACKAGES)
def test_a_front_door_is_sorted_and_leads_somewhere(package: str) -> None:
    module = importlib.import_module(f"shoal.{package}")
    names = getattr(module, "__all__", [])
    assert list(names) == sorted(set(names), key=_rank)
    assert [name for name in names if not hasattr(module, name)] == []
    assert (module.__doc__ or "").endswith(".")


def _rank(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def test_help_names_every_verb_and_loads_nothing_slow() -> None:
    *shown, modules = python(HELP, "--help").splitlines()
    assert [verb for verb in VERBS if not any(line.split()[:1] == [verb] for line in shown)] == []
    assert not set(json.loads(modules)) & (PLANNING | HEAVY | SLOW)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_explains_itself_without_heavy_libraries(verb: str) -> None:
    *shown, modules = python(HELP, verb, "--help").splitlines()
    assert f"shoal {verb}" in shown[0] + shown[1]
    assert not set(json.loads(modules)) & HEAVY
