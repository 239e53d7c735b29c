"""Orders: the same order has the same id, and on a window act those that were given for it or before."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.schemas.orders import MOST_ORDERS, Order, identified, in_force, in_turn, superfluous


def order(at_us: int = 0, from_us: int = 0, **more: Any) -> Order:
    return identified(Order(job="j", verb="mute", by="ada", at_us=at_us, from_us=from_us, **more))


def test_the_same_order_has_the_same_id_and_another_one_another() -> None:
    assert order(1, why="known") == order(1, why="known")
    ids = {one.id for one in (order(1), order(2), order(1, 1), order(1, why="x"), order(1, incident="j-1"))}
    assert len(ids) == 5
    assert identified(order(1)).id == order(1).id


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12), st.integers(0, 10))
def test_on_a_window_act_the_orders_from_then_or_before_but_for_those_that_are_cancelled(
    given_at: list[tuple[int, int]], start_us: int
) -> None:
    orders: list[Order] = []
    for place, (at_us, from_us) in enumerate(given_at):
        cancels = tuple(one.id for one in orders[-1:]) if place % 3 == 2 else ()
        orders.append(order(at_us, from_us, why=str(place), cancels=cancels))
    expected = set()
    for one in orders:
        if one.from_us <= start_us and not any(one.id in by.cancels and by.from_us <= start_us for by in orders):
            expected.add(one.id)
    found = in_force(in_turn(orders), start_us)
    assert {one.id for one in found} == expected
    assert [one.at_us for one in found] == sorted(one.at_us for one in found)


def test_the_newest_orders_are_followed() -> None:
    orders = in_turn(order(at_us) for at_us in range(MOST_ORDERS + 5))
    assert [orders[0].at_us, orders[-1].at_us, len(orders)] == [5, MOST_ORDERS + 4, MOST_ORDERS]


def test_room_is_made_by_orders_that_act_no_more_and_then_by_the_oldest() -> None:
    orders = [order(at_us) for at_us in range(MOST_ORDERS)]
    assert superfluous(orders, 0) == []
    over, later = order(MOST_ORDERS, until_us=50), order(MOST_ORDERS + 1, until_us=51)
    by = order(MOST_ORDERS + 2, cancels=(orders[7].id,))
    found = superfluous([*orders, over, later, by], 50)
    assert found == [orders[7], over, orders[0]]
