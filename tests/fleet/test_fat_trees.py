"""Published counts of fat trees, by construction, and how far their endpoints are apart."""

from __future__ import annotations

from collections import Counter

import pytest

from shoal.errors import InputError
from shoal.fleet.fat_trees import Network, multi_plane, three_layers, two_layers


@pytest.mark.parametrize(
    ("network", "endpoints", "switches", "between"),
    [(two_layers(64), 2048, 96, 2048), (multi_plane(64, 8), 16384, 768, 16384), (three_layers(64), 65536, 5120, 131072)],
    ids=["two layers", "eight planes", "three layers"],
)  # fmt: skip
def test_published_counts(network: Network, endpoints: int, switches: int, between: int) -> None:
    """Zhao et al., "Insights into DeepSeek-V3", 2025, table 3."""
    assert (network.endpoints, network.switches, network.between_switches) == (endpoints, switches, between)
    assert len(set(network.links)) == len(network.links) == endpoints + between


@pytest.mark.parametrize("ports", [2, 4, 8])
@pytest.mark.parametrize("kind", [two_layers, three_layers])
def test_every_port_is_used_once(kind: object, ports: int) -> None:
    network = kind(ports)  # type: ignore[operator]  # a function of the list
    used = Counter(end for link in network.links for end in link)
    assert all(used[at] == 1 for at in range(network.endpoints))
    assert all(used[network.endpoints + at] == ports for at in range(network.switches))


def test_switches_on_the_way() -> None:
    """One below the same leaf, three across two layers, five across three; planes do not meet."""
    for network, most in ((two_layers(8), 3), (three_layers(8), 5)):
        between = [each - 1 for each in network.distances(0)[1 : network.endpoints]]
        assert (min(between), max(between)) == (1, most)
    planes = multi_plane(4, 2).distances(0)
    assert [each >= 0 for each in planes[:16]] == [True] * 8 + [False] * 8


def test_what_is_no_tree_is_refused() -> None:
    for ports in (0, 1, 7):
        with pytest.raises(InputError, match="even number of ports"):
            two_layers(ports)
    with pytest.raises(InputError, match="without planes"):
        multi_plane(4, 0)
