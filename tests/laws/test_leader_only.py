"""Leader only: without the lease nothing is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.closed import House
from tests.laws.reach import Reach, reaching
from tests.laws.test_closed_loop import SMALL, converged, run, settled
from tests.laws.town import wanted

REACH = Reach()
SPANS = st.lists(st.one_of(st.floats(0, 4), st.floats(0, 60)), max_size=8)
"""Building takes some twenty seconds: most of these spans are short enough to cut it."""


@pytest.mark.slow  # builds two guests some dozens of times
@pytest.mark.timeout(120)
@reaching(REACH, cut=5, begun_late=5)
@given(SPANS)
def test_with_the_lease_coming_and_going_all_is_built(spans: list[float]) -> None:
    """``House`` insists that each mutation finds the lease held."""
    edges = [sum(spans[: place + 1]) for place in range(len(spans))]

    def leads(now: float) -> bool:
        return sum(edge <= now for edge in edges) % 2 == len(edges) % 2

    async def story() -> None:
        house = House(wanted(*SMALL), leads=leads)
        await settled(house)

        assert converged(house)
        first, last = house.sent[0][0], house.sent[-1][0]
        REACH.note("drawn")
        REACH.note("cut", when=any(first < edge < last for edge in edges))
        REACH.note("begun_late", when=not leads(0.0))

    run(story())


def test_without_the_lease_nothing_is_ever_sent() -> None:
    async def story() -> None:
        house = House(wanted(*SMALL), leads=lambda _: False)
        await house.live()

        assert (house.sent, house.records) == ([], [])
        assert house.last is not None
        assert house.last.status.stalled == "another qlop holds the lease"

    run(story())
