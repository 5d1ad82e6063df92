"""A mark survives whatever people and PVE do to the notes around it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlop.model.guest import GuestKind
from qlop.model.ids import ClusterName, ServiceName, VmId
from qlop.model.option import canonical
from qlop.model.owner import (
    OPEN_WITNESS,
    OwnerMark,
    derived_mac,
    derived_uuid,
    mark_text,
    parse_mark,
    signed_description,
    strip_mark,
)
from tests import builders as b

LINE = f"qlop/v1 cluster=testland service=web index=1 vmid=10000 witness={b.mark().witness}"
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
MARKS = st.builds(
    OwnerMark,
    cluster=NAMES.map(ClusterName),
    service=NAMES.map(ServiceName),
    index=st.integers(1, 1000),
    vmid=st.integers(100, 999_999_999).map(VmId),
    witness=st.sampled_from(
        [OPEN_WITNESS, "mac:02:00:00:00:00:01", "volume:zfs:subvol-1-disk-0", "uuid:1-2-5"]
    ),
)


def test_text() -> None:
    assert mark_text(b.mark()) == LINE


@pytest.mark.parametrize(
    ("notes", "mark"),
    [
        pytest.param(LINE, b.mark(), id="alone"),
        pytest.param(f"# Web\n\nhello\n\n{LINE}", b.mark(), id="at-the-end"),
        pytest.param(f"{LINE}\nhello", b.mark(), id="at-the-top"),
        pytest.param(f"{mark_text(b.mark(vmid=7))}\n{LINE}", b.mark(), id="the-last-counts"),
        pytest.param("", None, id="nothing"),
        pytest.param(f"see {LINE}", None, id="not-a-line-of-its-own"),
        pytest.param(f"{LINE} x", None, id="with-something-behind-it"),
        pytest.param(LINE.replace("v1", "v2"), None, id="of-another-version"),
        pytest.param(LINE.replace("vmid=10000", "vmid=x"), None, id="without-a-number"),
    ],
)
def test_read(notes: str, mark: OwnerMark | None) -> None:
    assert parse_mark(notes) == mark


@given(MARKS, st.text())
def test_what_is_signed_reads_back_through_pve(mark: OwnerMark, text: str) -> None:
    stored = canonical(GuestKind.VM, "description", signed_description(text, mark) + "\n")

    assert isinstance(stored, str)
    assert parse_mark(stored) == mark


@given(MARKS, MARKS, st.text())
def test_signing_again_changes_nothing(mark: OwnerMark, former: OwnerMark, text: str) -> None:
    signed = signed_description(text, mark)

    assert signed_description(signed, mark) == signed
    assert signed_description(strip_mark(signed_description(text, former)), mark) == signed


@given(MARKS)
def test_identity_is_derived_and_looks_as_it_should(mark: OwnerMark) -> None:
    place = (mark.cluster, mark.service, mark.index, mark.vmid)

    uuid, mac = derived_uuid(*place), derived_mac(*place, "net0")

    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", uuid
    )
    assert re.fullmatch(r"02(:[0-9A-F]{2}){5}", mac)
    assert (derived_uuid(*place), derived_mac(*place, "net0")) == (uuid, mac)


def test_each_place_has_an_identity_of_its_own() -> None:
    places = [
        (ClusterName(cluster), ServiceName(service), index, VmId(vmid))
        for cluster in ("a", "b")
        for service in ("x", "y")
        for index in (1, 2)
        for vmid in (100, 101)
    ]

    assert len({derived_uuid(*place) for place in places}) == len(places)
    macs = {derived_mac(*place, slot) for place in places for slot in ("net0", "net1")}
    assert len(macs) == 2 * len(places)


def test_a_derived_identity_never_changes() -> None:
    """A guest made by an older qlop must still be known by this one."""
    place = (ClusterName("testland"), ServiceName("web"), 1, VmId(10000))

    assert derived_uuid(*place) == "5a49b579-c0c0-516a-93c1-9539b0b3f8ae"
    assert derived_mac(*place, "net0") == "02:DD:AE:29:2A:B6"
