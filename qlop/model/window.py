"""Say when things may be done: windows by clock or cron, and black-out dates.

All of it is local time in a named zone; ``planner.windows`` makes instants of it.
"""

import re
from dataclasses import dataclass
from datetime import date, time, timedelta

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
STARTS_A_DAY_MAX = 24
"""A window that opens more often than every hour is one that never closes."""

_STEP = re.compile(r"(?P<range>\*|[^/]+)(?:/(?P<step>\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """When a cron line is due. ``weekdays`` begin with Monday as 0.

    ``either_day``: month day and weekday are both restricted, and one of them suffices,
    as cron has it.
    """

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def is_due_on(self, day: date) -> bool:
        """Return whether it is due at some time of this day."""
        if day.month not in self.months:
            return False
        by_date, by_weekday = day.day in self.days, day.weekday() in self.weekdays
        return by_date or by_weekday if self.either_day else by_date and by_weekday


@dataclass(frozen=True, slots=True, kw_only=True)
class CronWindow:
    """A window that opens when a cron line is due and stays open for ``duration``."""

    name: str
    cron: Cron
    duration: timedelta
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarWindow:
    """A window that opens at ``start`` on some weekdays and closes at ``end``.

    If ``end`` is not after ``start`` it is that of the next day. 0 is Monday.
    """

    name: str
    weekdays: frozenset[int]
    start: time
    end: time
    zone: str


Window = CronWindow | CalendarWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout:
    """Days on which every window stays shut, the first and the last included."""

    first: date
    last: date
    zone: str
    reason: str


def parse_cron(text: str) -> Cron:
    """Return what ``minute hour day month weekday`` means.

    Raises:
        ValueError: with what is wrong, in words for people.
    """
    parts = text.lower().split()
    if len(parts) != 5:
        raise ValueError(
            f"{text!r} has {len(parts)} fields; cron has minute hour day month weekday"
        )
    minutes = _numbers(parts[0], 0, 59, "minute")
    hours = _numbers(parts[1], 0, 23, "hour")
    days = _numbers(parts[2], 1, 31, "day of the month")
    months = _numbers(_named(parts[3], MONTHS, 1), 1, 12, "month")
    # Cron counts Sunday as 0 and as 7, Python's Monday is 0.
    said = _numbers(_named(parts[4], WEEKDAYS, 1), 0, 7, "weekday")
    if len(minutes) * len(hours) > STARTS_A_DAY_MAX:
        raise ValueError(
            f"{text!r} begins {len(minutes) * len(hours)} times a day; at most"
            f" {STARTS_A_DAY_MAX} make sense: give it a longer duration"
        )
    shortest = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
    if parts[4] == "*" and not any(
        day <= shortest.get(month, 31) for month in months for day in days
    ):
        raise ValueError(f"{text!r} is never due: no such month has such a day")
    return Cron(
        text=text,
        minutes=minutes,
        hours=hours,
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset((day - 1) % 7 for day in said),
        either_day=not parts[2].startswith("*") and not parts[4].startswith("*"),
    )


def parse_time(text: str) -> time:
    """Return the time of day that ``02:30`` means.

    Raises:
        ValueError: for anything else.
    """
    if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text) is None:
        raise ValueError(f"{text!r} is no time of day; write it like 02:30")
    return time.fromisoformat(text)


def parse_date(text: str) -> date:
    """Return the day that ``2026-12-24`` means.

    Raises:
        ValueError: for anything else.
    """
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) is None:
        raise ValueError(f"{text!r} is no date; write it like 2026-12-24")
    return date.fromisoformat(text)


def parse_weekdays(text: str) -> frozenset[int]:
    """Return the weekdays that ``sat`` or ``mon-fri`` means; 0 is Monday.

    Raises:
        ValueError: for anything else.
    """
    first, _, last = text.lower().partition("-")
    if first not in WEEKDAYS or (last or first) not in WEEKDAYS:
        raise ValueError(f"{text!r} is no weekday; write mon, tue, wed, thu, fri, sat or sun")
    begin, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))


def _named(text: str, names: tuple[str, ...], first: int) -> str:
    for number, name in enumerate(names, start=first):
        text = re.sub(rf"\b{name}\b", str(number), text)
    return text


def _numbers(text: str, low: int, high: int, what: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        match = _STEP.fullmatch(part)
        if match is None or match["step"] == "0":
            raise ValueError(f"{part!r} is no {what} of a cron line")
        begin, end = _range(match["range"], low, high, what, is_stepped=match["step"] is not None)
        found.update(range(begin, end + 1, int(match["step"] or 1)))
    return tuple(sorted(found))


def _range(text: str, low: int, high: int, what: str, *, is_stepped: bool) -> tuple[int, int]:
    if text == "*":
        return low, high
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise ValueError(f"{text!r} is no {what} of a cron line")
    begin = int(first)
    end = int(last) if dash else (high if is_stepped else begin)
    if not low <= begin <= end <= high:
        raise ValueError(f"{text!r} is no {what}: they go from {low} to {high}")
    return begin, end
