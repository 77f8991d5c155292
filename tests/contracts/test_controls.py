"""What every control plane promises, in one process and over Zenoh, plain and encrypted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shoal.control import Control, Deploy, Deployed, Desk, Dismiss, Done, Reply, Request, Sighting, Vitals
from shoal.errors import LimitError, WireError
from tests.control.worlds import Beside, InMemory, Plain, Secure, announcement, present, within

WORLDS = ("memory", "tcp", "tls", "beside")
SOON_S = 5.0
DISMISS = Dismiss("nano/cpu", 3, "abc")
DEPLOY = Deploy(
    "nano/cpu",
    7,
    {"program.json": ("0" * 64, 12), "weights.npz": ("f" * 64, 1 << 33)},
    "https://hub:7448",
    "c2ln",
    "P",
)


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param != "memory":
        pytest.importorskip("zenoh")
        pytest.importorskip("cryptography")
    kinds: dict[str, Any] = {"memory": InMemory, "tcp": Plain}
    named = {"tls": Secure, "beside": Beside}
    made = kinds[request.param]() if request.param in kinds else named[request.param](tmp_path)
    yield made
    made.close()


def joined(world: Any, name: str = "nano") -> tuple[Desk, Control]:
    """A device, and a coordinator that sees it."""
    control = world.control()
    desk = world.desk(name)
    desk.announce(announcement(name))
    assert within(SOON_S, lambda: present(control, name))
    return desk, control


def test_who_announces_itself_is_seen(world: Any) -> None:
    _, control = joined(world)
    sighting = control.sightings()["nano"]
    assert sighting.announcement == announcement("nano")
    assert not sighting.refused
    assert abs(sighting.since_s - time.monotonic()) < SOON_S
    with pytest.raises(WireError, match="never seen"):
        control.ask("pi", DISMISS, 1.0)


def test_who_was_there_first_is_seen_too(world: Any) -> None:
    desk = world.desk("nano")
    desk.announce(announcement("nano"))
    control = world.control()
    assert within(SOON_S, lambda: present(control, "nano"))
    assert control.sightings()["nano"].announcement == announcement("nano")


def test_comings_changes_and_goings_are_told_in_order(world: Any) -> None:
    control = world.control()
    told: list[Sighting] = []
    control.watch(told.append)
    desk = world.desk("nano")
    desk.announce(announcement("nano"))
    assert within(SOON_S, lambda: len(told) == 1)
    desk.announce(announcement("nano", version="0.0.9"))
    assert within(SOON_S, lambda: len(told) == 2)
    desk.close()
    assert within(SOON_S, lambda: len(told) == 3)
    assert [(each.name, each.present) for each in told] == [("nano", True), ("nano", True), ("nano", False)]
    assert "0.0.9" in told[1].notes["version"]
    assert told[2].since_s > told[0].since_s
    with pytest.raises(WireError, match="gone"):
        control.ask("nano", DISMISS, 1.0)


def test_a_watcher_that_fails_does_not_blind_the_others(world: Any) -> None:
    control = world.control()
    told: list[Sighting] = []

    def fail(_: Sighting) -> None:
        raise ValueError("a defect")

    control.watch(fail)
    control.watch(told.append)
    world.desk("nano").announce(announcement("nano"))
    assert within(SOON_S, lambda: told)


def test_vitals_arrive(world: Any) -> None:
    desk, control = joined(world)
    vitals = Vitals(time.time(), 0.25, 123456789, 61.5)
    desk.tell(vitals)
    assert within(SOON_S, lambda: control.sightings()["nano"].vitals == vitals)
    assert not control.sightings()["nano"].notes


def test_a_clock_that_is_off_is_noted_until_it_is_right(world: Any) -> None:
    desk, control = joined(world)
    desk.tell(Vitals(time.time() - 3 * 3600, 0.25, 1))
    assert within(SOON_S, lambda: control.sightings()["nano"].notes)
    assert control.sightings()["nano"].notes == {"clock": "its clock is 3.0 hours behind this one"}
    desk.tell(Vitals(time.time(), 0.25, 1))
    assert within(SOON_S, lambda: not control.sightings()["nano"].notes)


def test_requests_are_answered(world: Any) -> None:
    desk, control = joined(world)
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        return Deployed("127.0.0.1:4000", 17) if isinstance(request, Deploy) else Done()

    desk.answer(answer)
    assert control.ask("nano", DEPLOY, SOON_S) == Deployed("127.0.0.1:4000", 17)
    assert control.ask("nano", DISMISS, SOON_S) == Done()
    assert asked == [DEPLOY, DISMISS]


def test_what_failed_there_is_raised_here(world: Any) -> None:
    desk, control = joined(world)
    with pytest.raises(WireError, match="takes no requests yet"):
        control.ask("nano", DISMISS, SOON_S)

    def answer(request: Request) -> Reply:
        raise LimitError("the disk is full", needed="2 GB", had="1 GB", hint="make room")

    desk.answer(answer)
    with pytest.raises(WireError, match=r"nano: the disk is full \(needed 2 GB, had 1 GB\)") as caught:
        control.ask("nano", DISMISS, SOON_S)
    assert caught.value.hint == "make room"


def test_a_defect_there_is_told_too(world: Any) -> None:
    desk, control = joined(world)

    def answer(request: Request) -> Reply:
        raise ZeroDivisionError("division by zero")

    desk.answer(answer)
    with pytest.raises(WireError, match="division by zero"):
        control.ask("nano", DISMISS, SOON_S)


def test_what_takes_too_long_is_not_waited_for(world: Any) -> None:
    desk, control = joined(world)
    ready = threading.Event()

    def answer(request: Request) -> Reply:
        ready.wait(20)
        return Done()

    desk.answer(answer)
    start_s = time.monotonic()
    with pytest.raises(WireError, match=r"nano: does not answer \(needed an answer within 0\.3 s\)"):
        control.ask("nano", DISMISS, 0.3)
    assert time.monotonic() - start_s < SOON_S
    ready.set()


def test_requests_do_not_wait_for_each_other(world: Any) -> None:
    desk, control = joined(world)
    both = threading.Barrier(2)

    def answer(request: Request) -> Reply:
        both.wait(10)
        return Done()

    desk.answer(answer)
    answers: list[Reply] = []
    threads = [threading.Thread(target=lambda: answers.append(control.ask("nano", DISMISS, 10))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [Done(), Done()]


@pytest.mark.parametrize(("protocol", "where"), [(0, "on nano"), (99, "on the coordinator")])
def test_another_protocol_is_refused_on_both_sides(world: Any, protocol: int, where: str) -> None:
    control = world.control()
    desk = world.desk("nano")
    with pytest.raises(WireError, match=f"the hub refused this device: nano speaks protocol {protocol} .*{where}"):
        desk.announce(announcement("nano", protocol=protocol))
    assert within(SOON_S, lambda: "nano" in control.sightings() and control.sightings()["nano"].refused)
    assert f"speaks protocol {protocol}" in control.sightings()["nano"].refused
    with pytest.raises(WireError, match="is not used"):
        control.ask("nano", DISMISS, 1.0)
    desk.announce(announcement("nano"))
    assert within(SOON_S, lambda: present(control, "nano") and not control.sightings()["nano"].refused)


def test_a_foreign_name_is_refused(world: Any) -> None:
    control = world.control()
    with pytest.raises(WireError, match="announces itself as 'pi'"):
        world.desk("nano").announce(announcement("pi"))
    assert within(SOON_S, lambda: "nano" in control.sightings())
    assert "pi" not in control.sightings()


def test_of_two_with_one_name_the_first_stays(world: Any) -> None:
    first, control = joined(world)
    first.answer(lambda request: Deployed("first:1"))
    second = world.desk("nano")
    second.answer(lambda request: Deployed("second:1"))
    with pytest.raises(WireError, match="another device is there under the name 'nano'"):
        second.announce(announcement("nano", "second"))
    second.close()
    assert within(SOON_S, lambda: "refused" in control.sightings()["nano"].notes.get("second", ""))
    assert control.ask("nano", DISMISS, SOON_S) == Deployed("first:1")
    assert control.sightings()["nano"].announcement == announcement("nano")
    first.close()
    third = world.desk("nano")
    third.announce(announcement("nano", "third"))
    assert within(SOON_S, lambda: control.sightings()["nano"].announcement == announcement("nano", "third"))


def test_several_devices(world: Any) -> None:
    control = world.control()
    for name in ("nano", "pi", "tx2"):
        desk = world.desk(name)
        desk.answer(lambda request, name=name: Deployed(name))  # type: ignore[misc]  # the default binds it
        desk.announce(announcement(name))
    assert within(SOON_S, lambda: all(present(control, name) for name in ("nano", "pi", "tx2")))
    assert control.ask("pi", DISMISS, SOON_S) == Deployed("pi")
    assert control.ask("tx2", DISMISS, SOON_S) == Deployed("tx2")
