"""Tell when a schedule in PVE's calendar format comes due next.

``[DAYS] [[HOURS:]MINUTES]`` with lists, ranges (``8..17``, ``mon..fri``) and repetitions
(``*/15``, ``0/30``), and ``hourly``, ``daily``, ``weekly``: a subset of systemd's, without dates
(``PVE/CalendarEvent.pm``). Times are UTC.
"""

import datetime as dt
import re
from dataclasses import dataclass

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMED = {"minutely": "*:*", "hourly": "*:0", "daily": "0:0", "weekly": "mon 0:0"}
_MINUTES_MAX = 8 * 24 * 60
"""Every schedule comes due within a week."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarEvent:
    """The weekdays (Monday is 0), hours and minutes at which it is due."""

    days: frozenset[int]
    hours: frozenset[int]
    minutes: frozenset[int]

    def after(self, at: float) -> float:
        """Return the first time after ``at`` (epoch seconds) at which it is due."""
        minute = int(at) // 60 * 60
        for _ in range(_MINUTES_MAX):
            minute += 60
            when = dt.datetime.fromtimestamp(minute, dt.UTC)
            is_hour = when.hour in self.hours and when.minute in self.minutes
            if is_hour and when.weekday() in self.days:
                return float(minute)
        raise AssertionError(self)


def parse(text: str) -> CalendarEvent:
    """Return what a schedule says.

    Raises:
        ValueError: if it is none.
    """
    words = _NAMED.get(text, text).lower().split()
    days = frozenset(range(7))
    if words and words[0][0].isalpha():
        days = frozenset(day for item in words.pop(0).split(",") for day in _days(item))
    if len(words) > 1:
        raise ValueError(f"unable to parse calendar event '{text}'")
    hours, colon, minutes = words[0].rpartition(":") if words else ("0", ":", "0")
    return CalendarEvent(
        days=days,
        hours=_numbers(hours, 24) if colon else frozenset(range(24)),
        minutes=_numbers(minutes, 60),
    )


def _days(item: str) -> list[int]:
    first, _, last = item.partition("..")
    begin, end = _DAYS.index(first[:3]), _DAYS.index((last or first)[:3])
    return list(range(begin, end + 1))


def _numbers(text: str, limit: int) -> frozenset[int]:
    found: set[int] = set()
    for item in text.split(","):
        match = re.fullmatch(r"(\*|\d+)(?:\.\.(\d+))?(?:/(\d+))?", item)
        if match is None:
            raise ValueError(f"unable to parse calendar event - unused part '{item}'")
        begin = 0 if match[1] == "*" else int(match[1])
        is_single = match[1] != "*" and match[2] is None and match[3] is None
        end = begin if is_single else int(match[2] or limit - 1)
        found |= set(range(begin, min(end, limit - 1) + 1, int(match[3] or 1)))
    if not found:
        raise ValueError(f"unable to parse calendar event '{text}'")
    return frozenset(found)
