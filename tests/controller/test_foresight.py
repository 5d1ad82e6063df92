"""What comes after a plan is what the planner makes of the world that it leads to."""

from dataclasses import replace

import pytest

from qlop.controller import foresight
from qlop.controller.foresight import Foresight, foresee
from qlop.model.desired import Desired, Snapshots
from qlop.model.finding import Finding, Severity
from qlop.model.health import AgentCheck
from qlop.model.ids import ServiceName, VmId
from qlop.model.observed import Observed
from qlop.model.owner import signed_description
from qlop.planner import planner
from qlop.render.action import action_text
from tests import builders as b
from tests.planner import asking

DB = b.desired_guest("db", snapshots=Snapshots(keep=("accepted",), memory=True))
WEB = b.desired_guest("web")


def needing(want: Desired) -> Desired:
    """Return it with ``web`` needing ``db``, whose health is asked for."""
    web = replace(want.services[ServiceName("web")], depends_on=frozenset({ServiceName("db")}))
    db = replace(want.services[ServiceName("db")], checks=(AgentCheck(),))
    return replace(want, services={web.name: web, db.name: db})


def foreseen(want: Desired, have: Observed) -> Foresight:
    source = b.plan_input(want, have)
    return foresee(source, planner.plan(source), ())


def texts(found: Foresight) -> list[str]:
    return [action_text(one.action) for one in found.actions]


def test_what_waits_for_another_guest_to_be_built_and_well_is_foreseen() -> None:
    want, have = needing(b.desired(DB, WEB)), b.observed(b.template())
    planned = [action_text(one.action) for one in planner.plan(b.plan_input(want, have)).actions]

    found = foreseen(want, have)

    assert "start web (10001) on pve2" not in planned
    assert found.whole
    assert texts(found) == [
        "configure db (10000): smbios1",
        "configure web (10001): smbios1",
        "take snapshot accepted of db (10000)",
        "start web (10001) on pve2",
    ]


def test_what_comes_when_a_guest_without_checks_is_taken_for_ready_is_foreseen() -> None:
    want = needing(b.desired(DB, WEB))
    unasked = replace(want.services[ServiceName("db")], checks=())
    want = replace(want, services={**want.services, unasked.name: unasked})

    assert "start web (10001) on pve2" in texts(foreseen(want, b.observed(b.template())))


def test_of_a_converged_world_nothing_is_foreseen() -> None:
    want = b.desired(b.desired_guest("web"))
    have = b.observed(b.template(), b.guest(b.WEB_VMID, config=b.config(b.mark())))

    assert foreseen(want, have) == Foresight()


def test_nobody_is_foreseen_to_wait_for_what_only_people_end() -> None:
    want = needing(b.desired(replace(DB, vmid=VmId(101)), WEB))
    stranger = b.guest(101, name="mail", config=b.config())

    found = foreseen(want, b.observed(b.template(), stranger))

    assert texts(found) == ["configure web (10000): smbios1"]


def test_no_window_is_waited_for() -> None:
    said = asking.saying(reboot=asking.WINDOW)
    want = asking.want(said, asking.SHUT, options=asking.CORES)
    notes, board = signed_description("", b.mark()), b.mark().witness.replace(":", "=")
    guest = asking.having(cores="2", description=notes, smbios1=board)
    have = b.observed(b.template(), guest)
    plan = planner.plan(b.plan_input(b.desired(want), have))

    assert plan.reconsider_at is not None
    assert plan.reconsider_at - b.NOW < foresight.HORIZON
    assert foreseen(b.desired(want), have) == Foresight()


def test_what_the_audit_objects_to_is_not_gone_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Finding(severity=Severity.ERROR, code="audit-x", message="x")
    monkeypatch.setattr(foresight, "audit", lambda *_: (broken,))

    found = foreseen(needing(b.desired(DB, WEB)), b.observed(b.template()))

    assert (found.actions, found.whole) == ((), False)
