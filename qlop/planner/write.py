"""Turn differences of configuration into actions: one write, then what needs its own."""

from collections.abc import Iterable

from qlop.model.action import AssignPool, ConfigureGuest
from qlop.model.desired import DesiredGuest
from qlop.model.device import nic_text
from qlop.model.guest import GuestKind
from qlop.model.history import EXPECTS_CLOUD_INIT, EXPECTS_DIGEST, EXPECTS_SEAL, History
from qlop.model.ids import NodeName, VmId
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.option import is_met
from qlop.model.reading import Known
from qlop.model.units import format_size
from qlop.planner import config, growth, reserved
from qlop.planner.step import Step, premise_of


def steps_for(
    want: DesiredGuest,
    guest: ObservedGuest,
    have: GuestConfig,
    found: config.Difference,
    history: History,
    *,
    digest: str,
) -> tuple[Step, ...]:
    """Return the writes that remove a difference: each disk that grows, then the options.

    A disk's options may have to wait for a reboot, and then say how large it is: what is
    written must be the size it has by then. Whose the guest is comes before all else.

    ``digest`` is that of the configuration as the first of them finds it, empty if
    something is written before.
    """
    premise = premise_of(have)
    steps: list[Step] = []
    if not found.seals:
        steps += growth.steps(want, guest, have, found, history, digest=digest)
    if found.set or found.delete:
        expects = {EXPECTS_DIGEST: have.digest}
        if found.seals:
            expects[EXPECTS_SEAL] = found.witness
        if want.kind is GuestKind.VM and _feeds_cloud_init(found):
            expects[EXPECTS_CLOUD_INIT] = "changed"
        configure = ConfigureGuest(
            subject=want.name,
            vmid=guest.vmid,
            kind=want.kind,
            node=guest.node,
            digest="" if steps else digest,
            set=found.set,
            delete=tuple(found.delete),
        )
        steps.append(
            Step(
                action=configure,
                reason=_reason(found),
                impact=found.impact,
                premise=premise,
                takes=(f"node:{guest.node}",),
                expects=expects,
                changes=tuple(found.changes),
                disrupts=found.impact >= Impact.DOWNTIME,
            )
        )
    if found.seals:
        steps += growth.steps(want, guest, have, found, history, digest="")
    return tuple(steps)


def pool_step(want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Step | None:
    """Return what puts the guest into its pool, None if it is there or none is wanted."""
    if want.pool is None or want.pool == guest.pool:
        return None
    action = AssignPool(
        subject=want.name, vmid=guest.vmid, kind=want.kind, node=guest.node, pool=want.pool
    )
    return Step(
        action=action,
        reason=f"it belongs into pool {want.pool}",
        impact=Impact.NONE,
        premise=premise_of(have),
        changes=(config.change_of("pool", guest.pool or "", want.pool, Impact.NONE),),
    )


def projected_after_clone(
    want: DesiredGuest, vmid: VmId, node: NodeName, template: ObservedGuest
) -> tuple[Step, ...]:
    """Return the writes that will follow a clone of ``template``, as far as can be said.

    They are shown, not carried out: once the clone is there, the next plan compares it
    as it really is.
    """
    if not isinstance(template.config, Known):
        return ()
    have = template.config.value
    found = config.Difference(seals=True)
    for key, value in want.options.items():
        if key not in {"name", "hostname", "description"}:
            config.compare_option(found, want.kind, key, value, have, running=False)
    for disk in want.disks:
        config.compare_disk(found, want, disk, have, running=False)
    for nic in want.nics:
        existing = have.nics.get(nic.slot)
        if existing is None or not is_met(
            want.kind, nic.slot, nic.properties, existing.properties
        ):
            merged = {**(existing.properties if existing else {}), **nic.properties}
            old = nic_text(want.kind, "", existing.properties) if existing else ""
            new = nic_text(want.kind, nic.mac or "", merged)
            found.write(nic.slot, new, config.change_of(nic.slot, old, new, Impact.NONE))
    reserved.leave_out(found, want, have)
    steps: list[Step] = []
    if found.set:
        action = ConfigureGuest(
            subject=want.name, vmid=vmid, kind=want.kind, node=node, digest="", set=found.set
        )
        steps.append(
            Step(
                action=action,
                reason="it differs from its template",
                impact=Impact.NONE,
                changes=tuple(found.changes),
            )
        )
    for slot, size_bytes, change in found.grow:
        steps.append(
            Step(
                action=growth.resize(want, vmid, node, slot, size_bytes),
                reason=f"{slot} should be {format_size(size_bytes)}",
                impact=Impact.NONE,
                changes=(change,),
            )
        )
    return tuple(steps)


def _feeds_cloud_init(found: config.Difference) -> bool:
    return any(config.is_cloud_init(key) for key in (*found.set, *found.delete))


def _reason(found: config.Difference) -> str:
    names: Iterable[str] = (change.field for change in found.changes)
    return f"drift in {', '.join(names)}"
