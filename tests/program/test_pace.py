"""When messages are there."""

from __future__ import annotations

from shoal.program import Hop, Media

WIFI = Hop("wifi", 1000.0, 0.25)


def test_messages_of_one_medium_follow_one_another_and_latency_overlaps() -> None:
    media = Media()
    assert [media.carry((WIFI,), 500, 0.0) for _ in range(3)] == [0.75, 1.25, 1.75]
    assert media.carry((WIFI,), 500, 10.0) == 10.75  # it was free again
    assert media.carry((Hop("other", 1000.0, 0.25),), 500, 0.0) == 0.75


def test_each_hop_takes_the_whole_message_before_it_passes_it_on() -> None:
    media = Media()
    way = (WIFI, Hop("cable", 4000.0, 0.0))
    assert media.carry(way, 1000, 0.0) == 1.0 + 0.25 + 0.25
    assert media.carry(way, 0, 0.0) == 1.0 + 0.25 + 0.25  # an empty one does not overtake


def test_within_a_device_nothing_takes_time() -> None:
    assert Media().carry((), 1 << 30, 1.5) == 1.5
