from __future__ import annotations

import threading

from shoal.control.judge import Judgement
from shoal.control.register import Register
from tests.control.worlds import announcement, within


def seen(register: Register, name: str, boot: str) -> None:
    register.came(name, boot)
    assert register.claim(name, boot, 0.0)
    register.judged(name, boot, Judgement(announcement(name, boot)))


def test_a_start_that_follows_takes_the_name() -> None:
    register = Register()
    seen(register, "nano", "one")
    register.came("nano", "two")
    assert not register.claim("nano", "two", 0.0)
    threading.Timer(0.05, register.went, ("nano", "one")).start()
    assert register.claim("nano", "two", 5.0)
    register.judged("nano", "one", Judgement(None, "too late"))
    register.judged("nano", "two", Judgement(announcement("nano", "two")))
    sighting = register.sightings()["nano"]
    assert sighting.present
    assert sighting.announcement == announcement("nano", "two")


def test_who_left_before_it_was_greeted_is_not_there() -> None:
    register = Register()
    register.came("nano", "one")
    assert register.claim("nano", "one", 0.0)
    register.went("nano", "one")
    register.judged("nano", "one", Judgement(announcement("nano", "one")))
    assert not register.sightings()


def test_who_tells_without_being_there_is_unseen() -> None:
    register = Register()
    seen(register, "nano", "one")
    assert not register.unseen("nano", "one", 0.0)
    register.went("nano", "one")
    assert not register.unseen("nano", "one", 0.05)
    assert not register.unseen("nano", "one", 0.05)
    assert within(5.0, lambda: register.unseen("nano", "one", 0.05))
    assert not register.unseen("nano", "one", 0.05)  # told, it gets as long again
    register.came("nano", "two")
    assert not register.unseen("nano", "one", 0.0)  # another start of it is there


def test_nobody_is_gone_while_the_hub_is_away() -> None:
    register = Register()
    told = []
    seen(register, "nano", "one")
    seen(register, "pi", "one")
    register.watch(told.append)
    register.be_lenient()
    register.nobody()
    register.came("nano", "one")
    assert all(each.present for each in register.sightings().values())
    register.be_strict(0.05)
    assert {name: each.present for name, each in register.sightings().items()} == {"nano": True, "pi": False}
    assert within(5.0, lambda: told)
    assert [each.name for each in told] == ["pi"]


def test_the_wait_for_who_comes_back_ends_when_all_are() -> None:
    register = Register()
    seen(register, "nano", "one")
    register.be_lenient()
    register.nobody()
    threading.Timer(0.05, register.came, ("nano", "one")).start()
    register.be_strict(60.0)
    assert register.sightings()["nano"].present
