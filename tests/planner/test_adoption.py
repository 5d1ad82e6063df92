"""Who becomes ours, who ceases to be, and what keeps them from it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.model.action import ConfigureGuest, Verb
from qlop.model.consent import Consent, Consents
from qlop.model.desired import CloneSource, DesiredGuest, ExistingSource, Snapshots, Source
from qlop.model.folding import fold
from qlop.model.guest import GuestKind, OptionValue, Power
from qlop.model.history import History
from qlop.model.ids import ClusterName, NodeName, OrderId, ServiceName, Upid, VmId
from qlop.model.observed import ObservedGuest, ObservedTask
from qlop.model.orders import Adopt, Order, Release
from qlop.model.owner import signed_description
from qlop.model.plan import Plan, PlanInput, PlannedAction, Premise
from qlop.model.reading import Unknown
from qlop.model.verdict import Converged, Hold
from qlop.planner import adoption, planner
from qlop.planner.audit import audit
from tests import builders as b
from tests.planner import look

UUID = "uuid:1111"
UNTIL = b.NOW + timedelta(hours=1)
MARK = b.mark(vmid=100, witness=UUID)
ADOPT = Adopt(
    id=OrderId("o1"),
    at=b.NOW,
    by="ani",
    reason="",
    until=UNTIL,
    vmid=VmId(100),
    service=b.WEB,
    index=1,
)
RELEASE = Release(
    id=OrderId("o2"),
    at=b.NOW,
    by="budi",
    reason="",
    until=UNTIL,
    vmid=VmId(100),
    service=b.WEB,
    index=1,
)
EXISTING = ExistingSource()
CLONE = CloneSource(template=b.TEMPLATE)


def wanted(
    source: Source = EXISTING, options: Mapping[str, OptionValue] | None = None
) -> DesiredGuest:
    return b.desired_guest(source=source, vmid=100, options={"cores": "2", **(options or {})})


def there(
    options: Mapping[str, OptionValue] | None = None, *, witness: str = UUID
) -> ObservedGuest:
    config = b.config(options={"cores": "2", **(options or {})}, witness=witness)
    return b.guest(100, name="old", config=config)


def source_of(
    want: DesiredGuest,
    *guests: ObservedGuest,
    orders: tuple[Order, ...] = (ADOPT,),
    history: History | None = None,
) -> PlanInput:
    observed = b.observed(*guests)
    return b.plan_input(b.desired(want), observed, history or fold(()), orders=orders)


def planned(source: PlanInput) -> Plan:
    plan = planner.plan(source)
    assert audit(source, plan) == ()
    return plan


def only_step(plan: Plan) -> tuple[PlannedAction, ConfigureGuest]:
    (step,) = plan.actions
    assert isinstance(step.action, ConfigureGuest)
    return step, step.action


@pytest.mark.parametrize("source", [EXISTING, CLONE], ids=["existing", "whatever-it-came-from"])
def test_a_guest_that_fits_is_signed_on_an_order(source: Source) -> None:
    plan = planned(source_of(wanted(source), there({"description": "Notes.", "tags": "a"})))

    step, action = only_step(plan)
    assert action.set == {"description": signed_description("Notes.", MARK)}
    assert action.digest == "d1"
    assert step.premise == Premise(mark=None, witness=UUID)
    assert step.reason == "ani ordered to adopt it, and it is as its manifest says"
    assert [change.field for change in step.changes] == ["owner mark"]
    assert adoption.changes_owner(step)


def test_our_tag_comes_with_it_if_the_manifest_says_tags() -> None:
    want = wanted(options={"tags": "a;qlop"})

    _, action = only_step(planned(source_of(want, there({"tags": "a"}))))

    assert action.set["tags"] == "a;qlop"


def test_when_it_is_signed_it_is_ours_and_nothing_follows() -> None:
    signed = b.guest(100, config=b.config(MARK, options={"cores": "2"}))

    plan = planned(source_of(wanted(), signed))

    assert plan.actions == ()
    assert isinstance(look.verdict(plan), Converged)


@pytest.mark.parametrize(
    ("want", "have", "hold", "says"),
    [
        pytest.param(wanted(options={"cores": "4"}), there(), Hold.ADOPTION,
                     "cores is 2 and should be 4", id="another-value"),
        pytest.param(wanted(options={"tags": "b;qlop"}), there({"tags": "a"}), Hold.ADOPTION,
                     "tags is a;qlop and should be b;qlop", id="other-tags"),
        pytest.param(replace(wanted(), power=Power.STOPPED), there(), Hold.ADOPTION,
                     "it is running and should be stopped", id="another-power"),
        pytest.param(replace(wanted(), kind=GuestKind.CONTAINER), there(), Hold.ADOPTION,
                     "it is a vm and should be a container", id="another-kind"),
        pytest.param(replace(wanted(), snapshots=Snapshots(keep=("a",))), there(), Hold.ADOPTION,
                     "should have snapshots", id="snapshots"),
        pytest.param(wanted(), there(witness=""), Hold.ADOPTION, "no SMBIOS UUID", id="no-uuid"),
        pytest.param(wanted(), there({"description": "y" * 7900}), Hold.ADOPTION,
                     "notes of 7900 characters", id="no-room-for-the-mark"),
        pytest.param(wanted(), b.guest(100, config=Unknown("x")), Hold.CONFIG_UNREAD,
                     "could not be read", id="unread"),
        pytest.param(wanted(), replace(there(), power=Power.UNKNOWN), Hold.POWER_UNKNOWN,
                     "does not say whether it runs", id="power-unknown"),
        pytest.param(wanted(), replace(there(), power=Power.SUSPENDED), Hold.LOCKED,
                     "hibernated", id="hibernated"),
        pytest.param(wanted(), replace(there(), lock="backup"), Hold.LOCKED, "(backup)",
                     id="locked"),
        pytest.param(wanted(), replace(there(), node=NodeName("pve9")), Hold.NODE_OFFLINE,
                     "pve9 is offline", id="offline"),
        pytest.param(
            wanted(),
            b.guest(100, config=b.config(replace(MARK, cluster=ClusterName("else")))),
            Hold.ADOPTION, "belongs to the qlop of cluster else", id="another-qlop-s",
        ),
        pytest.param(
            wanted(),
            b.guest(100, config=b.config(replace(MARK, service=ServiceName("old")))),
            Hold.ADOPTION, "is ours already, as old, guest 1", id="ours-under-another-name",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_held_though_it_was_ordered(
    want: DesiredGuest, have: ObservedGuest, hold: Hold, says: str
) -> None:
    plan = planned(source_of(want, have))

    assert [one for one in plan.actions if one.action.vmid == 100] == []
    held = look.held(plan)
    assert (held.reason, says in held.message) == (hold, True), held


def test_a_change_that_would_wait_for_somebody_counts_as_a_change() -> None:
    want = replace(wanted(options={"cores": "4"}), consents=Consents(none=Consent.ASK))

    plan = planned(source_of(want, there()))

    assert (plan.actions, plan.asks) == ((), ())
    assert "cores is 2 and should be 4" in look.held(plan).message


def test_what_is_never_mended_keeps_nobody_from_being_adopted() -> None:
    want = replace(
        wanted(options={"cores": "4"}), consents=Consents(fields={"cores": Consent.IGNORE})
    )

    assert len(planned(source_of(want, there())).actions) == 1


@pytest.mark.parametrize(
    "orders",
    [
        pytest.param((), id="none"),
        pytest.param((replace(ADOPT, until=b.NOW),), id="ended"),
        pytest.param((replace(ADOPT, vmid=VmId(101)),), id="another-guest"),
        pytest.param((replace(ADOPT, index=2),), id="another-place"),
        pytest.param((ADOPT, RELEASE), id="released-since"),
    ],
)
def test_without_an_order_that_holds_it_is_left_alone(orders: tuple[Order, ...]) -> None:
    existing = planned(source_of(wanted(), there(), orders=orders))
    clone = planned(source_of(wanted(CLONE), there(), orders=orders))

    assert (existing.actions, clone.actions) == ((), ())
    assert look.held(existing).reason is Hold.ADOPTION
    assert look.held(existing).remedy == "qlop adopt, with its name or --all"
    assert look.held(clone).reason is Hold.NOT_OURS


def test_a_guest_that_is_to_exist_is_never_made() -> None:
    plan = planned(source_of(wanted()))

    assert plan.actions == ()
    assert look.held(plan).reason is Hold.ADOPTION
    assert "there is no guest 100" in look.held(plan).message


def test_a_copy_of_a_guest_of_ours_can_be_adopted_as_itself() -> None:
    original = b.guest(config=b.config(b.mark()))
    copy = b.guest(100, config=b.config(b.mark(), options={"cores": "2"}, witness=UUID))
    want = b.desired_guest("copy", source=EXISTING, vmid=100, options={"cores": "2"})
    order = replace(ADOPT, service=ServiceName("copy"))
    desired = b.desired(want, b.desired_guest())

    source = b.plan_input(desired, b.observed(original, copy), fold(()), orders=(order,))
    _, action = only_step(planned(source))

    assert action.vmid == 100
    assert "service=copy index=1 vmid=100 witness=uuid:1111" in action.set["description"]
    assert action.set["description"].count("qlop/v1") == 1


def test_an_action_on_the_guest_is_waited_for() -> None:
    flying = fold([b.intended(Verb.CONFIGURE, service="old", vmid=100)])

    plan = planned(source_of(wanted(), there(), history=flying))

    assert plan.actions == ()


OURS = b.guest(
    100, config=b.config(MARK, options={"cores": "2", "description": "Notes.", "tags": "a;qlop"})
)


def test_a_released_guest_loses_the_mark_and_our_tag_alone() -> None:
    step, action = only_step(planned(source_of(wanted(), OURS, orders=(RELEASE,))))

    assert action.set == {"description": "Notes.", "tags": "a"}
    assert action.delete == ()
    assert step.reason == "budi ordered to release it"
    assert adoption.changes_owner(step)


def test_of_a_released_guest_nothing_is_left_where_nothing_was() -> None:
    bare = b.guest(100, config=b.config(MARK, options={"cores": "2", "tags": "qlop"}))

    _, action = only_step(planned(source_of(wanted(), bare, orders=(RELEASE,))))

    assert (action.set, action.delete) == ({}, ("description", "tags"))


def test_an_orphan_is_released_too() -> None:
    source = b.plan_input(b.desired(), b.observed(OURS), fold(()), orders=(RELEASE,))

    _, action = only_step(planned(source))

    assert action.vmid == 100


def test_no_guest_is_released_in_whose_place_another_would_be_made() -> None:
    want = replace(wanted(CLONE), vmid=None)

    plan = planned(source_of(want, OURS, orders=(RELEASE,)))

    assert plan.actions == ()
    assert "does not say vmid: 100" in look.held(plan).message


def test_no_guest_is_released_while_somebody_works_on_it() -> None:
    task = ObservedTask(
        upid=Upid("UPID:pve1:1"),
        node=b.PVE1,
        verb="vzdump",
        vmid=VmId(100),
        user="root@pam",
        started_at=b.NOW,
    )
    source = source_of(wanted(), OURS, orders=(RELEASE,))
    busy = replace(source, observed=replace(source.observed, tasks=(task,)))

    plan = planned(busy)

    assert plan.actions == ()
    assert look.held(plan).reason is Hold.TASK_RUNNING


def test_a_guest_adopted_again_after_its_release_stays_ours() -> None:
    again = replace(ADOPT, id=OrderId("o3"))

    plan = planned(source_of(wanted(), OURS, orders=(ADOPT, RELEASE, again)))

    assert plan.actions == ()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda one: {**one, "cores": "4"}, id="another-option"),
        pytest.param(
            lambda one: {"description": one["description"].replace("Notes.", "")},
            id="notes-lost",
        ),
        pytest.param(lambda one: {**one, "tags": "b;qlop"}, id="other-tags"),
        pytest.param(
            lambda one: {"description": one["description"].replace(UUID, "uuid:2")},
            id="another-witness",
        ),
    ],
)
def test_the_audit_lets_nothing_else_through(spoil: object) -> None:
    source = source_of(wanted(), there({"description": "Notes.", "tags": "a"}))
    plan = planned(source)
    step, action = only_step(plan)
    assert callable(spoil)
    bad = replace(step, action=replace(action, set=spoil(action.set)))

    assert audit(source, replace(plan, actions=(bad,)))
    assert audit(replace(source, orders=type(source.orders)()), plan)


@pytest.mark.parametrize(
    ("guest", "why"),
    [
        pytest.param(there(), "web asks for its VMID, and it is not adopted", id="to-be-adopted"),
        pytest.param(
            b.guest(101, config=b.config(witness="uuid:3")), "it has no owner mark", id="strange"
        ),
        pytest.param(
            b.guest(101, config=b.config(b.mark(), witness="uuid:3")),
            "its mark is that of 10000, web (guest 1): it is a copy",
            id="a-copy",
        ),
        pytest.param(
            b.guest(config=b.config(b.mark(), witness="uuid:3")),
            "it carries the mark of web (guest 1), and its UUID or MAC is another",
            id="another-witness",
        ),
        pytest.param(
            b.guest(config=b.config(replace(b.mark(), cluster=ClusterName("else")))),
            "it belongs to the qlop of cluster else",
            id="another-qlop-s",
        ),
    ],
)
def test_who_is_not_managed_is_listed_with_the_reason(guest: ObservedGuest, why: str) -> None:
    plan = planned(source_of(wanted(), guest, orders=()))

    (found,) = plan.unmanaged
    assert (found.vmid, found.node, found.why) == (guest.vmid, guest.node, why)
