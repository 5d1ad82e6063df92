"""Another source is another guest: asked for, made beside the old one, handed its disks."""

from dataclasses import replace

import pytest

from qlop.model.action import ConfigureGuest, Verb
from qlop.model.consent import REPLACE, Consent, Consents
from qlop.model.desired import CloneSource, DesiredDisk, DesiredGuest, ExistingSource, IsoSource
from qlop.model.folding import fold
from qlop.model.guest import Disk, GuestKind, OptionValue, Power
from qlop.model.ids import GuestName
from qlop.model.impact import Impact
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.plan import Plan
from qlop.model.reading import Known
from qlop.model.rollout import Order
from qlop.model.units import GIB
from qlop.model.verdict import Act, Converged, Held, Hold
from qlop.planner import planner
from qlop.planner.audit import audit
from tests import builders as b
from tests.planner import look

OLD, NEW = "template:debian-12", "template:debian-13"
SOURCE = CloneSource(template="debian-13")
DO = Consents(fields={REPLACE: Consent.DO})
DATA = DesiredDisk(slot="scsi1", size_bytes=40 * GIB, storage=b.LOCAL, persistent=True)
SYSTEM = DesiredDisk(slot="scsi0", size_bytes=8 * GIB)
SCSI0 = b.disk("scsi0", volume="local-lvm:vm-10000-disk-0", size_gib=8)
SCSI1 = b.disk("scsi1", volume="local-lvm:vm-10000-disk-1", size_gib=40)
SCSI2 = b.disk("scsi2", volume="local-lvm:vm-10000-disk-2", size_gib=1)
HEIR = 10001


def want(consents: Consents = b.UNASKED, **more: object) -> DesiredGuest:
    guest = b.desired_guest(source=SOURCE, disks=(SYSTEM, DATA), consents=consents)
    return replace(guest, **more)  # type: ignore[arg-type]  # fields of the guest


def old(
    *disks: Disk,
    yields: str = "",
    carries: tuple[str, ...] = (),
    power: Power = Power.RUNNING,
    **options: OptionValue,
) -> ObservedGuest:
    owner = b.mark(build=OLD, yields=yields, carries=carries)
    held = disks or (SCSI0, SCSI1)
    return b.guest(power=power, config=b.config(owner, disks=held, options=options))


def heir(*disks: Disk, power: Power = Power.STOPPED) -> ObservedGuest:
    owner = b.mark(vmid=HEIR, generation=1, build=NEW)
    there = disks or (b.disk("scsi0", volume="local-lvm:vm-10001-disk-0", size_gib=8),)
    return b.guest(HEIR, power=power, config=b.config(owner, disks=there))


TEMPLATE = b.template(9100, name="debian-13", storage=b.LOCAL, size_bytes=8 * GIB)
GIVES = {"yields": NEW, "carries": ("scsi1",)}
MOVED = b.disk("scsi1", volume="local-lvm:vm-10001-disk-1", size_gib=40)
SYSTEM_1 = b.disk("scsi0", volume="local-lvm:vm-10001-disk-0", size_gib=8)


def planned(
    wish: DesiredGuest, *there: ObservedGuest, order: Order = Order.STOP_FIRST
) -> tuple[Plan, Observed]:
    seen = b.observed(*there, TEMPLATE)
    desired = b.desired(wish)
    services = {
        name: replace(one, update=replace(one.update, order=order))
        for name, one in desired.services.items()
    }
    source = b.plan_input(replace(desired, services=services), seen)
    plan = planner.plan(source)
    assert audit(source, plan) == (), audit(source, plan)
    return plan, seen


def verdict(plan: Plan, name: str = "web") -> object:
    return {str(key): one.verdict for key, one in plan.verdicts.items()}[name]


def held(plan: Plan, name: str = "web") -> Held:
    found = verdict(plan, name)
    if isinstance(found, Act):
        found = found.held
    assert isinstance(found, Held), found
    return found


FOLLOWS = ("replace", "clone", "shutdown", "hand-over", "start")


@pytest.mark.parametrize(
    ("there", "verbs"),
    [
        pytest.param([old()], FOLLOWS, id="all-of-it"),
        pytest.param([old(**GIVES)], FOLLOWS[1:], id="once-it-gives-way"),  # type: ignore[arg-type]
        pytest.param([old(**GIVES), heir()], FOLLOWS[2:], id="once-the-heir-is-there"),  # type: ignore[arg-type]
        pytest.param([old(power=Power.STOPPED, **GIVES), heir()], FOLLOWS[3:],  # type: ignore[arg-type]
                     id="once-it-is-down"),
        pytest.param([old(SCSI0, power=Power.STOPPED, **GIVES), heir(SYSTEM_1, MOVED)],  # type: ignore[arg-type]
                     FOLLOWS[4:], id="once-the-disk-is-handed-over"),
        pytest.param([old(SCSI0, power=Power.STOPPED, **GIVES),  # type: ignore[arg-type]
                      heir(SYSTEM_1, MOVED, power=Power.RUNNING)], (), id="and-then-all-is-quiet"),
    ],
)  # fmt: skip
def test_it_goes_on_from_where_it_is(there: list[ObservedGuest], verbs: tuple[str, ...]) -> None:
    plan, _ = planned(want(DO), *there)

    assert look.verbs(plan) == verbs


def test_it_is_asked_for_and_says_what_it_means() -> None:
    plan, _ = planned(want(), old())

    assert look.verbs(plan) == ()
    assert held(plan).reason is Hold.APPROVAL
    assert held(plan).message == (
        "template debian-12 -> template debian-13: it would be built anew; scsi0 (8GiB) left"
        " behind on 10000, which is kept, stopped; scsi1 (40GiB) carried over; to replace it"
        " (impact: downtime) needs an approval"
    )


@pytest.mark.parametrize(
    ("disks", "wish", "impact"),
    [
        pytest.param((SCSI0, SCSI1), want(DO), Impact.DOWNTIME, id="all-but-the-system"),
        pytest.param((SCSI0, SCSI1, SCSI2), want(DO), Impact.DATA_LOSS, id="another-is-left"),
        pytest.param((SCSI0,), want(DO), Impact.DATA_LOSS, id="nothing-is-carried-over"),
        pytest.param((SCSI0, SCSI1), want(DO, disks=(SYSTEM, replace(DATA, persistent=False))),
                     Impact.DATA_LOSS, id="nothing-is-persistent"),
        pytest.param((SCSI0, SCSI1, b.disk("tpmstate0", volume="local-lvm:vm-10000-disk-9")),
                     want(DO), Impact.DATA_LOSS, id="a-tpm-is-data"),
        pytest.param((SCSI0, SCSI1, b.disk("efidisk0", volume="local-lvm:vm-10000-disk-9")),
                     want(DO), Impact.DOWNTIME, id="an-efi-disk-is-not"),
    ],
)  # fmt: skip
def test_what_it_costs(disks: tuple[Disk, ...], wish: DesiredGuest, impact: Impact) -> None:
    plan, _ = planned(wish, old(*disks))

    assert plan.actions[0].impact is impact


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param(want(source=ExistingSource()), id="what-exists"),
        pytest.param(want(source=CloneSource(template="debian-12")), id="the-same-source"),
        pytest.param(want(Consents(fields={REPLACE: Consent.IGNORE})), id="nobody-asks"),
    ],
)
def test_no_reason(wish: DesiredGuest) -> None:
    plan, _ = planned(wish, old())

    assert verdict(plan) == Converged()


def test_a_guest_of_unknown_make_is_never_replaced() -> None:
    made = b.guest(config=b.config(b.mark(), disks=(SCSI0, SCSI1)))

    plan, _ = planned(want(DO), made)

    assert verdict(plan) == Converged()


def test_a_medium_is_no_source() -> None:
    made = b.guest(config=b.config(b.mark(build="empty"), disks=(SCSI0, SCSI1)))

    plan, _ = planned(want(DO, source=IsoSource(volume="nas:iso/x.iso")), made)

    assert verdict(plan) == Converged()


def test_it_may_only_be_told() -> None:
    plan, _ = planned(want(Consents(fields={REPLACE: Consent.WARN})), old())

    assert verdict(plan) == Converged()
    (told,) = {one.warnings for one in plan.verdicts.values()}
    assert "built anew" in told[0]


@pytest.mark.parametrize(
    ("key", "value", "asked"),
    [
        pytest.param("machine", {"type": "q35"}, True, id="another-family"),
        pytest.param("machine", {"type": "pc-i440fx-9.0"}, False, id="another-version"),
        pytest.param("bios", "ovmf", True, id="another-firmware"),
    ],
)
def test_a_machine_that_few_systems_survive(key: str, value: OptionValue, asked: bool) -> None:  # noqa: FBT001 - a table
    wish = want(source=CloneSource(template="debian-12"), options={key: value})

    plan, _ = planned(wish, old())

    assert ("built anew" in held(plan).message) is asked


def test_a_word_about_the_machine_writes_it_in_place() -> None:
    wish = want(
        Consents(fields={"machine": Consent.DO}),
        source=CloneSource(template="debian-12"),
        options={"machine": {"type": "q35"}},
    )

    plan, _ = planned(wish, old())

    assert look.verbs(plan) == ("configure", "reboot")


@pytest.mark.parametrize(
    ("wish", "there", "reason", "words"),
    [
        pytest.param(want(DO, vmid=b.WEB_VMID), old(), Hold.REPLACEMENT, "asks for VMID 10000",
                     id="a-fixed-vmid"),
        pytest.param(want(DO), old(protection="1"), Hold.PROTECTED, "protection", id="protected"),
        pytest.param(want(DO), old(parent="base"), Hold.REPLACEMENT, "has snapshots",
                     id="snapshots"),
        pytest.param(want(DO), replace(old(), ha_state="started"), Hold.HA_MANAGED, "HA manager",
                     id="ha"),
        pytest.param(want(DO), old(power=Power.PAUSED), Hold.POWER_UNKNOWN, "paused", id="paused"),
        pytest.param(want(DO, kind=GuestKind.CONTAINER, options={}, disks=()), old(),
                     Hold.NO_TEMPLATE, "no template", id="another-kind-without-its-template"),
    ],
)  # fmt: skip
def test_what_stands_in_the_way(
    wish: DesiredGuest, there: ObservedGuest, reason: Hold, words: str
) -> None:
    plan, _ = planned(wish, there)

    assert "replace" not in look.verbs(plan)
    assert held(plan).reason is reason
    assert words in held(plan).message


def test_a_manifest_that_is_set_back_takes_the_mark_back() -> None:
    plan, _ = planned(want(source=CloneSource(template="debian-12")), old(**GIVES))  # type: ignore[arg-type]

    (action,) = look.actions(plan)
    assert look.verbs(plan) == ("configure",)
    assert "yields" not in str(action)


def test_an_heir_that_nobody_wants_any_more_is_held_and_the_old_one_serves_on() -> None:
    wish = want(source=CloneSource(template="debian-12"))

    plan, _ = planned(wish, old(power=Power.STOPPED, **GIVES), heir())  # type: ignore[arg-type]

    assert look.verbs(plan) == ("start",)
    assert plan.actions[0].action.vmid == b.WEB_VMID
    assert held(plan).reason is Hold.REPLACEMENT


@pytest.mark.parametrize(
    ("new", "words"),
    [
        pytest.param(replace(heir(), node=b.PVE2), "on one node only", id="on-another-node"),
        pytest.param(heir(power=Power.RUNNING), "is running before it has its disks", id="runs"),
        pytest.param(heir(SYSTEM_1, MOVED), "has a scsi1 already", id="has-one-in-that-slot"),
    ],
)
def test_an_heir_that_can_not_take_the_disk_is_held_and_nothing_is_shut_down(
    new: ObservedGuest, words: str
) -> None:
    plan, _ = planned(want(DO), old(yields=NEW, carries=("scsi1",)), new)

    assert "shutdown" not in look.verbs(plan)
    assert "hand-over" not in look.verbs(plan)
    assert held(plan).reason is Hold.REPLACEMENT
    assert words in held(plan).message


def test_a_disk_in_neither_guest_is_missed_and_not_made_anew() -> None:
    plan, _ = planned(want(DO), old(SCSI0, power=Power.STOPPED, **GIVES), heir())  # type: ignore[arg-type]

    assert look.verbs(plan) == ()
    assert held(plan).reason is Hold.DATA_LOSS
    assert "scsi1 was to be handed over by 10000" in held(plan).message


@pytest.mark.parametrize(
    ("there", "verbs"),
    [
        pytest.param([old(SCSI0)], ("replace", "clone", "start"), id="all-of-it"),
        pytest.param([old(SCSI0, yields=NEW), heir()], ("start",), id="the-heir-starts-beside-it"),
        pytest.param([old(SCSI0, yields=NEW), heir(power=Power.RUNNING)], ("shutdown",),
                     id="then-the-old-one-goes"),
    ],
)  # fmt: skip
def test_start_first(there: list[ObservedGuest], verbs: tuple[str, ...]) -> None:
    plan, _ = planned(want(DO, disks=(SYSTEM,)), *there, order=Order.START_FIRST)

    assert look.verbs(plan) == verbs


@pytest.mark.parametrize(
    ("power", "due"),
    [(Power.RUNNING, Power.RUNNING), (Power.STOPPED, Power.STOPPED), (Power.UNKNOWN, None)],
)
def test_an_heir_is_written_to_as_long_as_the_guest_is_as_it_was_seen(
    power: Power, due: Power | None
) -> None:
    """The listing is late: the guest may have given way by now."""
    guest = old(yields=NEW, carries=("scsi1",), power=power)
    wanted = want(DO, options={"cores": "4"})

    plan, _ = planned(wanted, guest, heir())

    write = plan.actions[0]
    assert (look.verbs(plan)[0], write.action.vmid) == ("configure", HEIR)
    assert write.premise is not None
    assert write.premise.beside is not None
    assert (write.premise.beside.vmid, write.premise.beside.power) == (b.WEB_VMID, due)


def test_a_former_guest_that_somebody_started_is_shut_down() -> None:
    done = heir(SYSTEM_1, MOVED, power=Power.RUNNING)

    plan, _ = planned(want(DO), old(SCSI0, **GIVES), done)  # type: ignore[arg-type]

    assert look.verbs(plan) == ("shutdown",)
    assert plan.actions[0].action.vmid == b.WEB_VMID


def test_no_more_are_replaced_at_once_than_may_be_down() -> None:
    guests = [replace(want(DO), name=GuestName(f"web-{index}"), index=index) for index in (1, 2)]
    there = [
        b.guest(
            10000 + index,
            config=b.config(
                b.mark(index=index, vmid=10000 + index, build=OLD), disks=(SCSI0, SCSI1)
            ),
        )
        for index in (1, 2)
    ]
    source = b.plan_input(b.desired(*guests), b.observed(*there, TEMPLATE))

    plan = planner.plan(source)

    assert audit(source, plan) == ()
    assert [one.action.subject for one in plan.actions][:1] == ["web-1"]
    assert held(plan, "web-2").reason is Hold.BUDGET


@pytest.mark.parametrize(
    ("onboot", "written"),
    [
        pytest.param("1", "0", id="as-its-template-says"),
        pytest.param(None, None, id="nor-by-itself"),
    ],
)
def test_an_heir_never_starts_with_its_node_beside_the_guest_in_charge(
    onboot: str | None, written: str | None
) -> None:
    giving = old(yields=NEW, carries=("scsi1",))
    one = heir()
    assert isinstance(one.config, Known)
    options: dict[str, OptionValue] = {} if onboot is None else {"onboot": onboot}
    made = replace(one, config=Known(replace(one.config.value, options=options)))

    plan, _ = planned(want(DO), giving, made)

    writes = [one.action for one in plan.actions if isinstance(one.action, ConfigureGuest)]
    assert [write.set.get("onboot") for write in writes] == ([] if written is None else [written])


@pytest.mark.parametrize(
    ("boots", "written"), [(True, [{"onboot": "1"}]), (False, [])], ids=["did", "did-not"]
)
def test_who_took_a_place_starts_with_its_node_if_the_former_did(
    boots: bool,  # noqa: FBT001  # a column
    written: list[dict[str, str]],
) -> None:
    owner = b.mark(build=OLD, yields=NEW, carries=("scsi1",), boots=boots)
    down = b.guest(power=Power.STOPPED, config=b.config(owner, disks=(SCSI0,)))
    taker = heir(SYSTEM_1, MOVED)
    born = b.intended(Verb.CLONE, vmid=HEIR)
    history = fold([born, b.finished(verb=Verb.CLONE)])

    plan = planner.plan(
        b.plan_input(b.desired(want(DO)), b.observed(down, taker, TEMPLATE), history)
    )

    writes = [one.action for one in plan.actions if isinstance(one.action, ConfigureGuest)]
    assert [write.set for write in writes] == written
    assert "start" in look.verbs(plan)
