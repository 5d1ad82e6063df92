"""Tell whether a window is open, and when that changes.

A window is written in local time, and clocks are put forward and back. A time that is
skipped is the instant of the skip; of a time that comes twice the first counts. A
``duration`` is what passes, not what the clock on the wall shows.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from qlop.model.window import Blackout, CalendarWindow, CronWindow, Window

_DAY = timedelta(days=1)
HORIZON = timedelta(days=366 * 8 + 2)
"""How far to look for the next opening: February 29 may be eight years away."""

BOUNDARIES_MAX = 500
"""How many openings and closings to look at for one that changes anything. Windows that
overlap without end are open for good; to look again after so many of them does no harm."""

Span = tuple[datetime, datetime]
"""From an instant to another that no longer belongs to it, in UTC."""


def is_open(windows: Iterable[Window], blackouts: Iterable[Blackout], now: datetime) -> bool:
    """Return whether a window is open at ``now`` and no black-out shuts it."""
    if any(start <= now < end for start, end in map(_blackout, blackouts)):
        return False
    return any(start <= now < end for window in windows for start, end in _until(window, now, now))


def next_change(
    windows: Iterable[Window], blackouts: Iterable[Blackout], now: datetime
) -> datetime | None:
    """Return the first instant after ``now`` at which ``is_open`` changes; None if never."""
    kept, dark = tuple(windows), tuple(blackouts)
    shut = sorted(map(_blackout, dark))
    state = is_open(kept, dark, now)
    at = now
    for _ in range(BOUNDARIES_MAX):
        following = [*(_boundary(one, at) for one in kept), _edge(shut, at)]
        coming = [one for one in following if one is not None]
        if not coming:
            return None
        at = min(coming)
        if is_open(kept, dark, at) is not state:
            return at
    return at


def instant_text(at: datetime) -> str:
    """Return an instant as holds name it."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant at which clocks of ``zone`` show ``local`` or are past it."""
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == local:
        return first
    # The time is skipped: the skip lies between what the two offsets make of it.
    before, after = local.replace(tzinfo=zone, fold=1).astimezone(UTC), first
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return before if before.astimezone(zone).utcoffset() == offset else after


def _blackout(blackout: Blackout) -> Span:
    zone = ZoneInfo(blackout.zone)
    midnight = datetime.combine(blackout.first, time())
    end = datetime.combine(blackout.last + _DAY, time())
    return instant(midnight, zone), instant(end, zone)


def _boundary(window: Window, at: datetime) -> datetime | None:
    return _edge(_until(window, at, None), at)


def _edge(spans: Iterable[Span], at: datetime) -> datetime | None:
    """Return the first beginning or end after ``at``; spans come by their beginning."""
    found: datetime | None = None
    for start, end in spans:
        for edge in (start, end):
            if edge > at and start < end and (found is None or edge < found):
                found = edge
        if found is not None and start > at:
            break
    return found


def _until(window: Window, at: datetime, last_start: datetime | None) -> Iterator[Span]:
    """Yield the spans of a window that may reach ``at``, and those that follow."""
    zone = ZoneInfo(window.zone)
    longest = window.duration if isinstance(window, CronWindow) else _DAY
    day = (at.astimezone(zone) - longest).date() - 2 * _DAY
    limit = at.date() + (HORIZON if last_start is None else 2 * _DAY)
    while day <= limit:
        for start, end in _on(window, day, zone):
            if last_start is not None and start > last_start:
                return
            yield start, end
        day += _DAY


def _on(window: Window, day: date, zone: ZoneInfo) -> Iterator[Span]:
    match window:
        case CronWindow(cron=cron, duration=duration):
            if not cron.is_due_on(day):
                return
            for hour in cron.hours:
                for minute in cron.minutes:
                    start = instant(datetime.combine(day, time(hour, minute)), zone)
                    yield start, start + duration
        case CalendarWindow():
            if day.weekday() not in window.weekdays:
                return
            last = day if window.end > window.start else day + _DAY
            start = instant(datetime.combine(day, window.start), zone)
            yield start, instant(datetime.combine(last, window.end), zone)
