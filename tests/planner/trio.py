"""A service of three replicas, and what may be seen and remembered of them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from qlop.model.action import Verb
from qlop.model.desired import Desired, DesiredGuest
from qlop.model.folding import fold
from qlop.model.guest import Power
from qlop.model.health import Check, Condition, Health, TcpCheck
from qlop.model.history import Dispatched, Ending, Finished, History, JournalRecord
from qlop.model.ids import ActionId, GuestName, ServiceName, VmId
from qlop.model.impact import Impact
from qlop.model.observed import Observed, ObservedGuest, ObservedSnapshot
from qlop.model.plan import Plan
from qlop.model.policy import Budget, Fuse, Policy
from qlop.model.reading import Known
from qlop.model.rollout import Rollback, RollbackMode, Update
from qlop.model.trial import Judged, Judgment, Part
from tests import builders as b
from tests.planner import look

LOOSE = Policy(fuse=Fuse(guests=100))
CHECK = TcpCheck(port=80)
AUTO = Rollback(mode=RollbackMode.AUTO, watch=timedelta(minutes=5))
FINGERPRINT = "cafe0001"
LATER = b.NOW + timedelta(minutes=1)


def vmid(index: int) -> VmId:
    return VmId(10000 + index)


def want(index: int, **more: object) -> DesiredGuest:
    """Replica ``web-N``, which should have four cores."""
    guest = b.desired_guest(
        index=index, name=f"web-{index}", options={"cores": "4"}, consents=b.WILLING
    )
    return replace(guest, **more)  # type: ignore[arg-type]  # fields of the guest


def desired(
    *wants: DesiredGuest,
    update: Update | None = None,
    checks: tuple[Check, ...] = (CHECK,),
    rollback: Rollback | None = None,
    fingerprint: str = FINGERPRINT,
    budget: Budget | None = None,
) -> Desired:
    """The three of them, one step at a time, unless told otherwise."""
    policy = replace(LOOSE, budget=budget or Budget())
    found = b.desired(*(wants or tuple(want(n) for n in (1, 2, 3))), policy=policy)
    services = {
        name: replace(
            service,
            update=update or Update(),
            checks=checks,
            rollback=rollback or Rollback(),
            fingerprint=fingerprint,
        )
        for name, service in found.services.items()
    }
    return replace(found, services=services)


def guest(index: int, cores: str = "2", **more: object) -> ObservedGuest:
    """What there is of ``web-N``: it has two cores, and runs."""
    pending = more.pop("pending", ())
    snapshots = more.pop("snapshots", ())
    assert isinstance(pending, tuple)
    config = b.config(
        b.mark("web", index, vmid(index)),
        options={"cores": cores},
        disks=[b.disk(volume=f"local-lvm:vm-{vmid(index)}-disk-0")],
        pending=pending,
    )
    found = b.guest(vmid(index), config=config, name=f"web-{index}")
    return replace(found, snapshots=Known(snapshots), **more)  # type: ignore[arg-type]  # fields


def healths(**conditions: Condition) -> Mapping[VmId, Health]:
    """What is known of some (``web1=Condition.UNHEALTHY``); the others are healthy."""
    found = {vmid(n): health(Condition.HEALTHY) for n in (1, 2, 3)}
    return found | {vmid(int(name[-1])): health(one) for name, one in conditions.items()}


def health(condition: Condition, since: datetime = b.NOW) -> Health:
    message = "" if condition is Condition.HEALTHY else f"it is {condition.value}"
    return Health(condition=condition, since=since, message=message)


def observed(*guests: ObservedGuest, **conditions: Condition) -> Observed:
    return replace(b.observed(*guests), health=healths(**conditions))


def ended(
    verb: Verb,
    index: int = 1,
    *,
    at: datetime = b.NOW,
    part: Part = Part.NONE,
    before: Mapping[str, str] | None = None,
    succeeded: bool = True,
    fingerprint: str = FINGERPRINT,
    snapshot: str = "",
) -> tuple[JournalRecord, ...]:
    """An action that PVE took and that ended at ``at``."""
    action = ActionId(f"web-{index}/{verb.value}/{at:%H%M%S}")
    record = replace(
        b.intended(
            verb,
            index=index,
            vmid=vmid(index),
            action=action,
            at=at,
            expects={"snapshot": snapshot} if snapshot else {},
        ),
        subject=GuestName(f"web-{index}"),
        impact=Impact.REBOOT,
        part=part,
        before=dict(before or {}),
        fingerprint=fingerprint,
    )
    ending = Ending.SUCCEEDED if succeeded else Ending.FAILED
    return (
        record,
        Dispatched(at=at, action=action, attempt=1, upid=None),
        Finished(at=at, action=action, attempt=1, ending=ending, message="" if succeeded else "x"),
    )


def tried(
    index: int = 1,
    *,
    at: datetime = b.NOW,
    before: Mapping[str, str] | None = None,
    succeeded: bool = True,
    fingerprint: str = FINGERPRINT,
) -> tuple[JournalRecord, ...]:
    """A trial of four cores that was written, snapshotted, and applied at ``at``."""
    was = {"cores": "2"} if before is None else before
    name = f"qlop-{fingerprint}"
    early = at - timedelta(seconds=20)
    return (
        *ended(
            Verb.CONFIGURE, index, at=early, part=Part.WRITE, before=was, fingerprint=fingerprint
        ),
        *ended(
            Verb.SNAPSHOT,
            index,
            at=early,
            part=Part.SNAPSHOT,
            snapshot=name,
            fingerprint=fingerprint,
        ),
        *ended(
            Verb.REBOOT,
            index,
            at=at,
            part=Part.APPLY,
            succeeded=succeeded,
            fingerprint=fingerprint,
        ),
    )


def judged(
    judgment: Judgment, index: int = 1, *, at: datetime = b.NOW, fingerprint: str = FINGERPRINT
) -> Judged:
    return Judged(
        at=at,
        subject=GuestName(f"web-{index}"),
        service=ServiceName("web"),
        index=index,
        fingerprint=fingerprint,
        judgment=judgment,
        reason="it is unhealthy",
    )


def snapshot(name: str = f"qlop-{FINGERPRINT}", **more: object) -> ObservedSnapshot:
    taken = ObservedSnapshot(name=name, taken_at=b.NOW, ours=True, with_memory=False)
    return replace(taken, **more)  # type: ignore[arg-type]  # fields of the snapshot


def plan(
    want: Desired,
    have: Observed,
    history: History | Iterable[JournalRecord] = (),
    now: datetime = b.NOW,
) -> Plan:
    """Plan at ``now``, and insist that the audit finds nothing."""
    folded = history if isinstance(history, History) else fold(history)
    return look.audited(b.plan_input(want, have, folded, now))


def stopped(index: int) -> ObservedGuest:
    return guest(index, power=Power.STOPPED)
