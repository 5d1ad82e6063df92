from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from qlop.model.window import (
    Blackout,
    CalendarWindow,
    CronWindow,
    Window,
    parse_cron,
    parse_weekdays,
)
from qlop.planner import windows

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
JAKARTA, LORD_HOWE = "Asia/Jakarta", "Australia/Lord_Howe"
EVERY_DAY = frozenset(range(7))


def by_cron(text: str, hours: float, zone: str = JAKARTA) -> CronWindow:
    return CronWindow(name="w", cron=parse_cron(text), duration=timedelta(hours=hours), zone=zone)


def by_calendar(
    start: str, end: str, zone: str = JAKARTA, days: frozenset[int] = EVERY_DAY
) -> CalendarWindow:
    return CalendarWindow(
        name="w",
        weekdays=days,
        start=time.fromisoformat(start),
        end=time.fromisoformat(end),
        zone=zone,
    )


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "now", "is_open", "change"),
    [
        pytest.param(
            by_cron("0 2 * * sat", 4),
            "2026-11-24T05:00",
            False,
            "2026-11-27T19:00",
            id="cron-opens-on-saturday-at-two-in-jakarta",
        ),
        pytest.param(
            by_cron("0 2 * * sat", 4),
            "2026-11-27T19:00",
            True,
            "2026-11-27T23:00",
            id="cron-is-open-from-its-first-instant",
        ),
        pytest.param(
            by_cron("0 2 * * sat", 4),
            "2026-11-27T23:00",
            False,
            "2026-12-04T19:00",
            id="cron-is-shut-from-its-end",
        ),
        pytest.param(
            by_calendar("22:00", "04:00", days=parse_weekdays("fri")),
            "2026-11-27T20:00",
            True,
            "2026-11-27T21:00",
            id="calendar-goes-over-midnight",
        ),
        pytest.param(
            by_calendar("00:00", "00:00", days=parse_weekdays("sun")),
            "2026-11-28T17:00",
            True,
            "2026-11-29T17:00",
            id="calendar-whole-day",
        ),
        pytest.param(
            by_cron("0 0 29 2 *", 1, "UTC"),
            "2026-11-24T05:00",
            False,
            "2028-02-29T00:00",
            id="leap-day",
        ),
        # Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC.
        pytest.param(
            by_cron("30 2 * * *", 1, BERLIN),
            "2026-03-28T12:00",
            False,
            "2026-03-29T01:00",
            id="a-skipped-start-is-the-skip",
        ),
        pytest.param(
            by_calendar("01:30", "02:30", BERLIN),
            "2026-03-29T00:30",
            True,
            "2026-03-29T01:00",
            id="a-skipped-end-is-the-skip",
        ),
        pytest.param(
            by_calendar("02:10", "02:50", BERLIN),
            "2026-03-28T12:00",
            False,
            "2026-03-30T00:10",
            id="a-window-that-is-skipped-whole-does-not-open",
        ),
        pytest.param(
            by_calendar("01:00", "04:00", BERLIN),
            "2026-03-29T00:00",
            True,
            "2026-03-29T02:00",
            id="by-the-clock-it-is-an-hour-shorter",
        ),
        pytest.param(
            by_cron("0 1 * * *", 3, BERLIN),
            "2026-03-29T00:00",
            True,
            "2026-03-29T03:00",
            id="by-duration-it-is-as-long-as-ever",
        ),
        # Berlin, 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC.
        pytest.param(
            by_cron("30 2 * * *", 1, BERLIN),
            "2026-10-24T12:00",
            False,
            "2026-10-25T00:30",
            id="of-a-start-that-comes-twice-the-first-counts",
        ),
        pytest.param(
            by_cron("30 2 * * *", 1, BERLIN),
            "2026-10-25T01:30",
            False,
            "2026-10-26T01:30",
            id="and-the-second-does-not",
        ),
        pytest.param(
            by_calendar("01:00", "02:30", BERLIN),
            "2026-10-24T23:00",
            True,
            "2026-10-25T00:30",
            id="of-an-end-that-comes-twice-the-first-counts",
        ),
        # New York, 2026-03-08: 02:00 becomes 03:00 at 07:00 UTC; back on 2026-11-01, 06:00 UTC.
        pytest.param(
            by_cron("15 2 * * sun", 1, NEW_YORK),
            "2026-03-07T12:00",
            False,
            "2026-03-08T07:00",
            id="new-york-skips",
        ),
        pytest.param(
            by_cron("30 1 * * sun", 1, NEW_YORK),
            "2026-10-31T12:00",
            False,
            "2026-11-01T05:30",
            id="new-york-repeats",
        ),
        # Lord Howe, 2026-10-04: 02:00 becomes 02:30 at 15:30 UTC the day before.
        pytest.param(
            by_cron("15 2 * * *", 1, LORD_HOWE),
            "2026-10-03T12:00",
            False,
            "2026-10-03T15:30",
            id="lord-howe-skips-half-an-hour",
        ),
        # Lord Howe, 2026-04-05: 02:00 becomes 01:30 at 15:00 UTC the day before.
        pytest.param(
            by_cron("45 1 * * *", 1, LORD_HOWE),
            "2026-04-04T12:00",
            False,
            "2026-04-04T14:45",
            id="lord-howe-repeats-half-an-hour",
        ),
    ],
)
def test_a_window(window: Window, now: str, is_open: bool, change: str) -> None:  # noqa: FBT001  # a column
    found = (
        windows.is_open([window], (), utc(now)),
        windows.next_change([window], (), utc(now)),
    )

    assert found == (is_open, utc(change))


NIGHTLY = by_calendar("01:00", "05:00", "UTC")
HOLIDAYS = Blackout(
    first=date(2026, 12, 24), last=date(2027, 1, 1), zone=JAKARTA, reason="few people"
)


@pytest.mark.parametrize(
    ("now", "is_open", "change"),
    [
        pytest.param("2026-12-23T02:00", True, "2026-12-23T05:00", id="before"),
        pytest.param("2026-12-23T12:00", False, "2027-01-02T01:00", id="nights-are-left-out"),
        pytest.param("2026-12-25T02:00", False, "2027-01-02T01:00", id="shut-at-night"),
        pytest.param("2027-01-01T17:00", False, "2027-01-02T01:00", id="over-in-jakarta"),
    ],
)
def test_a_black_out_shuts_every_window(now: str, is_open: bool, change: str) -> None:  # noqa: FBT001
    found = (
        windows.is_open([NIGHTLY], [HOLIDAYS], utc(now)),
        windows.next_change([NIGHTLY], [HOLIDAYS], utc(now)),
    )

    assert found == (is_open, utc(change))


def test_a_black_out_that_begins_in_a_window_ends_it() -> None:
    dark = Blackout(first=date(2026, 12, 24), last=date(2026, 12, 24), zone="UTC", reason="")
    window = by_calendar("22:00", "04:00", "UTC")
    found = windows.next_change([window], [dark], utc("2026-12-23T23:00"))

    assert found == utc("2026-12-24T00:00")


def test_of_several_windows_one_suffices() -> None:
    both = [by_calendar("01:00", "03:00", "UTC"), by_calendar("02:00", "05:00", "UTC")]

    assert windows.next_change(both, (), utc("2026-11-24T01:30")) == utc("2026-11-24T05:00")


def test_without_windows_nothing_ever_opens() -> None:
    assert not windows.is_open((), (), utc("2026-11-24T01:30"))
    assert windows.next_change((), (), utc("2026-11-24T01:30")) is None


def test_windows_that_overlap_without_end_are_looked_at_again() -> None:
    always = [by_calendar("00:00", "12:00", "UTC"), by_calendar("12:00", "00:00", "UTC")]
    now = utc("2026-11-24T01:30")
    found = windows.next_change(always, (), now)

    assert found is not None
    assert found > now
    assert windows.is_open(always, (), found)


def test_midnight_may_be_skipped() -> None:
    # Beirut puts its clocks forward at midnight: 2026-03-29 begins at 01:00.
    found = windows.instant(datetime(2026, 3, 29), ZoneInfo("Asia/Beirut"))  # noqa: DTZ001  # local

    assert found == utc("2026-03-28T22:00")
