"""What may be looked at of a daemon that stands by."""

from datetime import timedelta

from qlop.controller.window import Window
from qlop.web import health
from tests.observer.cluster import VirtualClock


def window(clock: VirtualClock) -> Window:
    return Window(
        clock=clock,
        interval=timedelta(seconds=15),
        render_metrics=bytes,
        read_records=tuple,
        read_orders=tuple,
        order_book=str,
        journal_trouble=str,
    )


async def test_who_stands_by_is_alive_as_long_as_it_says_so() -> None:
    clock = VirtualClock()
    view = window(clock)

    await clock.sleep(timedelta(minutes=10))
    view.stands_by("the lease")
    alive, unready = health.why_dead(view), health.why_not_ready(view)
    await clock.sleep(timedelta(seconds=46))

    assert (alive, unready) == ("", "standing by: waits for the lease")
    assert health.why_dead(view) == "no cycle ended for 46s"


async def test_once_it_leads_a_cycle_is_due() -> None:
    clock = VirtualClock()
    view = window(clock)
    await clock.sleep(timedelta(minutes=10))

    view.begins()

    assert health.why_dead(view) == ""
    assert health.why_not_ready(view) == "starting: no cycle ended yet"
