"""Make journal records in which everything but the point is the same."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from qlop.model.action import Verb
from qlop.model.guest import GuestKind
from qlop.model.history import Dispatched, Ending, Finished, Intended, Reprieve, Tombstone
from qlop.model.ids import ActionId, CycleId, GuestName, NodeName, ServiceName, Upid, VmId

START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def intended(
    minute: float,
    verb: Verb = Verb.START,
    *,
    subject: str = "simrs-1",
    index: int = 1,
    attempt: int = 1,
    fingerprint: str = "a1",
    expects: Mapping[str, str] | None = None,
) -> Intended:
    return Intended(
        at=at(minute),
        cycle=CycleId("c1"),
        action=ActionId(f"{subject}/{verb.value}/{fingerprint}"),
        attempt=attempt,
        verb=verb,
        subject=GuestName(subject),
        service=ServiceName("simrs"),
        index=index,
        vmid=VmId(10000 + index),
        kind=GuestKind.VM,
        node=NodeName("pve1"),
        target=NodeName("pve2"),
        reason="it should run",
        summary=f"{verb.value} {subject}",
        witness="uuid:11111111-2222-5333-8444-555555555555",
        source=VmId(9000),
        expects=expects or {},
        takes=("node:pve1",),
    )


def dispatched(
    minute: float, of: Intended, upid: str | None = "UPID:pve1:1:2:3:x:1:r:"
) -> Dispatched:
    return Dispatched(
        at=at(minute),
        action=of.action,
        attempt=of.attempt,
        upid=None if upid is None else Upid(upid),
    )


def finished(
    minute: float, of: Intended, ending: Ending = Ending.SUCCEEDED, error: str = ""
) -> Finished:
    return Finished(
        at=at(minute),
        action=of.action,
        attempt=of.attempt,
        ending=ending,
        error=error,
        message="said PVE" if error else "",
    )


def tombstone(minute: float, index: int = 1) -> Tombstone:
    return Tombstone(
        at=at(minute),
        service=ServiceName("simrs"),
        index=index,
        vmid=VmId(10000 + index),
        name=GuestName(f"simrs-{index}"),
        witness="uuid:11111111-2222-5333-8444-555555555555",
        digest="d1",
    )


def reprieve(minute: float, index: int = 1) -> Reprieve:
    return Reprieve(
        at=at(minute),
        service=ServiceName("simrs"),
        index=index,
        vmid=VmId(10000 + index),
        name=GuestName(f"simrs-{index}"),
        reason="a manifest names it again",
    )
