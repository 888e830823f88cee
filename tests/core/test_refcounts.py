"""Reference counts: a value lives as long as somebody holds it, in whatever order the notes arrive."""

from __future__ import annotations

from hypothesis import given, strategies as st

from pydist._protocol.refcounts import Holders, Receipts


def test_nobody_holds_a_new_value() -> None:
    assert not Holders()


def test_a_value_is_free_when_its_last_holder_lets_go() -> None:
    holders = Holders()
    holders.add(2)
    holders.add(3, 2)
    holders.add(2, -1)
    holders.add(3, -1)
    assert holders
    assert holders.pids() == [3]
    holders.add(3, -1)
    assert not holders


def test_a_release_may_overtake_its_hold() -> None:
    holders = Holders()
    holders.add(1)  # the sender
    holders.add(2, -1)  # the receiver has let go already
    assert holders
    holders.add(2)  # now the sender's note about the receiver
    assert holders.pids() == [1]
    holders.add(1, -1)
    assert not holders


def test_a_dead_process_holds_nothing() -> None:
    holders = Holders()
    holders.add(2, 3)
    holders.forget(2)
    assert not holders


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), max_size=8), st.randoms(use_true_random=False))
def test_any_order_of_the_same_notes_ends_with_a_free_value(holds: list[tuple[int, int]], random: object) -> None:
    notes = holds + [(pid, -n) for pid, n in holds]
    random.shuffle(notes)  # type: ignore[attr-defined]
    holders = Holders()
    sums: dict[int, int] = {}
    for pid, n in notes:
        holders.add(pid, n)
        sums[pid] = sums.get(pid, 0) + n
        assert bool(holders) == any(sums.values())
    assert not holders


def test_who_lets_go_owes_as_often_as_it_received() -> None:
    receipts = Receipts()
    receipts.add((1, 5))
    receipts.add((1, 5), 2)
    receipts.add((2, 5))
    assert (1, 5) in receipts
    assert receipts.settle((1, 5)) == 3
    assert receipts.settle((1, 5)) == 0
    assert len(receipts) == 1
