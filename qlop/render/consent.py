"""Show what a service consents to, and its windows."""

from typing import assert_never

from qlop.model.consent import Consents
from qlop.model.units import format_span
from qlop.model.window import WEEKDAYS, CalendarWindow, CronWindow, Window


def consents_text(consents: Consents) -> str:
    """Return what may be done by impact, then by field: ``hot do, reboot ask; memory warn``."""
    impacts = {
        "no impact": consents.none,
        "hot": consents.hot,
        "reboot": consents.reboot,
        "downtime": consents.downtime,
        "data loss": consents.data_loss,
    }
    parts = ", ".join(f"{name} {consent.value}" for name, consent in impacts.items())
    fields = ", ".join(f"{name} {one.value}" for name, one in sorted(consents.fields.items()))
    return f"{parts}; {fields}" if fields else parts


def window_text(window: Window) -> str:
    """Return a window as its manifest has it: ``night (mon tue 22:00-04:00 Asia/Jakarta)``."""
    inner = f"{_when(window)} {window.zone}"
    return f"{window.name} ({inner})" if window.name else inner


def _when(window: Window) -> str:
    match window:
        case CronWindow():
            return f"{window.cron.text} for {format_span(window.duration)}"
        case CalendarWindow():
            days = " ".join(WEEKDAYS[day] for day in sorted(window.weekdays))
            shown = "daily" if len(window.weekdays) == len(WEEKDAYS) else days
            return f"{shown} {window.start:%H:%M}-{window.end:%H:%M}"
        case _ as never:
            assert_never(never)
