"""Books that are kept: nothing over the budget, nothing lost, what is waited for first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import catalog
from shoal.errors import InputError, LimitError
from shoal.store import DEMAND, POLICIES, Begun, Key, Ledger, Policy, TierFigures

KEYS = [Key(layer, part) for layer in range(3) for part in range(3)]
SIZES = dict(zip(KEYS, [3, 1, 2, 2, 2, 1, 3, 1, 1], strict=True))


def ledger(budget: int = 6, policy: str = "lru") -> Ledger:
    found: Policy = catalog.make(POLICIES, policy)
    return Ledger(SIZES, budget, found.keeper(KEYS))


def drained(books: Ledger) -> list[Key]:
    """Read all that can be read."""
    read = []
    while begun := books.begin():
        books.came(begun.key)
        read.append(begun.key)
    return read


def test_what_is_waited_for_goes_before_what_is_preloaded_earlier() -> None:
    books = ledger()
    books.preload([KEYS[1]], priority=1)
    books.preload([KEYS[7]])
    books.hold([KEYS[2]])
    assert drained(books) == [KEYS[2], KEYS[7], KEYS[1]]


def test_a_preload_that_is_waited_for_later_moves_up_and_is_read_once() -> None:
    books = ledger()
    books.preload([KEYS[1], KEYS[5], KEYS[7]])
    books.hold([KEYS[7]])
    assert drained(books) == [KEYS[7], KEYS[1], KEYS[5]]


def test_a_preload_takes_no_room_of_what_is_used_nor_of_another_preload() -> None:
    books = ledger(budget=4)
    books.hold([KEYS[0]])
    books.preload([KEYS[1], KEYS[7]])
    assert drained(books) == [KEYS[0], KEYS[1]]
    books.let_go([KEYS[0]])
    assert drained(books) == [KEYS[7]]
    assert not books.here(KEYS[0])
    books.preload([KEYS[6]])
    assert drained(books) == []  # both that are there were preloaded and not used yet
    books.forget()
    books.preload([KEYS[6]])
    assert drained(books) == [KEYS[6]]


def test_what_is_foreseen_and_here_does_not_leave_for_what_is_foreseen_after_it() -> None:
    books = ledger(budget=4)
    for key in (KEYS[1], KEYS[7], KEYS[2]):
        books.hold([key])
        drained(books)
        books.let_go([key])
    books.preload([KEYS[1], KEYS[8]])  # by last use the first would leave
    assert drained(books) == [KEYS[8]]
    assert books.held() == {KEYS[1], KEYS[2], KEYS[8]}
    books.preload([KEYS[2], KEYS[5]])
    assert drained(books) == []
    books.hold([KEYS[5]])  # who waits goes before all that is foreseen
    assert drained(books) == [KEYS[5]]


def test_waiting_takes_the_room_of_preloads_when_nothing_else_is_left() -> None:
    books = ledger(budget=3)
    books.preload([KEYS[1], KEYS[7], KEYS[8]])
    drained(books)
    books.hold([KEYS[0]])
    assert drained(books) == [KEYS[0]]


def test_preloads_that_have_not_begun_are_struck_but_for_some() -> None:
    books = ledger()
    books.preload([KEYS[1], KEYS[5], KEYS[7]])
    assert books.forget(keep=[KEYS[5]]) == 2
    assert drained(books) == [KEYS[5]]


def test_what_could_not_be_read_leaves_its_room() -> None:
    books = ledger(budget=3)
    books.hold([KEYS[0]])
    begun = books.begin()
    assert begun is not None
    assert begun.demanded
    books.failed(begun.key)
    books.let_go([KEYS[0]])
    books.hold([KEYS[6]])
    assert drained(books) == [KEYS[6]]
    assert books.peak_bytes == 3


def begun(books: Ledger) -> Begun:
    found = books.begin()
    assert found is not None
    return found


def test_a_preload_gives_way_to_what_is_waited_for_and_goes_on_after_it() -> None:
    books = ledger()
    books.preload([KEYS[0]])
    assert begun(books).key == KEYS[0]
    books.preload([KEYS[3]])
    assert not books.overtaken(KEYS[0])  # both are foreseen: the first is read to its end
    books.hold([KEYS[2]])
    assert books.overtaken(KEYS[0])
    books.gave_way(KEYS[0], 2)
    assert books.coming(KEYS[0])
    assert begun(books) == Begun(KEYS[2], (), True)
    books.came(KEYS[2])
    assert begun(books) == Begun(KEYS[0], (), False, 2)
    assert books.used_bytes == SIZES[KEYS[0]] + SIZES[KEYS[2]]
    books.let_go([KEYS[2]])
    books.hold([KEYS[3]])
    books.hold([KEYS[0]])
    assert not books.overtaken(KEYS[0])  # somebody waits for it, too
    assert books.until(Begun(KEYS[0], (), False, 2), 2, TierFigures("any")) == SIZES[KEYS[0]]


def test_what_is_foreseen_no_more_gives_way_to_what_is() -> None:
    books = ledger()
    books.preload([KEYS[0]])
    begun(books)
    books.forget()
    assert not books.overtaken(KEYS[0])
    books.preload([KEYS[3]])
    assert books.overtaken(KEYS[0])
    books.gave_way(KEYS[0], 1)
    assert drained(books) == [KEYS[3]]
    books.hold([KEYS[0]])
    assert begun(books) == Begun(KEYS[0], (), True, 1)  # what came before is not read again


def test_what_is_foreseen_again_while_it_is_read_is_read_to_its_end() -> None:
    books = ledger()
    books.preload([KEYS[0]])
    begun(books)
    books.forget()
    books.preload([KEYS[0], KEYS[3]])
    assert not books.overtaken(KEYS[0])
    books.came(KEYS[0])
    assert drained(books) == [KEYS[3]]


def test_what_is_waited_for_is_not_struck_and_was_not_foreseen() -> None:
    books = ledger()
    books.preload([KEYS[0]], DEMAND)  # by who is about to wait
    assert begun(books).demanded
    books.forget()
    books.preload([KEYS[3]])
    assert not books.overtaken(KEYS[0])
    assert not books.coming(KEYS[0])


def test_parts_leave_before_what_is_whole_unless_they_are_still_wanted() -> None:
    books = ledger(budget=6)
    books.hold([KEYS[2]])
    drained(books)
    books.let_go([KEYS[2]])
    books.preload([KEYS[0]])
    begun(books)
    books.hold([KEYS[1]])
    books.gave_way(KEYS[0], 2)
    assert begun(books).gone == ()
    books.came(KEYS[1])
    books.hold([KEYS[5]])
    assert begun(books).gone == (KEYS[2],)
    books.came(KEYS[5])
    books.forget()
    books.hold([KEYS[7], KEYS[8]])
    assert begun(books).gone == ()
    assert begun(books).gone == (KEYS[0],)
    assert not books.coming(KEYS[0])


def test_limits_say_what_was_needed() -> None:
    with pytest.raises(LimitError, match=r"0: the budget holds not even one record \(needed 3 bytes, had 2\)"):
        ledger(budget=2)
    books = ledger(budget=5)
    books.hold([KEYS[0]])
    with pytest.raises(LimitError, match=r"larger than the budget \(needed 6 bytes, had 5\)"):
        books.hold([KEYS[6]])
    with pytest.raises(InputError, match="7: nothing is stored"):
        books.hold([Key(7)])


@given(
    st.sampled_from(["lru", "lfu", "fifo", "distance"]),
    st.integers(6, 16),
    st.lists(
        st.tuples(
            st.sampled_from(["hold", "preload", "forget", "read", "begin"]),
            st.sets(st.sampled_from(KEYS), max_size=2),
        )
    ),
)
def test_whatever_is_asked_the_budget_holds_and_all_that_is_waited_for_comes(
    policy: str, budget: int, steps: list[tuple[str, set[Key]]]
) -> None:
    books, reading = ledger(budget, policy), None
    for what, keys in steps:
        if what == "hold":
            books.hold(sorted(keys))
            if reading is not None and books.overtaken(reading):
                books.gave_way(reading, 1)
            elif reading is not None:
                books.came(reading)
            reading = None
            drained(books)
            assert all(map(books.here, keys))
            books.let_go(keys)
        elif what == "preload":
            books.preload(sorted(keys))
        elif what == "forget":
            books.forget(keys)
        elif what == "begin" and reading is None and (found := books.begin()):
            reading = found.key
        elif what == "read" and reading is None:
            drained(books)
        assert books.used_bytes == sum(SIZES[key] for key in KEYS if books.here(key) or books.coming(key)) <= budget
        assert books.peak_bytes <= budget
