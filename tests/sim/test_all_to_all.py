"""All to all over switches: no quicker than its links, planes as quick as one network."""

from __future__ import annotations

import pytest

from shoal.errors import InputError
from shoal.fleet.fat_trees import Network, multi_plane, three_layers, two_layers
from shoal.sim.all_to_all import Cluster, all_to_all_s, exchange_s


def test_two_devices_by_hand() -> None:
    """Half a message at a time over two links: two halves after each other, and the second link of the last."""
    cluster = Cluster(two_layers(2), 1, link_bytes_per_s=100, hop_s=0.5)
    assert cluster.way(0, 1) == (0, 2, 4, 3, 1)
    assert all_to_all_s(cluster, 100, parts=2) == pytest.approx(2 * 0.5 + 3 * 0.5 + 4 * 0.5)


def test_ways_change_rails_inside_nodes() -> None:
    cluster = Cluster(multi_plane(4, 2), 2)  # eight nodes of two devices
    assert cluster.way(0, 8) == (0, -1, 8)  # within node 0
    way = cluster.way(0, 9)  # to rail 1 of node 1
    assert way[:3] == (0, -1, 8)
    assert way[-1] == 9
    assert cluster.way(0, 1)[1] >= 16
    with pytest.raises(InputError, match="no way leads"):
        cluster.way(0, 9, railed=False)


def test_planes_are_as_quick_as_one_network() -> None:
    planes, single = Cluster(multi_plane(4, 2), 2), Cluster(three_layers(4), 2)
    found, wanted = (all_to_all_s(each, 1e6) for each in (planes, single))
    assert found == pytest.approx(wanted, rel=0.1)
    least = 14 * 1e6 / 40e9  # each device sends to seven nodes, on rails that two feed
    assert least <= found <= 1.5 * least


def test_slower_links_take_longer() -> None:
    slow, quick = (Cluster(two_layers(4), 1, link_bytes_per_s=speed) for speed in (1e9, 2e9))
    assert all_to_all_s(slow, 1e6) == pytest.approx(2 * all_to_all_s(quick, 1e6))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="do not share"):
        Cluster(two_layers(4), 3)
    with pytest.raises(InputError, match="need a speed"):
        Cluster(two_layers(4), 2, link_bytes_per_s=0)


def test_messages_of_different_sizes() -> None:
    """One message over four links; then 300 bytes that leave one device for two others."""
    cluster = Cluster(two_layers(2), 1, link_bytes_per_s=100)
    assert exchange_s(cluster, [[9, 100], [0, 0]], parts=1) == pytest.approx(4.0)  # four links, one message
    assert exchange_s(cluster, [[0, 0], [0, 0]]) == 0
    star = Cluster(Network(4, 1, tuple((each, 4) for each in range(4))), 1, link_bytes_per_s=100)
    sizes = [[0, 100, 200, 0], [0, 0, 0, 0], [50, 0, 0, 0], [0, 0, 0, 0]]
    assert exchange_s(star, sizes, parts=100) == pytest.approx(3.0, rel=0.02)  # what the first one's link takes
