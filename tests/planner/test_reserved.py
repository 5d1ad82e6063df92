"""What PVE lets root@pam alone write keeps nothing else from being written."""

from dataclasses import replace

import pytest

from qlop.model.action import CloneGuest, ConfigureGuest, CreateGuest, Verb
from qlop.model.consent import FREE, Consent
from qlop.model.desired import DesiredDisk, DesiredGuest, EmptySource
from qlop.model.guest import Disk, GuestKind, OptionValue, Power
from qlop.model.history import JournalRecord
from qlop.model.observed import GuestConfig
from qlop.model.reading import Known
from qlop.model.verdict import Hold
from qlop.planner import reserved
from tests import builders as b
from tests.planner import look

HOOK = "local:snippets/hook.pl"
BIND = DesiredDisk(
    slot="mp0", size_bytes=None, storage=None, volume="/srv/data", properties={"mp": "/data"}
)


def container(options: dict[str, OptionValue], *disks: DesiredDisk) -> DesiredGuest:
    return b.desired_guest(kind=GuestKind.CONTAINER, options=options, disks=disks)


def has(**options: OptionValue) -> GuestConfig:
    return b.config(b.mark(), options=options)


@pytest.mark.parametrize(
    ("want", "have", "missing"),
    [
        pytest.param(
            b.desired_guest(options={"hookscript": HOOK}), has(), ("hookscript",), id="a-hook"
        ),
        pytest.param(
            b.desired_guest(options={"hookscript": HOOK}),
            has(hookscript=HOOK),
            (),
            id="a-hook-that-is-there",
        ),
        pytest.param(
            b.desired_guest(options={"serial0": "socket"}), has(), (), id="a-socket-is-anybodys"
        ),
        pytest.param(
            b.desired_guest(options={"serial0": "/dev/ttyS0"}),
            has(),
            ("serial0",),
            id="a-real-port",
        ),
        pytest.param(
            b.desired_guest(options={"serial0": "socket"}),
            has(serial0="/dev/ttyS0"),
            ("serial0",),
            id="in-place-of-a-real-port",
        ),
        pytest.param(
            container({"features": {"nesting": "1"}}),
            has(unprivileged="1"),
            (),
            id="nesting-is-anybodys",
        ),
        pytest.param(
            container({"features": {"nesting": "1"}}),
            has(),
            ("features",),
            id="of-a-privileged-one",
        ),
        pytest.param(
            container({"features": {"nesting": "1", "keyctl": "1"}}),
            has(unprivileged="1", features={"nesting": "1"}),
            ("features",),
            id="another-feature",
        ),
        pytest.param(
            container({"features": {"nesting": "1", "keyctl": "1"}}),
            has(unprivileged="1", features={"keyctl": "1"}),
            (),
            id="nesting-beside-another-feature",
        ),
        pytest.param(container({"dev0": {"path": "/dev/sda"}}), has(), ("dev0",), id="a-device"),
        pytest.param(container({}, BIND), has(), ("mp0",), id="a-directory-of-the-node"),
        pytest.param(
            container({}, BIND),
            b.config(
                b.mark(),
                disks=(
                    Disk(
                        slot="mp0",
                        volume="/srv/data",
                        storage=None,
                        size_bytes=None,
                        properties={"mp": "/data"},
                    ),
                ),
            ),
            (),
            id="a-directory-that-is-there",
        ),
    ],
)
def test_what_root_alone_may_set(
    want: DesiredGuest, have: GuestConfig, missing: tuple[str, ...]
) -> None:
    assert reserved.missing(want, have) == missing


def test_the_rest_is_written_and_the_way_out_is_said() -> None:
    want = b.desired_guest(options={"hookscript": HOOK, "tags": "web"})

    plan = look.plan_one(want, b.guest(config=b.config(b.mark())))

    (write,) = look.actions(plan)
    assert isinstance(write, ConfigureGuest)
    assert write.set == {"tags": "web"}
    held = look.held(plan)
    assert held.reason is Hold.DENIED
    assert held.message == (
        "hookscript is not set and should be local:snippets/hook.pl: PVE lets root@pam alone set"
        " that, and no API token"
    )
    assert held.remedy == (
        f"as root on pve1: qm set {b.WEB_VMID} --hookscript local:snippets/hook.pl; or take it out"
        " of the manifest"
    )


@pytest.mark.parametrize(
    "want",
    [
        pytest.param(b.desired_guest(options={"hookscript": HOOK}), id="a-clone"),
        pytest.param(
            b.desired_guest(options={"hookscript": HOOK}, source=EmptySource()), id="from-nothing"
        ),
    ],
)
def test_a_guest_is_built_without_it_and_not_started(want: DesiredGuest) -> None:
    plan = look.plan_of(b.desired(want), b.observed(b.template()))

    (made,) = look.actions(plan)
    assert isinstance(made, CloneGuest | CreateGuest)
    assert "hookscript" not in getattr(made, "params", {})
    assert "not started for the first time without hookscript" in look.held(plan).message


def test_a_guest_is_started_when_somebody_has_set_it() -> None:
    want = b.desired_guest(options={"hookscript": HOOK})
    made: list[JournalRecord] = [b.intended(Verb.CREATE), b.finished(verb=Verb.CREATE)]
    bare = b.guest(power=Power.STOPPED, config=has())
    hooked = replace(bare, config=Known(has(hookscript=HOOK)))

    before = look.plan_of(b.desired(want), b.observed(bare), made)
    after = look.plan_of(b.desired(want), b.observed(hooked), made)

    assert look.verbs(before) == ()
    assert look.verbs(after) == ("start",)


def test_what_a_manifest_leaves_to_others_keeps_nobody_from_starting() -> None:
    left = replace(FREE, fields={"hookscript": Consent.IGNORE})
    want = b.desired_guest(options={"hookscript": HOOK}, consents=left)

    assert reserved.start_hold(want, None) is None
    assert reserved.start_hold(replace(want, consents=FREE), None) is not None
    assert reserved.start_hold(replace(want, power=Power.STOPPED, consents=FREE), None) is None
