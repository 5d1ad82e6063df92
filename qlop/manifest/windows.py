"""Describe when things may be done, and make windows and black-outs of it."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from qlop.manifest import fields, forms
from qlop.manifest.part import Part
from qlop.model import window
from qlop.model.units import format_span

DEFAULT_ZONE = "UTC"
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=7)
"""How long a window by cron may be open."""

Problem = tuple[str, str, str]
"""What is wrong with a window: the key, in which way, and what would be right."""


class Window(Part):
    """A time in which something may be done: by `cron` and `duration`, or by `start` and `end`.

    A name alone (`night` is short for `{name: night}`) is a window of `policy.windows`.
    """

    name: fields.Name | None = Field(
        None, description="What it is called; alone, a window of `policy.windows`."
    )
    cron: fields.CronLine | None = Field(
        None, description="When it opens: minute, hour, day, month, weekday (`0 2 * * sat`)."
    )
    duration: fields.Span | None = Field(
        None, description="With `cron`: how long it stays open, 1m to 7d."
    )
    days: list[fields.Weekdays] | None = Field(
        None,
        min_length=1,
        description="Weekdays on which it opens (`[sat, mon-wed]`); every day by default.",
    )
    start: fields.TimeOfDay | None = Field(
        None, description='When it opens, by the clock on the wall: `"22:00"`.'
    )
    end: fields.TimeOfDay | None = Field(
        None, description="When it closes; on the next day if that is not after `start`."
    )
    timezone: fields.Zone | None = Field(
        None, description="Its time zone; `policy.timezone` by default."
    )


WindowOrName = Annotated[Window, fields.Shorthand(forms.named, of="string")]
"""A window, or the name of one of the cluster's."""


class Blackout(Part):
    """Days on which every window stays shut."""

    start: fields.Day = Field(description='The first of them: `"2026-12-24"`.')
    end: fields.Day = Field(description="The last of them.")
    timezone: fields.Zone | None = Field(
        None, description="Where these are days; `policy.timezone` by default."
    )
    reason: str | None = Field(None, description="Why; people are told.")


def problem(part: Window) -> Problem | None:
    """Return what is wrong with a window that is no mere name; None if nothing is."""
    if part.cron is not None:
        return _cron_problem(part)
    if part.start is None or part.end is None:
        missing = "end" if part.start is not None else "start"
        return missing, "a window needs cron and duration, or start and end", f"add {missing}"
    if part.duration is not None:
        return "duration", "a window with start and end has no duration", "leave it out"
    return None


def _cron_problem(part: Window) -> Problem | None:
    for key, value in (("start", part.start), ("end", part.end), ("days", part.days)):
        if value is not None:
            return key, f"a window with cron has no {key}", "leave one of the two out"
    if part.duration is None:
        return "duration", "how long it stays open is missing", "write duration: 4h"
    if not SHORTEST <= part.duration <= LONGEST:
        said = f"{format_span(part.duration)} is not between 1m and 7d"
        return "duration", said, "open it more often instead"
    return None


def is_name(part: Window) -> bool:
    """Return whether it does no more than name a window of the cluster."""
    return part == Window.model_construct(name=part.name) and part.name is not None


def lower_windows(parts: Iterable[Window], zone: str) -> tuple[window.Window, ...]:
    """Return the windows that are given whole and without a problem."""
    return tuple(
        _lowered(part, zone) for part in parts if not is_name(part) and problem(part) is None
    )


def chosen_windows(
    parts: Iterable[Window], known: Mapping[str, window.Window], zone: str
) -> tuple[window.Window, ...]:
    """Return the windows of a service: those it names, and its own."""
    found: list[window.Window] = []
    for part in parts:
        if not is_name(part):
            found += lower_windows([part], zone)
        elif part.name in known:
            found.append(known[str(part.name)])
    return tuple(found)


def lower_blackouts(parts: Iterable[Blackout], zone: str) -> Iterator[window.Blackout]:
    """Yield the black-outs."""
    for part in parts:
        yield window.Blackout(
            first=window.parse_date(part.start),
            last=window.parse_date(part.end),
            zone=part.timezone or zone,
            reason=part.reason or "",
        )


def _lowered(part: Window, zone: str) -> window.Window:
    name, where = part.name or "", part.timezone or zone
    if part.cron is not None:
        assert part.duration is not None, "checked: a window with cron has a duration"
        cron = window.parse_cron(part.cron)
        return window.CronWindow(name=name, cron=cron, duration=part.duration, zone=where)
    assert part.start is not None, "checked: a window without cron has a start"
    assert part.end is not None, "checked: a window without cron has an end"
    days = [window.parse_weekdays(text) for text in part.days or ["mon-sun"]]
    return window.CalendarWindow(
        name=name,
        weekdays=frozenset().union(*days),
        start=window.parse_time(part.start),
        end=window.parse_time(part.end),
        zone=where,
    )
