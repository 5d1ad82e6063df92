"""Windows: whether one is open changes exactly when it is said to change."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, example, given
from hypothesis import strategies as st

from qlop.model.window import Blackout, CalendarWindow, CronWindow, Window, parse_cron
from qlop.planner import windows

ZONES = st.sampled_from(
    ["Europe/Berlin", "America/New_York", "Asia/Jakarta", "Australia/Lord_Howe", "UTC"]
)
INSTANTS = st.datetimes(
    min_value=datetime(2026, 1, 1),  # noqa: DTZ001  # the zone is given below
    max_value=datetime(2027, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)
CLOCK = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
CRONS = st.builds(
    "{} {} {} * {}".format,
    st.sampled_from(["0", "30", "0,30"]),
    st.sampled_from(["1", "2", "3", "22,23"]),
    st.sampled_from(["*", "*/2", "1", "25,29"]),
    st.sampled_from(["*", "sun", "mon-fri"]),
)
WINDOWS = st.one_of(
    st.builds(
        CronWindow,
        name=st.just("w"),
        cron=CRONS.map(parse_cron),
        duration=st.integers(1, 30).map(lambda hours: timedelta(hours=hours / 2)),
        zone=ZONES,
    ),
    st.builds(
        CalendarWindow,
        name=st.just("w"),
        weekdays=st.frozensets(st.integers(0, 6), min_size=1),
        start=CLOCK,
        end=CLOCK,
        zone=ZONES,
    ),
)


@st.composite
def blackouts(draw: st.DrawFn) -> Blackout:
    first = draw(st.dates(min_value=date(2026, 1, 1), max_value=date(2027, 12, 1)))
    days = draw(st.integers(0, 10))
    return Blackout(
        first=first, last=first + timedelta(days=days), zone=draw(ZONES), reason="holidays"
    )


OPEN_FOR_GOOD: tuple[list[Window], list[Blackout]] = (
    [
        CronWindow(
            name="w",
            cron=parse_cron("0,30 1 * * *"),
            duration=timedelta(hours=1.5),
            zone="Europe/Berlin",
        ),
        CronWindow(
            name="w",
            cron=parse_cron("0,30 1 * * *"),
            duration=timedelta(hours=0.5),
            zone="America/New_York",
        ),
        CalendarWindow(
            name="w",
            weekdays=frozenset(range(7)),
            start=time(2),
            end=time(1, 15),
            zone="Europe/Berlin",
        ),
    ],
    [],
)
GIVEN = st.tuples(st.lists(WINDOWS, max_size=3), st.lists(blackouts(), max_size=2))


@given(GIVEN, INSTANTS, st.floats(0, 0.999))
@example(OPEN_FOR_GOOD, datetime(2026, 1, 1, tzinfo=UTC), 0.0)
def test_it_flips_at_the_next_change_and_not_before(
    said: tuple[list[Window], list[Blackout]], now: datetime, share: float
) -> None:
    state = windows.is_open(*said, now)
    change = windows.next_change(*said, now)
    assume(change is not None)
    assert change is not None
    between = now + (change - now) * share

    assert change > now
    assert windows.is_open(*said, between) is state
    assert windows.is_open(*said, change - timedelta(microseconds=1)) is state
    # Windows that overlap without end give an instant to look again at, far away: three of
    # these have 24 openings and closings a day at most, and 500 are looked at.
    assert windows.is_open(*said, change) is not state or change - now > timedelta(days=20)


@given(WINDOWS.filter(lambda one: isinstance(one, CalendarWindow)), INSTANTS)
@example(
    CalendarWindow(
        name="w", weekdays=frozenset({6}), start=time(2), end=time(3), zone="Europe/Berlin"
    ),
    datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
)
def test_it_is_open_when_the_clock_on_the_wall_says_so(window: Window, now: datetime) -> None:
    assert isinstance(window, CalendarWindow)
    wall = now.astimezone(ZoneInfo(window.zone))
    assume(_is_plain(wall))
    today, yesterday = wall.weekday(), (wall.weekday() - 1) % 7
    clock = wall.time().replace(tzinfo=None)
    if window.end > window.start:
        expected = today in window.weekdays and window.start <= clock < window.end
    else:
        begun = today in window.weekdays and clock >= window.start
        expected = begun or (yesterday in window.weekdays and clock < window.end)

    assert windows.is_open([window], (), now) is expected


def _is_plain(wall: datetime) -> bool:
    """Return whether no clock is changed within a day of this time."""
    day = timedelta(days=1)
    before, after = (wall.astimezone(UTC) + step for step in (-day, day))
    zone = wall.tzinfo
    return before.astimezone(zone).utcoffset() == after.astimezone(zone).utcoffset()


@given(WINDOWS, blackouts(), INSTANTS)
def test_a_black_out_opens_nothing(window: Window, dark: Blackout, now: datetime) -> None:
    assert windows.is_open([window], [dark], now) <= windows.is_open([window], (), now)
