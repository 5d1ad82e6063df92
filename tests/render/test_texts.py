"""What people read, whole: read the expected files as you would read the screen."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from qlop.model.action import DestroyGuest
from qlop.model.consent import Consents
from qlop.model.desired import Placement
from qlop.model.event import EventKind
from qlop.model.finding import Finding, Severity
from qlop.model.guest import GuestKind
from qlop.model.ids import GuestName, PoolId, VmId
from qlop.model.observed import ObservedGuest
from qlop.model.reading import Absent, Known, Unknown
from qlop.model.verdict import Converged, Held, Hold, SubjectVerdict
from qlop.render import event, explain, finding, history, line, page, plan, status
from qlop.render.plain_value import plain_value
from tests.render import golden, worlds

STALE = timedelta(seconds=90)


def test_a_plan() -> None:
    golden.check("plan.txt", line.plain(plan.plan_lines(worlds.PLAN)))


def test_an_empty_plan() -> None:
    assert line.plain(plan.plan_lines(worlds.QUIET)) == "Plan: nothing to do, 1 converged.\n"


def test_guests_that_are_held_for_one_reason_share_a_line() -> None:
    names = [GuestName(f"web-{number}") for number in range(1, 7)]
    plan_ = replace(
        worlds.QUIET,
        verdicts={name: worlds.verdict(name, None, worlds.HELD) for name in names},
    )

    assert line.plain(plan.plan_lines(plan_)).startswith(
        "Held:\n  ! web-1, web-2, web-3 and 3 more: no node has 24GiB"
    )


def test_a_plan_for_machines() -> None:
    document = plan.plan_document(worlds.PLAN)

    golden.check("plan.json", json.dumps(document, indent=2, sort_keys=True) + "\n")


def test_a_status() -> None:
    golden.check(
        "status.txt",
        line.plain(status.status_lines(worlds.STATUS, now=worlds.NOW, stale_after=STALE)),
    )


def test_a_status_in_trouble() -> None:
    trouble = replace(
        worlds.STATUS,
        gaps=(),
        quorate=False,
        stalled="no quorum",
        leading=False,
        reconciled_at=None,
        subjects=(),
        nodes=(),
        findings=(),
        unmanaged=(),
    )
    later = worlds.NOW + timedelta(minutes=10)

    golden.check(
        "trouble.txt", line.plain(status.status_lines(trouble, now=later, stale_after=STALE))
    )


def test_a_status_that_was_never_observed() -> None:
    blind = replace(worlds.STATUS, observed_at=None, revision=None)

    text = line.plain(status.status_lines(blind, now=worlds.NOW, stale_after=STALE))

    assert "revision none" in text
    assert "The cluster was never observed." in text


def test_what_could_not_be_seen_is_not_said_to_be_gone() -> None:
    held = Held(reason=Hold.OBSERVATION_INCOMPLETE, message="HTTP 595")
    unseen = replace(
        worlds.STATUS, at=worlds.NOW, subjects=(worlds.subject(worlds.APM, None, held),)
    )

    text = line.plain(status.status_lines(unseen, now=worlds.NOW, stale_after=STALE))

    assert "pve2  not seen" in text
    assert "apm  -  -  not seen  held" in text
    assert "OFFLINE" not in text
    assert "absent" not in text


def test_a_node_of_former_times_is_not_said_to_be_online() -> None:
    former = tuple(replace(node, online=True, seen=False) for node in worlds.STATUS.nodes)
    unseen = replace(worlds.STATUS, at=worlds.NOW, nodes=former)

    text = line.plain(status.status_lines(unseen, now=worlds.NOW, stale_after=STALE))
    html = page.status_page(
        unseen, events=(), now=worlds.NOW, stale_after=STALE, refused="not seen"
    )

    assert "pve1  not seen" in text
    assert "online" not in text
    assert ">online<" not in html


def test_a_lost_quorum_is_said_once() -> None:
    lost = replace(worlds.STATUS, quorate=False)
    stalled = replace(lost, stalled="the cluster has no quorum")

    for one in (lost, stalled):
        text = line.plain(status.status_lines(one, now=worlds.NOW, stale_after=STALE))
        html = page.status_page(
            one, events=(), now=worlds.NOW, stale_after=STALE, refused=one.stalled
        )
        assert (text.count("no quorum"), html.count("no quorum")) == (1, 1)


def test_a_status_for_machines() -> None:
    document = status.status_document(worlds.STATUS)

    golden.check("status.json", json.dumps(document, indent=2, sort_keys=True) + "\n")


def test_a_history() -> None:
    entries = history.entries(worlds.RECORDS)

    golden.check("history.txt", line.plain(history.history_lines(entries, now=worlds.NOW)))


def test_a_history_of_one_guest_or_service_or_of_nothing() -> None:
    assert len(history.entries(worlds.RECORDS, "web")) == 2
    assert len(history.entries(worlds.RECORDS, "web-1")) == 2
    assert history.entries(worlds.RECORDS, "db") == ()
    assert line.plain(history.history_lines((), now=worlds.NOW)) == "Nothing was done yet.\n"


def test_a_history_for_machines() -> None:
    first, second = history.history_document(history.entries(worlds.RECORDS))

    assert (first["ending"], first["error"], second["ending"]) == ("failed", "conflict", None)
    assert second["upid"] == "UPID:pve1:2"


def test_an_explanation() -> None:
    (found,) = explain.explain("web", given=worlds.INPUT, plan=worlds.PLAN, records=worlds.RECORDS)

    text = line.plain(explain.explanation_lines(found, now=worlds.NOW))

    golden.check("explain.txt", text)
    assert "hush" not in text + json.dumps(explain.explanation_document(found))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("10001", "web-1 (10001 on pve2, running)"),
        ("101", "It is not ours"),
        ("mail", "It is not ours"),
        ("apm", "Remedy: lower spec.memory, or add a node"),
        ("db", "the disks would"),
        ("spk", "Converged: it is as its manifest says (scsi3 is not in its manifest)."),
    ],
)
def test_an_explanation_by_any_name(name: str, expected: str) -> None:
    expected = expected.replace("the disks would", "scsi1 would have to shrink")

    (found,) = explain.explain(name, given=worlds.INPUT, plan=worlds.PLAN, records=())

    assert expected in line.plain(explain.explanation_lines(found, now=worlds.NOW))


def test_a_name_that_means_nothing_has_no_explanation() -> None:
    assert explain.explain("nix", given=worlds.INPUT, plan=worlds.PLAN, records=()) == ()
    assert explain.explain("99", given=worlds.INPUT, plan=worlds.PLAN, records=()) == ()
    assert explain.known_names(worlds.INPUT, worlds.PLAN) == (
        "apm",
        "db",
        "old",
        "spk",
        "web",
        "web-1",
    )


def test_findings() -> None:
    error = Finding(severity=Severity.ERROR, code="no-cluster", message="there is no Cluster")

    assert line.plain(finding.findings_lines([worlds.FINDING, error, error])) == (
        "web.yaml:12:5: warning: storage nas is not known to the cluster [unknown-storage]\n"
        "    did you mean nas1?\n"
        "error: there is no Cluster [no-cluster]\n"
        "error: there is no Cluster [no-cluster]\n"
        "2 errors, 1 warning\n"
    )
    assert finding.findings_lines([]) == []
    assert finding.count_text([]) == "no findings"
    assert finding.finding_document(error)["file"] is None


def test_an_event() -> None:
    assert line.plain([event.event_line(worlds.EVENTS[0])]) == (
        "07:58:45  node-lost          pve2  node pve2 is offline\n"
    )
    assert event.event_document(worlds.EVENTS[0])["kind"] == "node-lost"


def test_of_a_long_doing_both_ends_are_shown_and_of_a_failure_all() -> None:
    long = replace(worlds.EVENTS[0], message="begin " + "x" * 200 + " end")
    doing = replace(long, kind=EventKind.ACTION_FINISHED)

    assert len(line.plain([event.event_line(doing)])) < 160
    assert line.plain([event.event_line(doing)]).endswith(" end\n")
    assert "x" * 200 in line.plain([event.event_line(long)])


def test_a_page() -> None:
    golden.check(
        "page.html",
        page.status_page(
            worlds.STATUS,
            events=worlds.EVENTS,
            now=worlds.NOW,
            stale_after=STALE,
            refused="",
        ),
    )


def test_a_page_says_what_is_wrong_and_old_in_red() -> None:
    trouble = replace(worlds.STATUS, quorate=False, stalled="no quorum")
    later = worlds.NOW + timedelta(minutes=10)

    text = page.status_page(
        trouble, events=(), now=later, stale_after=STALE, refused="nothing observed for 10m"
    )

    assert '<span class="bad">observed 10m3s ago: what follows is OLD</span>' in text
    assert "no quorum" in text
    assert "nothing observed for 10m" in text


def test_a_page_before_the_first_cycle() -> None:
    text = page.status_page(None, events=(), now=worlds.NOW, stale_after=STALE, refused="starting")

    assert "no cycle was completed" in text


def test_a_page_loads_nothing_and_trusts_nothing() -> None:
    hostile = replace(
        worlds.STATUS,
        subjects=(
            replace(worlds.STATUS.subjects[2], verdict=Converged(note="<script>x</script>")),
        ),
    )

    text = page.status_page(hostile, events=(), now=worlds.NOW, stale_after=STALE, refused="")

    assert "<script" not in text
    assert "http://" not in text
    assert "https://" not in text


def test_the_fingerprint_of_a_plan_is_of_what_it_does() -> None:
    renamed = replace(worlds.PLAN, unmanaged=())
    fewer = replace(worlds.PLAN, actions=worlds.PLAN.actions[:-1])

    assert plan.plan_fingerprint(renamed) == plan.plan_fingerprint(worlds.PLAN)
    assert plan.plan_fingerprint(fewer) != plan.plan_fingerprint(worlds.PLAN)


def test_text_from_the_cluster_can_not_move_the_cursor() -> None:
    assert line.Span("a\x1b[2J\nb").text == "a\\x1b[2J\\nb"


def test_lines_survive_json() -> None:
    lines = tuple(plan.plan_lines(worlds.PLAN))

    assert line.parse(json.loads(json.dumps(line.document(lines)))) == lines
    assert line.parse("nothing") == ()
    assert line.parse([[["x", "no-tone"], ["y"]], 3]) == ((),)


@pytest.mark.parametrize(
    ("have", "expected"),
    [
        pytest.param(
            replace(worlds.guest(10001, "web-1", Unknown("HTTP 595")), lock="backup"),
            ["config      not read: HTTP 595", "lock    backup"],
            id="config-unread",
        ),
        pytest.param(
            replace(
                worlds.guest(10001, "web-1", Absent()),
                pool=PoolId("front"),
                ha_state="started",
                memory_bytes=0,
            ),
            ["config  there is none", "HA      started", "pool    front"],
            id="config-gone",
        ),
        pytest.param(
            worlds.guest(10001, "web-1", Known(replace(worlds.CONFIG, mark=None))),
            ["owner mark  no mark in its notes", "witness     uuid-1 (does not agree)"],
            id="mark-removed",
        ),
    ],
)
def test_an_explanation_says_what_was_seen(have: ObservedGuest, expected: list[str]) -> None:
    observed = replace(worlds.OBSERVED, guests={have.vmid: have})
    given = replace(worlds.INPUT, observed=observed)

    (found,) = explain.explain("web-1", given=given, plan=worlds.PLAN, records=())

    text = " ".join(line.plain(explain.explanation_lines(found, now=worlds.NOW)).split())
    assert [one for one in expected if " ".join(one.split()) not in text] == []


def test_an_explanation_of_a_guest_with_few_wishes() -> None:
    want = replace(
        worlds.DESIRED.guests[worlds.WEB],
        vmid=VmId(10001),
        placement=Placement(spread=False),
        may_stop=False,
        consents=Consents(),
        disks=(),
        nics=(),
        options={},
    )
    service = replace(worlds.DESIRED.services[want.service], inherited={})
    desired = replace(worlds.DESIRED, guests={want.name: want}, services={want.service: service})
    given = replace(worlds.INPUT, desired=desired)

    (found,) = explain.explain("web-1", given=given, plan=worlds.QUIET, records=())

    text = line.plain(explain.explanation_lines(found, now=worlds.NOW))
    assert "not be interrupted" in text
    assert "on any node" in text
    assert "VMID       10001" in text
    assert "Inherited" not in text


def test_a_guest_that_is_made_anew_and_one_of_many_kinds_of_verdict() -> None:
    again = replace(
        worlds.DESTROY,
        reason="",
        action=DestroyGuest(
            subject=worlds.WEB, vmid=VmId(10001), kind=GuestKind.VM, node=worlds.PVE1
        ),
    )
    anew = replace(worlds.PLAN, actions=(again, worlds.CLONE), findings=())

    text = line.plain(plan.plan_lines(anew))

    (found,) = explain.explain("web-1", given=worlds.INPUT, plan=anew, records=())
    assert "because" not in line.plain(explain.explanation_lines(found, now=worlds.NOW))[:200]
    assert text.startswith("± web-1 (10001 on pve1)\n")
    assert "Plan: 1 to change, 2 held, 1 converged. 2 actions, worst impact: data loss." in text


def test_sets_are_listed_in_order_and_anything_is_its_text() -> None:
    assert plain_value(frozenset({"b", "a"})) == ["a", "b"]
    assert plain_value(Path("/x")) == "/x"
    assert plain_value({("a", "b"): timedelta(seconds=2)}) == {"a/b": 2.0}


def test_orders_and_what_waits_for_one() -> None:
    lines = status.status_lines(worlds.ORDERED, now=worlds.NOW, stale_after=STALE)

    golden.check("orders.txt", line.plain(lines))


def test_orders_for_machines() -> None:
    document = status.status_document(worlds.ORDERED)

    golden.check(
        "orders.json",
        json.dumps({key: document[key] for key in ("orders", "asks", "fuses")}, indent=1) + "\n",
    )


def test_orders_on_the_page() -> None:
    text = page.status_page(
        worlds.ORDERED, events=(), now=worlds.NOW, stale_after=STALE, refused=""
    )

    for told in ("freeze everything", "the lift is on fire", "ab12cd34", "Waiting for approval"):
        assert told in text


def test_history_tells_what_was_ordered_in_between() -> None:
    told = history.with_orders(history.entries(worlds.RECORDS), worlds.ORDERS)
    mine = history.with_orders((), worlds.ORDERS, "web")

    golden.check("history-orders.txt", line.plain(history.history_lines(told, now=worlds.NOW)))
    assert mine == (worlds.ORDERS[1],)


def test_what_waits_for_approval_is_told_once() -> None:
    asked = worlds.REBOOT
    db = asked.action.subject
    once = Held(reason=Hold.APPROVAL, message=f"{asked.reason}; to reboot it needs an approval")
    more = Held(reason=Hold.APPROVAL, message=f"{asked.reason}; renamed? it needs an approval")

    def told(held: Held) -> list[str]:
        verdicts = {db: SubjectVerdict(subject=db, vmid=VmId(10002), verdict=held)}
        plan_ = replace(worlds.QUIET, asks=(asked,), verdicts=verdicts)
        return line.plain(plan.plan_lines(plan_)).splitlines()

    assert "  ! db (10002): waiting for approval, see above [approval]" in told(once)
    assert f"  ! db (10002): {more.message} [approval]" in told(more)
    assert told(once)[-1] == (
        "Plan: nothing to do, 1 held (1 for an approval, impact: downtime), 0 converged."
    )


def test_a_plan_that_waits_for_people() -> None:
    plan_ = replace(worlds.QUIET, asks=(worlds.REBOOT,), fuses=(worlds.FUSE,))

    golden.check("plan-asks.txt", line.plain(plan.plan_lines(plan_)))
