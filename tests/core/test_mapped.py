"""The items of one message of a map."""

from __future__ import annotations

from pydist._runtime.mapped import Items, run_item, run_items


def begun(items: Items, n: int) -> None:
    for _ in range(n):
        items.take()


def test_what_will_not_begin_in_time_is_taken_away() -> None:
    items = Items([*range(100)], star=False)
    begun(items, 11)  # ten were done in 4 ms, the eleventh is under way: ten more will be
    assert items.cut(lasted=0.004, longest=0.004) == 21
    assert run_items(abs, items)[:2] == ([*range(11, 21)], None)


def test_the_first_item_alone_is_kept_if_it_lasts() -> None:
    items = Items([*range(100)], star=False)
    begun(items, 1)
    assert items.cut(lasted=0.004, longest=0.004) == 1
    assert not items


def test_nothing_is_taken_away_if_all_goes_well() -> None:
    items = Items([*range(100)], star=False)
    begun(items, 60)
    assert items.cut(lasted=0.004, longest=0.004) is None
    assert len(items) == 40


def test_an_item_is_done_once_whoever_cuts() -> None:
    items = Items([*range(100)], star=False)
    done: list[int] = []

    def work(i: int) -> int:
        done.append(i)
        if i == 30:
            assert items.cut(lasted=1.0, longest=0.001) == 31
        return i

    assert run_items(work, items)[:2] == ([*range(31)], None)
    assert done == [*range(31)]


def test_items_may_be_argument_tuples() -> None:
    assert run_items(pow, Items([(2, 3), (3, 2)], star=True))[:2] == ([8, 9], None)
    assert run_item(pow, (2, 3), star=8)[:2] == ([8], None)


def test_the_first_failure_ends_it() -> None:
    values, failure, took = run_items(lambda x: 1 // x, Items([1, 0, 1], star=False))
    assert values == [1]
    assert failure is not None
    assert took >= 0
    assert isinstance(failure.ex, ZeroDivisionError)
    values, failure, took = run_item(lambda x: 1 // x, 0, star=0)
    assert values == []
    assert failure is not None
    assert took >= 0


def test_all_that_have_not_begun_can_be_taken_away() -> None:
    items = Items(range(100), star=False)
    begun(items, 3)
    assert items.cut_all() == 3
    assert not items
    assert items.cut_all() is None
