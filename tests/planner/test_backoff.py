"""After failures, and after successes that do not last, qlop waits, longer each time."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.guest import Power
from qlop.model.history import Ending, Failure, JournalRecord, Repetition
from qlop.model.policy import Policy
from qlop.model.verdict import Held, Hold
from qlop.planner import backoff, planner
from tests import builders as b
from tests.planner import look

WANT = b.desired(b.desired_guest())
HAVE = b.observed(b.guest(power=Power.STOPPED))
START_ID = look.plan_of(WANT, HAVE).actions[0].id
POLICY = Policy()


@pytest.mark.parametrize(
    ("count", "wait_s"),
    [
        (1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 320), (7, 640), (8, 900), (9, 900),
        (1_000_000, 900),
    ],
)  # fmt: skip
def test_the_wait_doubles_up_to_a_quarter_of_an_hour(count: int, wait_s: int) -> None:
    failure = Failure(count=count, at=b.NOW, error="", message="")

    assert backoff.retry_at(failure, POLICY) == b.NOW + timedelta(seconds=wait_s)


@pytest.mark.parametrize(
    ("count", "wait_s"), [(1, 10), (2, 20), (3, 40), (4, 60), (1_000_000, 60)]
)
def test_what_could_not_be_sent_is_tried_again_every_minute(count: int, wait_s: int) -> None:
    unsent = Failure(count=count, at=b.NOW, error="transient", message="")

    assert backoff.resend_at(unsent, POLICY) == b.NOW + timedelta(seconds=wait_s)


@pytest.mark.parametrize(("count", "wait_s"), [(1, 0), (2, 0), (3, 10), (4, 20), (20, 900)])
def test_what_does_not_last_is_free_twice(count: int, wait_s: int) -> None:
    repetition = Repetition(count=count, at=b.NOW)

    assert backoff.repeat_at(repetition, POLICY) == b.NOW + timedelta(seconds=wait_s)


def journal(*endings: bool, action: str = START_ID, apart_s: int = 60) -> list[JournalRecord]:
    """The journal of so many starts, the last one at ``NOW``."""
    records: list[JournalRecord] = []
    for place, succeeded in enumerate(endings):
        at = b.NOW - timedelta(seconds=apart_s) * (len(endings) - 1 - place)
        number = place + 1
        records += [
            b.intended(Verb.START, action=action, attempt=number, at=at),
            b.finished(action=action, attempt=number, at=at, succeeded=succeeded),
        ]
    return records


def answer_at(now: datetime, records: Iterable[JournalRecord]) -> look.Answer:
    source = b.plan_input(WANT, HAVE, fold(records), now)
    return look.answer(planner.plan(source))


@pytest.mark.parametrize(
    ("records", "after_s", "answer"),
    [
        pytest.param(journal(False), 9, Hold.BACKOFF, id="waits-10-s"),
        pytest.param(journal(False), 10, ("start",), id="and-no-longer"),
        pytest.param(journal(False, False), 19, Hold.BACKOFF, id="waits-twice-as-long"),
        pytest.param(journal(False, False), 20, ("start",), id="and-then-tries-again"),
        pytest.param(journal(False, True), 0, ("start",), id="a-success-clears-it"),
        pytest.param(journal(False, action="web/start/other"), 0, ("start",),
                     id="another-action-is-not-held"),
        pytest.param(journal(True, True), 0, ("start",), id="twice-is-nothing"),
        pytest.param(journal(True, True, True), 9, Hold.BACKOFF, id="thrice-is-suspicious"),
        pytest.param(journal(True, True, True), 10, ("start",), id="but-is-tried-again"),
        pytest.param(journal(True, True, True, apart_s=3601), 0, ("start",), id="it-had-lasted"),
    ],
)  # fmt: skip
def test_hold(records: list[JournalRecord], after_s: int, answer: look.Answer) -> None:
    assert answer_at(b.NOW + timedelta(seconds=after_s), records) == answer


@pytest.mark.parametrize(
    ("records", "held"),
    [
        pytest.param(
            journal(False, False),
            Held(
                reason=Hold.BACKOFF,
                message="start failed twice in a row, last with: it broke",
                remedy="it is tried again at 2026-11-24 08:00:20 UTC",
            ),
            id="failures",
        ),
        pytest.param(
            journal(True, True, True),
            Held(
                reason=Hold.BACKOFF,
                message="start succeeded 3 times and never lasted: something undoes it",
                remedy="find out what; it is done again at 2026-11-24 08:00:10 UTC",
            ),
            id="repetitions",
        ),
    ],
)
def test_the_hold_says_what_happened_and_when_it_ends(
    records: list[JournalRecord], held: Held
) -> None:
    plan = look.plan_of(WANT, HAVE, records)

    assert look.verdict(plan) == held
    assert plan.reconsider_at is not None
    assert f"{plan.reconsider_at:%H:%M:%S} UTC" in held.remedy


def test_what_comes_before_the_failing_step_is_done() -> None:
    want = b.desired(b.desired_guest(options={"cores": "2"}))

    plan = look.plan_of(want, HAVE, journal(False))

    assert look.verbs(plan) == ("configure",)
    assert look.held(plan).reason is Hold.BACKOFF


def test_the_earliest_of_several_waits_is_when_to_look_again() -> None:
    db = b.guest(10001, power=Power.STOPPED, config=b.config(b.mark("db", 1, 10001)))
    want = b.desired(b.desired_guest(), b.desired_guest("db"))
    db_start = look.plan_of(want, b.observed(db)).actions[0].id
    failed: list[JournalRecord] = [
        b.intended(Verb.START, service="db", action=db_start),
        b.finished(service="db", action=db_start, succeeded=False),
    ]

    plan = look.plan_of(
        want, b.observed(b.guest(power=Power.STOPPED), db), [*journal(False, False), *failed]
    )

    assert plan.reconsider_at == b.NOW + timedelta(seconds=10)


def kept(times: int) -> list[JournalRecord]:
    """The journal of a start that was kept from being sent so often, last at ``NOW``."""
    records: list[JournalRecord] = []
    for attempt in range(11, times + 11):
        ended = b.finished(action=START_ID, attempt=attempt, at=b.NOW)
        ended = replace(
            ended, ending=Ending.SUPERSEDED, error="transient", message="pve1: no answer"
        )
        records += [b.intended(Verb.START, action=START_ID, attempt=attempt, at=b.NOW), ended]
    return records


def test_an_outage_delays_an_action_by_a_minute_at_most() -> None:
    source = b.plan_input(WANT, HAVE, fold(kept(20)), b.NOW + timedelta(seconds=59))
    plan = planner.plan(source)

    assert plan.reconsider_at == b.NOW + timedelta(minutes=1)
    assert look.verdict(plan) == Held(
        reason=Hold.BACKOFF,
        message="start could not be sent, 20 times in a row: pve1: no answer",
        remedy="it is tried again at 2026-11-24 08:01:00 UTC",
    )
    assert answer_at(b.NOW + timedelta(minutes=1), kept(20)) == ("start",)


def test_an_outage_after_failures_does_not_shorten_their_wait() -> None:
    records = [*journal(*[False] * 5, apart_s=0), *kept(1)]

    assert answer_at(b.NOW + timedelta(seconds=159), records) == Hold.BACKOFF
    assert answer_at(b.NOW + timedelta(seconds=160), records) == ("start",)


def refused(message: str, *, error: str = "denied") -> list[JournalRecord]:
    """The journal of a start that PVE refused at ``NOW``."""
    ended = b.finished(action=START_ID, succeeded=False)
    return [
        b.intended(Verb.START, action=START_ID),
        replace(ended, error=error, message=message),
    ]


BY_HAND = "PVE lets root@pam itself do that, and no token: do it by hand, or take it out of the"


@pytest.mark.parametrize(
    ("error", "message", "remedy"),
    [
        pytest.param(
            "denied",
            "Permission check failed (/, Sys.Modify)",
            "give user and token Sys.Modify on /, as root on any node: pveum role add"
            " QlopSysModify --privs Sys.Modify && pveum acl modify / --users qlop@pve --tokens"
            " 'qlop@pve!daemon' --roles QlopSysModify --propagate 0",
            id="on-the-root",
        ),
        pytest.param(
            "denied",
            "Permission check failed (/, Sys.Modify for modifying tag 'prod')",
            "give user and token Sys.Modify on /, as root on any node: pveum role add"
            " QlopSysModify --privs Sys.Modify && pveum acl modify / --users qlop@pve --tokens"
            " 'qlop@pve!daemon' --roles QlopSysModify --propagate 0",
            id="for-a-registered-tag",
        ),
        pytest.param(
            "denied",
            "Permission check failed (/vms/10000, VM.Config.Cloudinit|VM.Config.Network)",
            "give user and token VM.Config.Cloudinit on /vms, as root on any node: pveum role"
            " modify QlopGuests --append 1 --privs VM.Config.Cloudinit && pveum acl modify /vms"
            " --users qlop@pve --tokens 'qlop@pve!daemon' --roles QlopGuests",
            id="on-a-guest",
        ),
        pytest.param(
            "denied",
            "Permission check failed (/sdn/zones/dmz/vnet1/20, SDN.Use)",
            "give user and token SDN.Use on /sdn/zones/dmz, as root on any node: pveum role"
            " modify QlopNetwork --append 1 --privs SDN.Use && pveum acl modify /sdn/zones/dmz"
            " --users qlop@pve --tokens 'qlop@pve!daemon' --roles QlopNetwork",
            id="on-a-network",
        ),
        pytest.param(
            "denied",
            "Permission check failed (changing feature flags (except nesting) is only allowed"
            " for root@pam)",
            f"{BY_HAND} manifest",
            id="root-itself",
        ),
        pytest.param(
            "invalid",
            "only root can set 'hookscript' config",
            f"{BY_HAND} manifest",
            id="root-itself-by-another-status",
        ),
        pytest.param(
            "denied",
            "Authentication failed!",
            "see that the API token is right, enabled and not expired, and what it may do",
            id="no-such-token",
        ),
    ],
)
def test_what_pve_refuses_is_held_with_what_to_give_to_whom(
    error: str, message: str, remedy: str
) -> None:
    plan = look.plan_of(WANT, HAVE, refused(message, error=error))

    assert look.verdict(plan) == Held(
        reason=Hold.DENIED,
        message=f"PVE refuses start: {message}",
        remedy=f"{remedy}; it is tried again at 2026-11-24 08:05:00 UTC",
    )
    assert plan.reconsider_at == b.NOW + timedelta(minutes=5)


def test_a_right_is_asked_for_whoever_asks() -> None:
    records = refused("Permission check failed (/storage/nas, Datastore.AllocateSpace)")
    source = replace(look.source_of(WANT, HAVE, records), caller="ops@pam")

    held = look.held(look.audited(source))

    assert "pveum acl modify /storage --users ops@pam --roles QlopStorage;" in held.remedy


def test_what_is_refused_is_tried_again_seldom_and_for_ever() -> None:
    records = refused("Permission check failed (/, Sys.Modify)")

    assert answer_at(b.NOW + timedelta(seconds=299), records) == Hold.DENIED
    assert answer_at(b.NOW + timedelta(seconds=300), records) == ("start",)


@pytest.mark.parametrize(
    ("count", "text"), [(1, "once"), (2, "twice"), (3, "3 times"), (20, "20 times")]
)
def test_how_often(count: int, text: str) -> None:
    assert backoff.times_text(count) == text
