"""The audit finds what no replacement should ever do, in good plans that were bent."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from qlop.model.action import (
    Action,
    CloneGuest,
    ConfigureGuest,
    HandOverDisk,
    ReplaceGuest,
    ResizeDisk,
    ShutdownGuest,
)
from qlop.model.guest import Disk, Power
from qlop.model.ids import VmId
from qlop.model.impact import Impact
from qlop.model.observed import ObservedGuest
from qlop.model.plan import Plan, PlanInput, PlannedAction
from qlop.planner import planner
from qlop.planner.audit import audit
from qlop.planner.audit_replacement import check_replacements
from qlop.planner.step import beside
from tests import builders as b
from tests.planner.test_replacement import DO, MOVED, NEW, SCSI0, TEMPLATE, heir, old, want

GIVING = old(yields=NEW, carries=("scsi1",))
DOWN = old(yields=NEW, carries=("scsi1",), power=Power.STOPPED)

Bend = Callable[[PlannedAction], PlannedAction | None]


def bent(there: tuple[ObservedGuest, ...], bend: Bend) -> set[str]:
    """Return what the audit of replacements says of a good plan after it was bent."""
    source = b.plan_input(b.desired(want(DO)), b.observed(*there, TEMPLATE))
    good = planner.plan(source)
    assert audit(source, good) == ()
    actions = tuple(one for planned in good.actions if (one := bend(planned)) is not None)
    assert actions != good.actions, "nothing was bent"
    return codes(source, replace(good, actions=actions))


def codes(source: PlanInput, plan: Plan) -> set[str]:
    return {found.code.removeprefix("audit-") for found in check_replacements(source, plan)}


def without(kind: type[Action]) -> Bend:
    return lambda planned: None if isinstance(planned.action, kind) else planned


def having(kind: type[Action], **fields: object) -> Bend:
    def bend(planned: PlannedAction) -> PlannedAction:
        if not isinstance(planned.action, kind):
            return planned
        return replace(planned, action=replace(planned.action, **fields))  # type: ignore[arg-type]

    return bend


def costing(impact: Impact) -> Bend:
    def bend(planned: PlannedAction) -> PlannedAction:
        is_it = isinstance(planned.action, ReplaceGuest)
        return replace(planned, impact=impact) if is_it else planned

    return bend


def insisting_on(**fields: object) -> Bend:
    def bend(planned: PlannedAction) -> PlannedAction:
        if not isinstance(planned.action, HandOverDisk) or planned.premise is None:
            return planned
        return replace(planned, premise=replace(planned.premise, **fields))  # type: ignore[arg-type]

    return bend


def unmarked(planned: PlannedAction) -> PlannedAction:
    if not isinstance(planned.action, CloneGuest):
        return planned
    text = planned.action.description.replace(" generation=1", "")
    return replace(planned, action=replace(planned.action, description=text))


def writing_more(planned: PlannedAction) -> PlannedAction:
    if not isinstance(planned.action, ReplaceGuest):
        return planned
    writes = {**planned.action.writes, "memory": "1"}
    return replace(planned, action=replace(planned.action, writes=writes))


@pytest.mark.parametrize(
    ("there", "bend", "code"),
    [
        pytest.param((old(),), unmarked, "doubled", id="a-second-guest-of-one-generation"),
        pytest.param((old(),), writing_more, "replaced", id="the-mark-and-something-else"),
        pytest.param((old(),), having(ReplaceGuest, carries=()), "carried", id="forgets-a-disk"),
        pytest.param((old(SCSI0),), costing(Impact.DOWNTIME), "data-loss", id="plays-it-down"),
        pytest.param((GIVING, heir()), without(ShutdownGuest), "running", id="from-one-that-runs"),
        pytest.param((GIVING, heir()), without(ShutdownGuest), "two-at-once", id="two-that-run"),
        pytest.param((GIVING, heir()), without(HandOverDisk), "carried", id="without-its-disk"),
        pytest.param((DOWN, heir()), having(HandOverDisk, slot="scsi0"), "carried", id="not-its"),
        pytest.param(
            (DOWN, heir()), having(HandOverDisk, heir=b.WEB_VMID), "carried", id="itself"
        ),
        pytest.param((DOWN, heir()), insisting_on(power=None), "running", id="whatever-it-does"),
        pytest.param((DOWN, heir()), insisting_on(beside=None), "premise", id="to-whomever"),
    ],
)
def test_a_bent_replacement_is_found(
    there: tuple[ObservedGuest, ...], bend: Bend, code: str
) -> None:
    assert code in bent(there, bend)


@pytest.mark.parametrize(
    ("disks", "found"),
    [
        pytest.param((), {"carried"}, id="in-place-of-the-data"),
        pytest.param((MOVED,), set(), id="the-data-itself"),
    ],
)
def test_no_new_disk_is_made_in_place_of_the_data(
    disks: tuple[Disk, ...], found: set[str]
) -> None:
    taker = heir(b.disk("scsi0", volume="local-lvm:vm-10001-disk-0", size_gib=8), *disks)
    source = b.plan_input(b.desired(want(DO)), b.observed(DOWN, taker, TEMPLATE))
    plan = planner.plan(source)
    some = plan.actions[0] if plan.actions else None
    assert some is not None, "there is an heir to be started, at least"
    action = ConfigureGuest(
        subject=some.action.subject,
        vmid=taker.vmid,
        kind=taker.kind,
        node=taker.node,
        digest="",
        set={"scsi1": "local-lvm:40"},
    )

    assert some.premise is not None
    premise = replace(some.premise, beside=beside(DOWN))
    write = replace(some, action=action, premise=premise)
    assert codes(source, replace(plan, actions=(write,))) == found


UNFINISHED = heir(b.disk("scsi0", volume="local-lvm:vm-10001-disk-0", size_gib=3))
"""An heir whose disk has yet to grow."""


def resting(**fields: object) -> Bend:
    """Bend what a write to the heir relies on of the guest in charge."""

    def bend(planned: PlannedAction) -> PlannedAction:
        if planned.action.vmid != UNFINISHED.vmid or planned.premise is None:
            return planned
        if planned.premise.beside is None or not isinstance(planned.action, ResizeDisk):
            return planned
        bent = replace(planned.premise.beside, **fields) if fields else None  # type: ignore[arg-type]
        return replace(planned, premise=replace(planned.premise, beside=bent))

    return bend


@pytest.mark.parametrize(
    "bend",
    [
        pytest.param(resting(), id="on-nobody"),
        pytest.param(resting(power=Power.STOPPED), id="on-another-power"),
        pytest.param(resting(power=None), id="on-any-power"),
        pytest.param(resting(vmid=VmId(101)), id="on-another-guest"),
        pytest.param(resting(witness="uuid:another"), id="on-another-witness"),
        pytest.param(resting(mark=b.mark()), id="on-one-that-does-not-give-way"),
    ],
)
def test_a_write_to_an_heir_relies_on_the_guest_in_charge(bend: Bend) -> None:
    assert bent((GIVING, UNFINISHED), bend) == {"premise"}


def test_an_heir_is_not_told_to_start_with_its_node() -> None:
    def bend(planned: PlannedAction) -> PlannedAction:
        if not isinstance(planned.action, ResizeDisk):
            return planned
        write = ConfigureGuest(
            subject=planned.action.subject,
            vmid=planned.action.vmid,
            kind=planned.action.kind,
            node=planned.action.node,
            digest="",
            set={"onboot": "1"},
        )
        return replace(planned, action=write)

    assert bent((GIVING, UNFINISHED), bend) == {"two-at-once"}
