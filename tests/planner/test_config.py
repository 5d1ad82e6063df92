"""Configuration: only what differs is written, at the cost it has, or it is held."""

from collections.abc import Mapping

import pytest

from qlop.model.action import AssignPool, ConfigureGuest
from qlop.model.desired import DesiredGuest
from qlop.model.guest import GuestKind, OptionValue, Power
from qlop.model.ids import GuestName, PoolId
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.option import canonical
from qlop.model.owner import signed_description
from qlop.model.plan import Change, PlannedAction
from qlop.model.verdict import Hold
from tests import builders as b
from tests.planner import look

VM, CT = GuestKind.VM, GuestKind.CONTAINER


def wanting(kind: GuestKind, **options: OptionValue) -> DesiredGuest:
    return b.desired_guest(kind=kind, options=options)


def having(
    kind: GuestKind,
    options: Mapping[str, OptionValue] | None = None,
    *,
    power: Power = Power.RUNNING,
    pool: str | None = None,
) -> ObservedGuest:
    if kind is VM:
        config = b.config(b.mark(), options=options)
    else:
        config = b.config(b.container_mark(), options=options, nics=[b.container_nic()])
    return b.guest(kind=kind, power=power, pool=pool, config=config)


def write(plan_actions: tuple[PlannedAction, ...]) -> tuple[dict[str, str], tuple[str, ...]]:
    """What the one configuration write sets and deletes; nothing if there is none."""
    for planned in plan_actions:
        if isinstance(planned.action, ConfigureGuest):
            return dict(planned.action.set), planned.action.delete
    return {}, ()


@pytest.mark.parametrize(
    ("kind", "key", "want", "have", "written"),
    [
        pytest.param(VM, "onboot", "1", None, "1", id="boolean-set"),
        pytest.param(VM, "onboot", "0", None, None, id="boolean-is-pves-default"),
        pytest.param(VM, "cores", "4", "2", "4", id="number-differs"),
        pytest.param(VM, "cores", "1", None, None, id="number-is-pves-default"),
        pytest.param(VM, "name", "web", "Copy-of-VM-web", "web", id="text-differs"),
        pytest.param(VM, "tags", "a;b", "a;b", None, id="tags-agree"),
        pytest.param(VM, "tags", "a;b", "a", "a;b", id="tags-differ"),
        pytest.param(VM, "nameserver", "9.9.9.9 1.1.1.1", "1.1.1.1 9.9.9.9", "9.9.9.9 1.1.1.1",
                     id="lists-have-an-order"),
        pytest.param(VM, "hotplug", "disk", None, "disk", id="set-differs"),
        pytest.param(VM, "hotplug", "disk,network,usb", None, None, id="set-is-pves-default"),
        pytest.param(VM, "sshkeys", "ssh-ed25519 AAAA", None, "ssh-ed25519%20AAAA",
                     id="urlencoded-as-pve-wants-it"),
        pytest.param(VM, "agent", {"enabled": "1"}, None, "1", id="properties-set"),
        pytest.param(VM, "agent", {"enabled": "1"}, {"enabled": "1", "type": "isa"}, None,
                     id="other-properties-are-left-alone"),
        pytest.param(VM, "agent", {"enabled": "1"}, {"enabled": "0", "type": "isa"}, "1,type=isa",
                     id="other-properties-are-written-back"),
        pytest.param(CT, "features", {"nesting": "1"}, {"keyctl": "1"}, "keyctl=1,nesting=1",
                     id="properties-merged"),
        pytest.param(CT, "features", {"fuse": "0"}, None, None, id="property-is-pves-default"),
        pytest.param(CT, "memory", "1024", "512", "1024", id="container-memory"),
    ],
)  # fmt: skip
def test_an_option(
    kind: GuestKind, key: str, want: OptionValue, have: OptionValue | None, written: str | None
) -> None:
    there: dict[str, OptionValue] = {} if have is None else {key: have}
    if kind is CT:
        there["unprivileged"] = "1"  # Of others even nesting is for root@pam.

    plan = look.plan_one(wanting(kind, **{key: want}), having(kind, there))

    assert write(plan.actions) == ({} if written is None else {key: written}, ())


@pytest.mark.parametrize("kind", [VM, CT])
def test_an_option_emptied_is_deleted(kind: GuestKind) -> None:
    plan = look.plan_one(
        wanting(kind, searchdomain=""), having(kind, {"searchdomain": "example.org"})
    )

    assert write(plan.actions) == ({}, ("searchdomain",))


def test_what_is_not_declared_is_left_alone() -> None:
    plan = look.plan_one(
        wanting(VM), having(VM, {"cores": "8", "vga": {"type": "qxl"}, "args": "-foo"})
    )

    assert look.answer(plan) is None


@pytest.mark.parametrize(
    ("kind", "key", "want", "have"),
    [
        pytest.param(CT, "unprivileged", "1", None, id="unprivileged"),
        pytest.param(CT, "ostype", "alpine", "debian", id="ostype"),
        pytest.param(CT, "arch", "arm64", None, id="arch"),
    ],
)
def test_what_is_fixed_at_creation_is_held(
    kind: GuestKind, key: str, want: str, have: str | None
) -> None:
    there: dict[str, OptionValue] = {} if have is None else {key: have}

    plan = look.plan_one(wanting(kind, **{key: want}), having(kind, there))

    assert plan.actions == ()
    assert look.held(plan).reason is Hold.UNSUPPORTED_CHANGE
    assert look.held(plan).message == (
        f"{key} is {have or 'not set'} and should be {want}: PVE can't change it after creation"
    )


@pytest.mark.parametrize(
    ("kind", "key", "want", "power", "impact"),
    [
        pytest.param(VM, "onboot", "1", Power.RUNNING, Impact.NONE, id="nothing-notices"),
        pytest.param(VM, "cpulimit", "2", Power.RUNNING, Impact.HOT, id="while-it-runs"),
        pytest.param(VM, "cores", "2", Power.RUNNING, Impact.REBOOT, id="needs-a-reboot"),
        pytest.param(VM, "cores", "2", Power.STOPPED, Impact.NONE, id="stopped-costs-nothing"),
        pytest.param(VM, "cores", "2", Power.UNKNOWN, Impact.REBOOT, id="unknown-may-run"),
        pytest.param(VM, "balloon", "0", Power.RUNNING, Impact.REBOOT, id="balloon-taken-out"),
        pytest.param(CT, "cores", "2", Power.RUNNING, Impact.HOT, id="container-cores"),
        pytest.param(CT, "nameserver", "9.9.9.9", Power.RUNNING, Impact.REBOOT, id="container-dns"),
    ],
)  # fmt: skip
def test_impact(kind: GuestKind, key: str, want: str, power: Power, impact: Impact) -> None:
    plan = look.plan_one(wanting(kind, **{key: want}), having(kind, power=power))

    (configure, *_) = plan.actions
    assert configure.impact is impact
    assert configure.changes == (Change(field=key, old="", new=want, impact=impact),)


def test_several_differences_are_one_write_with_the_worst_impact() -> None:
    want = wanting(VM, onboot="1", cores="4", tags="a")

    (configure,) = look.plan_one(want, having(VM, {"tags": "b"})).actions

    assert configure.action == ConfigureGuest(
        subject=GuestName("web"),
        vmid=b.WEB_VMID,
        kind=VM,
        node=b.PVE1,
        digest="d1",
        set={"onboot": "1", "cores": "4", "tags": "a"},
    )
    assert configure.impact is Impact.REBOOT
    assert configure.reason == "drift in onboot, cores, tags"
    assert configure.expects == {"digest": "d1"}
    assert (configure.premise, configure.takes) == (look.premise(b.mark()), ("node:pve1",))


@pytest.mark.parametrize(
    ("want", "have", "written"),
    [
        pytest.param("hello", "hello", None, id="the-mark-belongs-to-it"),
        pytest.param("hello", "bye", signed_description("hello", b.mark()), id="text-changed"),
        pytest.param("", "bye", signed_description("", b.mark()), id="text-emptied"),
        pytest.param(
            signed_description("hello", b.mark(vmid=7)),
            "hello",
            None,
            id="a-pasted-mark-is-dropped",
        ),
        pytest.param(None, "whatever", None, id="not-declared"),
    ],
)
def test_description(want: str | None, have: str, written: str | None) -> None:
    options: dict[str, OptionValue] = {} if want is None else {"description": want}

    plan = look.plan_one(wanting(VM, **options), having(VM, {"description": have}))

    assert write(plan.actions) == ({} if written is None else {"description": written}, ())


def test_a_mark_moved_about_in_the_notes_goes_back_to_its_end() -> None:
    moved = f"{signed_description('', b.mark())}\n\nhello"
    config = b.config(b.mark())
    have = b.guest(config=_replaced(config, description=moved))

    (configure,) = look.plan_one(wanting(VM, description="hello"), have).actions

    assert configure.changes == (
        Change(field="owner mark", old="", new=b.mark().witness, impact=Impact.NONE),
    )


def _replaced(config: GuestConfig, **options: OptionValue) -> GuestConfig:
    return GuestConfig(
        digest=config.digest,
        options={**config.options, **options},
        disks={},
        nics={},
        unused={},
        pending=frozenset(),
        mark=config.mark,
        witness=config.witness,
    )


@pytest.mark.parametrize(
    ("pool", "have", "actions"),
    [
        pytest.param("prod", "prod", (), id="in-it"),
        pytest.param(None, "prod", (), id="not-declared"),
        pytest.param(
            "prod",
            None,
            (
                AssignPool(
                    subject=GuestName("web"),
                    vmid=b.WEB_VMID,
                    kind=VM,
                    node=b.PVE1,
                    pool=PoolId("prod"),
                ),
            ),
            id="not-in-it",
        ),
    ],
)
def test_pool(pool: str | None, have: str | None, actions: tuple[object, ...]) -> None:
    plan = look.plan_one(b.desired_guest(pool=pool), having(VM, pool=have))

    assert look.actions(plan) == actions


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        pytest.param("Beta,alpha", "alpha;beta", id="tags"),
        pytest.param("beta;alpha;beta", "alpha;beta", id="tags-twice"),
    ],
)
def test_what_pve_normalizes_is_no_drift(written: str, stored: str) -> None:
    want = wanting(VM, tags=canonical(VM, "tags", written))

    plan = look.plan_one(want, having(VM, {"tags": canonical(VM, "tags", stored)}))

    assert look.answer(plan) is None


CLOUD_DRIVE = b.disk("ide2", volume="nas:vm-10000-cloudinit", size_gib=None, media="cdrom")


@pytest.mark.parametrize(
    ("want", "power", "with_drive", "verbs"),
    [
        pytest.param({"ciuser": "a"}, Power.RUNNING, True, ("configure", "regenerate-cloud-init"),
                     id="running"),
        pytest.param({"ciuser": "a"}, Power.STOPPED, True, ("configure", "start"),
                     id="a-start-writes-it-anyway"),
        pytest.param({"ciuser": "a"}, Power.RUNNING, False, ("configure",), id="no-drive"),
        pytest.param({"onboot": "1"}, Power.RUNNING, True, ("configure",), id="of-no-concern"),
        pytest.param({"ipconfig0": {"ip": "dhcp"}}, Power.RUNNING, True,
                     ("configure", "regenerate-cloud-init"), id="addresses"),
    ],
)  # fmt: skip
def test_cloud_init_is_written_anew(
    want: dict[str, OptionValue], power: Power, verbs: tuple[str, ...], *, with_drive: bool
) -> None:
    config = b.config(b.mark(), disks=[CLOUD_DRIVE] if with_drive else [])

    plan = look.plan_one(wanting(VM, **want), b.guest(power=power, config=config))

    assert look.verbs(plan) == verbs
