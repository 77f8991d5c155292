from __future__ import annotations

import pytest

from shoal.errors import InputError, WireError
from shoal.measure.hop import hops_s


@pytest.mark.parametrize(("over", "by_tcp"), [("tcp", False), ("shm", False), ("mpi:nap_s=0", True)])
def test_a_message_takes_some_time_over_each_transport(over: str, by_tcp: bool) -> None:
    found = hops_s(over, (64, 8192), 20, by_tcp=by_tcp)
    assert len(found) == 2
    assert all(0 < hop < 1 for hop in found)


def test_what_does_not_work_says_so() -> None:
    with pytest.raises(InputError, match="two processes"):
        hops_s("memory", (64,), 2)
    with pytest.raises(WireError, match="did not start"):
        hops_s("bogus", (64,), 2)
