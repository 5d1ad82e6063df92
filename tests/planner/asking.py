"""Guests whose manifests say what may be done to them, and at eight o'clock."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import time, timedelta

from qlop.model.consent import Consent, Consents
from qlop.model.desired import DesiredGuest
from qlop.model.guest import Power
from qlop.model.history import JournalRecord
from qlop.model.observed import ObservedGuest
from qlop.model.orders import Order
from qlop.model.plan import Plan
from qlop.model.window import CalendarWindow
from tests import builders as b
from tests.planner import look

DO, WINDOW, ASK = Consent.DO, Consent.WINDOW, Consent.ASK
WARN, IGNORE = Consent.WARN, Consent.IGNORE
CORES = {"cores": "4"}
SOON = b.NOW + timedelta(hours=1)
DAILY = frozenset(range(7))
# It is 08:00 UTC.
OPEN = CalendarWindow(name="day", weekdays=DAILY, start=time(7), end=time(9), zone="UTC")
SHUT = CalendarWindow(name="night", weekdays=DAILY, start=time(1), end=time(5), zone="UTC")


def saying(fields: Mapping[str, Consent] | None = None, **impacts: Consent) -> Consents:
    return Consents(fields=dict(fields or {}), **impacts)


def want(
    consents: Consents, *windows: CalendarWindow, options: Mapping[str, str] | None = None
) -> DesiredGuest:
    wanted = b.desired_guest(options=options or {"onboot": "1"}, consents=consents)
    return replace(wanted, windows=windows)


def having(
    *, power: Power = Power.RUNNING, pending: Iterable[str] = (), **options: str
) -> ObservedGuest:
    return b.guest(power=power, config=b.config(b.mark(), options=options, pending=pending))


def plan_for(
    wanted: DesiredGuest,
    have: ObservedGuest,
    *orders: Order,
    history: Iterable[JournalRecord] = (),
) -> Plan:
    return look.plan_of(b.desired(wanted), b.observed(have), history, orders)
