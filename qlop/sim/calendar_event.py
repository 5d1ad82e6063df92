"""Tell when a schedule in PVE's calendar format comes due next.

``[DAYS] [[YEARS-]MONTHS-DAYS] [[HOURS:]MINUTES[:SECONDS]] [UTC]``, after the crate
``proxmox-time`` (``calendar_event.rs``), a subset of systemd's: lists, ranges (``8..17``) and
repetitions (``*/15``, ``0/30``, ``8..17/2``), and names such as ``daily`` and ``quarterly``.
The simulated hosts' time zone is UTC.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass

from qlop.sim.wire import bad_parameters

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAMED = {
    "minutely": "*:*:0",
    "hourly": "*:0:0",
    "daily": "0:0:0",
    "weekly": "mon 0:0:0",
    "monthly": "*-1 0:0:0",
    "yearly": "1-1 0:0:0",
    "annually": "1-1 0:0:0",
    "quarterly": "1,4,7,10-1 0:0:0",
    "semiannually": "1,7-1 0:0:0",
    "semi-annually": "1,7-1 0:0:0",
}
_STEPS_MAX = 1000
"""After so many steps there is no next time (``compute_next_event``)."""
_YEARS, _MONTHS, _DAYS, _HOURS, _SIXTY = 2200, 13, 32, 24, 60
_COMPONENT = r"(?:\d+(?:\.\.\d+)?(?:/\d+)?)"
_LIST = rf"(?:\*(?:/\d+)?|{_COMPONENT}(?:,{_COMPONENT})*)"
_DATE = re.compile(rf"(?:({_LIST})-)?({_LIST})-({_LIST})(?:\s+|$)")
_TIME = re.compile(rf"(?:({_LIST}):)?({_LIST})(?::({_LIST}))?$")

Allowed = frozenset[int] | None
"""The values that will do; ``None``: any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarEvent:
    """What each part of the time must be. Of weekdays, Monday is 0."""

    weekdays: Allowed
    years: Allowed
    months: Allowed
    days: Allowed
    hours: Allowed
    minutes: Allowed
    seconds: Allowed

    def after(self, at: float) -> float | None:
        """Return the first time after ``at`` (epoch seconds) at which it is due, if any."""
        first = dt.datetime.fromtimestamp(int(at) + 1, dt.UTC)
        day = first.date()
        for _ in range(_STEPS_MAX):
            later = self._later_day(day)
            if later is None:
                return None
            if later != day:
                day = later
                continue
            begin = first.time() if day == first.date() else dt.time()
            time = next(self._times(begin), None)
            if time is not None:
                return dt.datetime.combine(day, time, dt.UTC).timestamp()
            day += dt.timedelta(days=1)
        return None

    def _later_day(self, day: dt.date) -> dt.date | None:
        """Return ``day`` if it will do, else one that is nearer to one that does."""
        if self.years is not None and day.year not in self.years:
            year = min((year for year in self.years if year > day.year), default=None)
            return None if year is None else dt.date(year, 1, 1)
        if not _is_in(day.month, self.months):
            later = sorted(month for month in self.months or () if month > day.month)
            return dt.date(day.year, later[0], 1) if later else dt.date(day.year + 1, 1, 1)
        if not _is_in(day.day, self.days) or not _is_in(day.weekday(), self.weekdays):
            return day + dt.timedelta(days=1)
        return day

    def _times(self, begin: dt.time) -> Iterator[dt.time]:
        """Yield the times of a day that will do, from ``begin`` on."""
        for hour in _values(self.hours, _HOURS):
            if hour < begin.hour:
                continue
            for minute in _values(self.minutes, _SIXTY):
                if (hour, minute) < (begin.hour, begin.minute):
                    continue
                for second in _values(self.seconds, _SIXTY):
                    if (time := dt.time(hour, minute, second)) >= begin:
                        yield time


def _is_in(value: int, allowed: Allowed) -> bool:
    return allowed is None or value in allowed


def _values(allowed: Allowed, limit: int) -> list[int]:
    return list(range(limit)) if allowed is None else sorted(allowed)


def parse(text: str) -> CalendarEvent:
    """Return what a schedule says.

    Raises:
        ValueError: if it is none.
    """
    rest = text.removesuffix("UTC").rstrip(" ") if text.endswith("UTC") else text
    rest = _NAMED.get(rest, rest)
    weekdays: Allowed = None
    if re.match(r"[A-Za-z]", rest):
        words, rest = re.match(r"([^\s]*)\s*(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
        weekdays = frozenset(day for item in words.split(",") for day in _weekdays(item))
    elif not rest:
        raise ValueError("date or time specification")
    years: Allowed = None
    months: Allowed = None
    days: Allowed = None
    if date := _DATE.match(rest):
        years = _allowed(date[1] or "*", 0, _YEARS)
        months, days = _allowed(date[2], 1, _MONTHS), _allowed(date[3], 1, _DAYS)
        rest = rest[date.end() :]
    time = _TIME.match(rest or "0:0:0")
    if time is None:
        raise ValueError(f"unable to parse calendar event - unused part '{rest}'")
    return CalendarEvent(
        weekdays=weekdays,
        years=years,
        months=months,
        days=days,
        hours=_allowed(time[1] or "*", 0, _HOURS),
        minutes=_allowed(time[2], 0, _SIXTY),
        seconds=_allowed(time[3] or "0", 0, _SIXTY),
    )


def _weekdays(item: str) -> list[int]:
    """Return the days of one item; a range may go round the end of the week."""
    first, dots, last = item.partition("..")
    begin, end = _weekday(first), _weekday(last if dots else first)
    return list(range(begin, end + 1)) if begin <= end else [*range(begin, 7), *range(end + 1)]


def _weekday(word: str) -> int:
    for number, name in enumerate(_WEEKDAYS):
        if word.lower() in {name, name[:3]}:
            return number
    raise ValueError(f"weekday '{word}'")


def _allowed(text: str, start: int, limit: int) -> Allowed:
    """Return the values of a list; each must be below ``limit``, a range the right way round."""
    if text == "*":
        return None
    found: set[int] = set()
    for item in text.replace("*/", f"{start}/").split(","):
        span, slash, step_text = item.partition("/")
        first, dots, last = span.partition("..")
        begin = int(first)
        end = int(last) if dots else (limit - 1 if slash and int(step_text) else begin)
        step = int(step_text) if slash else 1
        if max(begin, end, step) >= limit:
            raise ValueError(f"value out of range ({item} >= {limit})")
        if begin > end:
            raise ValueError("range start is bigger than end")
        found |= set(range(begin, end + 1, step or end + 1))
    return frozenset(found)


def check(text: str | None) -> None:
    """Refuse what is no schedule, as a parameter: the format ``pve-calendar-event``.

    What follows the dash are this parser's words, not those of PVE's.

    Raises:
        ApiError: 400, it can't be read.
    """
    if text is None:
        return
    try:
        parse(text)
    except ValueError as error:
        told = f"invalid format - invalid calendar event '{text}' - {error}\n"
        raise bad_parameters({"schedule": told}) from error
