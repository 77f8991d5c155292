"""A fleet of real processes on this machine: init, open, invite, join, deploy, work, dismiss, and all that goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from shoal import catalog, codec
from shoal.agent import fleets
from shoal.agent.asking import deploy, offers
from shoal.agent.shelf import Shelf
from shoal.control import Control, Deploy, Deployed, Dismiss, Done
from shoal.errors import WireError
from shoal.identity import signing
from shoal.program import Program
from shoal.program.bundle import mark
from shoal.run.coordinator import Coordinator
from shoal.run.deploy import lay_out
from tests import harness, toy

PATIENCE_S = 40.0


def _two_free_ports() -> int:
    """A port that is free, and the next one too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port: int = first.getsockname()[1]
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
                return port


@dataclass
class Drawer:
    """A hub and devices, each with folders of its own; ended by their ids."""

    folder: Path
    port: int = field(default_factory=_two_free_ports)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def environment(self, who: str, **more: str) -> dict[str, str]:
        cache, probes = self.folder / who / "cache", self.folder / "probes"
        if not (cache / "probes").exists():  # one probe is enough for one machine
            probes.mkdir(exist_ok=True)
            cache.mkdir(parents=True, exist_ok=True)
            (cache / "probes").symlink_to(probes)
        own = {"SHOAL_CACHE": str(cache), "SHOAL_FLEETS": str(self.folder / who / "fleets")}
        return os.environ | own | more | {"PYTHONPATH": str(Path(__file__).parents[2])}

    def run(self, who: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "shoal", *arguments], env=self.environment(who, **more), timeout=PATIENCE_S,
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self, who: str, *arguments: str, **more: str) -> subprocess.Popen[str]:
        log = (self.folder / f"{who}.{len(self.processes)}.log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "shoal", *arguments], env=self.environment(who, **more), text=True,
            stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        log.close()
        self.processes.append(process)
        return process

    def log(self, who: str) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob(f"{who}.*.log")))

    def token(self, name: str, *options: str) -> str:
        done = self.run("hub", "fleet", "invite", name, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def open(self) -> dict[str, str]:
        """Open the hub, always at the same two ports."""
        listen = f"127.0.0.1:{self.port}"
        hub = self.start("hub", "fleet", "open", "--json", "--listen", listen)
        assert hub.stdout is not None
        said: dict[str, str] = json.loads(hub.stdout.readline())["open"]
        return said

    def devices(self) -> dict[str, Any]:
        done = self.run("hub", "fleet", "--json", "--once")
        assert done.returncode == 0, done.stderr
        return {each["name"]: each for each in json.loads(done.stdout)}

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture(scope="module")
def drawer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drawer]:
    """A hub with the devices `eye` and `arm`."""
    made = Drawer(tmp_path_factory.mktemp("drawer"))
    done = made.run("hub", "fleet", "init", "--name", "drawer")
    assert done.returncode == 0, done.stderr
    made.open()
    env = made.environment("hub")
    subprocess.run([sys.executable, "-m", "shoal.agent.probing"], env=env, check=True, stdout=subprocess.DEVNULL)
    for name in ("eye", "arm"):
        made.start(name, "join", SHOAL_TOKEN=made.token(name))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def control(drawer: Drawer) -> Iterator[Control]:
    """A coordinator beside the hub that sees both devices."""
    patch = pytest.MonkeyPatch()
    for name, value in drawer.environment("hub").items():
        if name.startswith("SHOAL_"):
            patch.setenv(name, value)
    found = fleets.connect()
    try:
        _until(lambda: {name for name, each in found.sightings().items() if each.vitals} >= {"eye", "arm"}, drawer)
        yield found
    finally:
        found.close()
        patch.undo()


@pytest.fixture(autouse=True)
def hub_folders(drawer: Drawer, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process coordinates: its folders are the hub's."""
    for name, value in drawer.environment("hub").items():
        if name.startswith("SHOAL_"):
            monkeypatch.setenv(name, value)


def _until(true: Callable[[], object], drawer: Drawer, seconds: float = PATIENCE_S) -> None:
    deadline_s = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline_s, "\n".join(
            f"{who}: {drawer.log(who)}" for who in ("hub", "eye", "arm")
        )
        time.sleep(0.05)


PROGRAM = toy.program("onnxruntime")
NEXT = replace(PROGRAM, epoch=1)


def _requests(folder: Path, program: Program = PROGRAM) -> dict[str, Deploy]:
    """What to ask of each device; their bundles are offered."""
    toy.write(folder / "source")
    identity = fleets.coordinator()
    found = {}
    for unit in program.units:
        place = folder / unit.replace("/", "-")
        lay_out(program, harness.manifest(program, unit, folder / "source"), folder / "source", place)
        found[unit] = deploy(identity, place)
    return found


def _ask(control: Control, requests: Mapping[str, Deploy]) -> dict[str, Deployed]:
    found = {}
    for unit, request in requests.items():
        reply = control.ask(unit.partition("/")[0], request, PATIENCE_S)
        assert isinstance(reply, Deployed)
        found[unit] = reply
    return found


def _dismiss(control: Control, requests: Mapping[str, Deploy]) -> None:
    for unit, request in requests.items():
        asked = Dismiss(unit, request.epoch, (NEXT if request.epoch else PROGRAM).hash.hex())
        assert control.ask(unit.partition("/")[0], asked, PATIENCE_S) == Done()


def _workers(control: Control, name: str) -> int:
    vitals = control.sightings()[name].vitals
    return -1 if vitals is None else len(vitals.workers)


def test_who_is_there_is_shown(drawer: Drawer, control: Control) -> None:
    found = drawer.devices()
    assert set(found) == {"eye", "arm"}
    for each in found.values():
        assert each["present"]
        assert each["present_s"] >= 0
        assert each["host"] == "127.0.0.1"
        assert each["board"] not in ("", "this-machine")
        assert each["memory_limit_bytes"] > 0
        assert each["link"]["bandwidth_bytes_per_s"] > 1e6
        assert 0 <= each["vitals"]["cpu_share"] <= 1
        assert each["vitals"]["disk_free_bytes"] > 0
    shown = drawer.run("hub", "fleet", "--once", COLUMNS="160").stdout
    assert "eye" in shown
    assert "workers" in shown


def test_bundles_travel_once_run_and_are_dismissed(drawer: Drawer, control: Control, tmp_path: Path) -> None:
    requests = _requests(tmp_path)
    deployed = _ask(control, requests)
    assert all(
        reply.fetched_bytes == sum(dict(requests[unit].parts.values()).values()) for unit, reply in deployed.items()
    )
    _until(lambda: _workers(control, "eye") == 1 and _workers(control, "arm") == 1, drawer)
    over = f"tcp:identity={fleets.coordinator().folder}"
    endpoint = catalog.make("wire/transports", over).client(
        PROGRAM, {unit: reply.address for unit, reply in deployed.items()}
    )
    try:
        coordinator = Coordinator(PROGRAM, endpoint)
        coordinator.wait_ready()
        workload = toy.turns(12)
        given = toy.inputs(workload)
        answered = harness.answered(coordinator, workload, given)
        assert not answered.outcome.failure
        wanted = toy.meaning(workload, given, answered.outcome.observed.facts)
        for item, outputs in wanted.items():
            for name, array in outputs.items():
                assert abs(answered.outputs[item][name] - array).max() < 1e-4
        again = _ask(control, _requests(tmp_path / "next", NEXT))  # beside the first; weights are there
        assert {unit: reply.fetched_bytes for unit, reply in again.items()} == {
            unit: sum(request.parts[name][1] for name in ("program.json", "manifest.json"))
            for unit, request in _requests(tmp_path / "next", NEXT).items()
        }
        coordinator.stop()
    finally:
        endpoint.close()
    _until(lambda: "its coordinator let it go" in drawer.log("eye"), drawer)
    twice = _ask(control, requests)
    assert [reply.fetched_bytes for reply in twice.values()] == [0, 0]
    for each in (requests, _requests(tmp_path / "next", NEXT)):
        _dismiss(control, each)
    _until(lambda: _workers(control, "eye") == 0 and _workers(control, "arm") == 0, drawer)


def test_an_agent_stays_small(drawer: Drawer, control: Control) -> None:
    """After it did all it can do; what it mapped says what it imported."""
    agent = psutil.Process(drawer.processes[1].pid)
    mapped = [each.path for each in agent.memory_maps()]
    for library in ("numpy", "onnx", "onnxruntime", "torch", "pydantic_core", "scipy", "openblas"):
        assert [path for path in mapped if library in path] == []
    assert agent.memory_info().rss < 80e6


def test_a_bundle_nobody_signed_for_is_not_touched(control: Control, drawer: Drawer, tmp_path: Path) -> None:
    request = _requests(tmp_path)["eye/cpu"]
    kept = Shelf(drawer.folder / "eye" / "cache" / "parts")
    stranger = "f" * 64
    tampered = replace(request, parts={**request.parts, "more": (stranger, 1)})
    with pytest.raises(WireError, match="the signature is not over what came"):
        control.ask("eye", tampered, PATIENCE_S)
    assert not kept.has(stranger, 1)
    with pytest.raises(WireError, match="this device has no such unit"):
        control.ask("arm", request, PATIENCE_S)
    with pytest.raises(WireError, match="of another unit or epoch"):
        control.ask("eye", replace(request, epoch=7), PATIENCE_S)
    assert "refused: Deploy of eye/cpu: " in drawer.log("eye")


def test_a_foreign_coordinator_is_refused(
    control: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = _requests(tmp_path)["eye/cpu"]
    monkeypatch.setenv("SHOAL_FLEETS", str(tmp_path / "fleets"))
    fleets.create("drawer")  # of the same name
    other = fleets.coordinator()
    forged = deploy(other, tmp_path / "eye-cpu")
    with pytest.raises(WireError, match="the certificate is from another authority"):
        control.ask("eye", forged, PATIENCE_S)
    with pytest.raises(WireError, match="the signature is not over what came"):
        control.ask("eye", replace(forged, signer=request.signer), PATIENCE_S)


def test_damage_on_the_device_is_found_and_mended(control: Control, drawer: Drawer, tmp_path: Path) -> None:
    requests = {"eye/cpu": _requests(tmp_path)["eye/cpu"]}
    _ask(control, requests)
    _dismiss(control, requests)
    sha256, size = requests["eye/cpu"].parts["look.onnx"]
    with (drawer.folder / "eye" / "cache" / "parts" / sha256).open("r+b") as file:
        file.write(b"\0" * 16)
    assert _ask(control, requests)["eye/cpu"].fetched_bytes == size
    _dismiss(control, requests)


def test_a_bundle_whose_files_are_not_the_manifests_is_refused(control: Control, tmp_path: Path) -> None:
    request, place = _requests(tmp_path)["eye/cpu"], tmp_path / "eye-cpu"
    changed = place / "changed"
    changed.write_bytes((place / "look.onnx").read_bytes()[:-1] + b"\1")
    marked = mark(changed)
    offers().put(marked.sha256, changed)
    parts = {**request.parts, "look.onnx": (marked.sha256, marked.bytes)}
    signed = replace(request, parts=parts, signature=signing.sign(fleets.coordinator(), codec.encode(parts)))
    with pytest.raises(WireError, match=r"look\.onnx: not the file the manifest names"):
        control.ask("eye", signed, PATIENCE_S)


def test_tokens_that_are_not_good(drawer: Drawer) -> None:
    used = drawer.token("spare", "--minutes", "0")
    done = drawer.run("spare", "join", used)
    assert done.returncode == 1
    assert "the hub refuses: spare: the invitation has expired" in done.stderr
    done = drawer.run("spare", "join", used[:-9])
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2, "error: not an invitation (needed what shoal fleet invite printed, shoal1-…)",
    )  # fmt: skip
    done = drawer.run("spare", "join")
    assert done.returncode == 2
    assert "has not joined a fleet yet" in done.stderr
    done = drawer.run("hub", "fleet", "invite", "eye")
    assert done.returncode == 2
    assert "somebody has a certificate in that name" in done.stderr


def test_two_devices_with_one_name(drawer: Drawer, control: Control) -> None:
    """A copied identity: the second is refused with a reason, and the first goes on."""
    shutil.copytree(drawer.folder / "eye" / "fleets", drawer.folder / "twin" / "fleets")
    twin = drawer.start("twin", "join")
    assert twin.wait(PATIENCE_S) == 1
    assert "another device is there under the name 'eye'" in drawer.log("twin")
    assert control.sightings()["eye"].present


def test_a_device_whose_clock_is_off_says_so(drawer: Drawer) -> None:
    shim = drawer.folder / "shim"
    shim.mkdir()
    (shim / "sitecustomize.py").write_text("import time\nreal = time.time\ntime.time = lambda: real() - 3 * 3600\n")
    environment = drawer.environment("late") | {"SHOAL_TOKEN": drawer.token("late")}
    environment["PYTHONPATH"] = f"{shim}:{environment['PYTHONPATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "shoal", "join"], env=environment, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 1
    assert "this device's clock is 3.0 hours behind the hub's" in done.stderr
    assert "timedatectl" in done.stderr


def test_a_disk_that_is_full_is_said_on_both_sides(drawer: Drawer, control: Control, tmp_path: Path) -> None:
    place = drawer.folder / "full" / "cache"
    place.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", place]
    drawer.environment("full")
    if os.geteuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounts a file system")
    try:
        full = drawer.start("full", "join", SHOAL_TOKEN=drawer.token("full"))
        _until(lambda: "full" in control.sightings() and control.sightings()["full"].vitals, drawer)
        text = codec.encode(toy.program("onnxruntime")).replace(b"eye/cpu", b"full/cpu")
        request = _requests(tmp_path, codec.decode(Program, text, "test"))["full/cpu"]
        with pytest.raises(WireError, match=r"the disk is full \(needed .* KiB, had 0 B free\)"):
            control.ask("full", request, PATIENCE_S)
        assert "the disk is full" in drawer.log("full")
        full.terminate()
        assert full.wait(10) == 0, drawer.log("full")
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_a_hub_that_is_gone_is_found_again_and_workers_go_on(
    drawer: Drawer, control: Control, tmp_path: Path
) -> None:
    requests = {"arm/cpu": _requests(tmp_path)["arm/cpu"]}
    # one worker alone is enough: it listens
    address = _ask(control, requests)["arm/cpu"].address
    hub = drawer.processes[0]
    hub.terminate()
    assert hub.wait(15) == 0
    _until(lambda: not control.sightings()["arm"].present, drawer)
    drawer.open()
    _until(lambda: control.sightings()["arm"].present and control.sightings()["eye"].present, drawer)
    _until(lambda: _workers(control, "arm") == 1, drawer)
    assert address
    _dismiss(control, requests)


def test_a_device_that_is_stopped_ends_its_workers(drawer: Drawer, control: Control, tmp_path: Path) -> None:
    requests = {"arm/cpu": _requests(tmp_path)["arm/cpu"]}
    _ask(control, requests)
    agent = drawer.processes[2]
    children = psutil.Process(agent.pid).children(recursive=True)
    assert len(children) == 1
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(15) == 0
    assert not any(child.is_running() for child in children)
    assert list((drawer.folder / "arm" / "cache" / "bundles").glob("tmp*")) == []
    _until(lambda: not control.sightings()["arm"].present, drawer, 5)
    drawer.start("arm", "join")  # without a token
    _until(lambda: control.sightings()["arm"].present, drawer)


def test_who_is_revoked_leaves(drawer: Drawer, control: Control) -> None:
    assert drawer.run("hub", "fleet", "revoke", "arm").returncode == 0
    agent = drawer.processes[-1]
    assert agent.wait(30) == 1
    assert "certificate was revoked" in drawer.log("arm")
    done = drawer.run("arm", "join")
    assert done.returncode == 1
    assert "the hub refuses: arm: its certificate was revoked" in done.stderr
