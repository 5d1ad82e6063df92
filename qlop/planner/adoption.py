"""Decide who becomes ours: on a person's order, and with nothing changed.

A guest is adopted by writing the owner mark into its notes. Before that it is proved that
nothing else would be done to it: it is planned as if it carried the mark already, and if
anything would follow, it is held and the difference shown. ``release`` is the way back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from qlop.model.action import ConfigureGuest
from qlop.model.consent import Consent, Consents
from qlop.model.desired import DesiredGuest, ExistingSource
from qlop.model.guest import GuestKind, OptionValue, Power
from qlop.model.history import EXPECTS_DIGEST, EXPECTS_OWNER, NOBODYS, OURS
from qlop.model.ids import ClusterName, GuestName
from qlop.model.impact import Impact
from qlop.model.observed import GuestConfig, ObservedGuest
from qlop.model.owner import OWN_TAG, OwnerMark, parse_mark, signed_description
from qlop.model.plan import Change, PlanInput, PlannedAction, Premise
from qlop.model.proof import Proof
from qlop.model.reading import Known
from qlop.model.verdict import Held, Hold
from qlop.planner import present
from qlop.planner.config import change_of
from qlop.planner.draft import Draft
from qlop.planner.step import Step, Steps, place_of

NOTES_MAX = 8192
"""Characters that PVE takes as notes (``description`` in its API schema)."""

_PASSING = frozenset(
    {Hold.IS_TEMPLATE, Hold.LOCKED, Hold.NODE_OFFLINE, Hold.POWER_UNKNOWN, Hold.TASK_RUNNING}
)
"""Holds that say nothing about whether the guest is as its manifest says."""

_WAITING = Held(
    reason=Hold.ADOPTION,
    message="it is as its manifest says, and not adopted yet: it is left alone",
    remedy="qlop adopt, with its name or --all",
)
"""The same for all of them: after an import that is one line, and not one for each guest."""

CHANGES_SHOWN = 6
"""So many differences are named in a verdict; ``qlop adopt --dry-run`` shows all."""


def proofs(source: PlanInput) -> Mapping[GuestName, Proof]:
    """Return what it would amount to to adopt each guest that manifests name by VMID.

    Guests that are ours, or are not there, are left out. No order is needed for that.
    """
    draft = Draft(source)
    found: dict[GuestName, Proof] = {}
    for name in sorted(source.desired.guests):
        want = source.desired.guests[name]
        guest = _named(draft, want)
        if guest is not None and place_of(want) not in draft.ownership.owned:
            found[name] = _prove(draft, want, guest)[0]
    return found


def prove(draft: Draft, want: DesiredGuest) -> Proof | None:
    """Return what adopting the guest with the VMID of ``want`` amounts to, None without one.

    ``draft`` is not used for anything else.
    """
    guest = _named(draft, want)
    return _prove(draft, want, guest)[0] if guest is not None else None


def plan_guests(draft: Draft, missing: Iterable[DesiredGuest]) -> list[DesiredGuest]:
    """Note what becomes of guests that are to be adopted; return those that are not.

    One is to be adopted if somebody ordered it, or if its manifest says that it exists.
    """
    wanted = list(missing)
    if all(want.vmid is None for want in wanted):
        return wanted
    scratch = Draft(draft.source)
    left = [want for want in wanted if not _plan_guest(draft, scratch, want)]
    draft.capacity.was_asked |= scratch.capacity.was_asked
    return left


def _plan_guest(draft: Draft, scratch: Draft, want: DesiredGuest) -> bool:
    guest = _named(draft, want)
    is_existing = isinstance(want.source, ExistingSource)
    if guest is None or place_of(want) in draft.ownership.doubled:
        if is_existing and guest is None:
            draft.conclude(want.name, None, _missing(want))
        return is_existing and guest is None
    order = draft.orders.adoptions.get(guest.vmid)
    is_ordered = order is not None and (order.service, order.index) == place_of(want)
    if not is_ordered and not is_existing:
        return False
    proof, step = _prove(scratch, want, guest)
    if step is None:
        assert proof.held is not None, "what is not adopted is held"
        draft.conclude(want.name, guest.vmid, proof.held)
    elif not is_ordered:
        draft.conclude(want.name, guest.vmid, _WAITING)
    else:
        assert order is not None, "it was ordered"
        reason = f"{order.by} ordered to adopt it, and it is as its manifest says"
        steps = Steps(steps=(replace(step, reason=reason),))
        draft.decide(want.name, guest.vmid, place_of(want), steps)
    return True


def changes_owner(planned: PlannedAction) -> bool:
    """Return whether an action writes an owner mark, or takes one away."""
    action = planned.action
    if not isinstance(action, ConfigureGuest) or planned.premise is None:
        return False
    if "description" in action.delete:
        return planned.premise.mark is not None
    written = action.set.get("description")
    return written is not None and parse_mark(written) != planned.premise.mark


def _named(draft: Draft, want: DesiredGuest) -> ObservedGuest | None:
    """Return the guest that exists under the VMID that a manifest names."""
    return draft.source.observed.guests.get(want.vmid) if want.vmid is not None else None


def _prove(draft: Draft, want: DesiredGuest, guest: ObservedGuest) -> tuple[Proof, Step | None]:
    """Return what adopting a guest amounts to, and the step, if there is nothing else to do.

    ``draft`` is not used for anything else.
    """
    proof = Proof(
        name=want.name,
        service=want.service,
        index=want.index,
        vmid=guest.vmid,
        kind=guest.kind,
        node=guest.node,
    )
    held = _identity_hold(draft, want, guest)
    if held is not None:
        return replace(proof, held=held), None
    assert isinstance(guest.config, Known), "an unread configuration is held"
    have = guest.config.value
    ours = _as_if_marked(draft.source.desired.cluster.name, want, guest, have)
    needed = present.needs(draft, _eager(want), replace(guest, config=Known(ours)))
    if not needed.steps and needed.held is None:
        step = _marking(want, guest, have, ours)
        return replace(proof, writes=step.changes), step
    changes = tuple(change for each in needed.steps for change in each.changes)
    reasons = tuple(each.reason for each in needed.steps if not each.changes)
    if needed.held is not None:
        reasons = (*reasons, needed.held.message)
        held = needed.held if needed.held.reason in _PASSING and not needed.steps else None
    if held is None:
        held = _differs(want, guest, [*map(_shown, changes), *reasons])
    return replace(proof, held=held, changes=changes, reasons=reasons), None


def _as_if_marked(
    cluster: ClusterName, want: DesiredGuest, guest: ObservedGuest, have: GuestConfig
) -> GuestConfig:
    """Return the configuration as it will be: with the mark, and our tag if tags are said."""
    mark = OwnerMark(
        cluster=cluster,
        service=want.service,
        index=want.index,
        vmid=guest.vmid,
        witness=have.witness,
    )
    options: dict[str, OptionValue] = dict(have.options)
    options["description"] = signed_description(option_text(have, "description"), mark)
    tags = want.options.get("tags", "")
    if isinstance(tags, str) and OWN_TAG in tags.split(";"):
        there = filter(None, option_text(have, "tags").split(";"))
        options["tags"] = ";".join(sorted({OWN_TAG, *there}))
    return replace(have, options=options, mark=mark)


def _marking(
    want: DesiredGuest, guest: ObservedGuest, have: GuestConfig, ours: GuestConfig
) -> Step:
    assert ours.mark is not None, "it was made with one"
    changes = [change_of("owner mark", "", ours.mark.witness, Impact.NONE)]
    written = {"description": option_text(ours, "description")}
    if option_text(ours, "tags") != option_text(have, "tags"):
        written["tags"] = option_text(ours, "tags")
        changes.append(change_of("tags", option_text(have, "tags"), written["tags"], Impact.NONE))
    return owner_step(
        want.name,
        guest,
        have,
        written=written,
        changes=changes,
        reason="it is as its manifest says",
    )


def owner_step(
    name: GuestName,
    guest: ObservedGuest,
    have: GuestConfig,
    *,
    written: Mapping[str, str],
    changes: Iterable[Change],
    reason: str,
    deleted: tuple[str, ...] = (),
) -> Step:
    """Return the write that makes a guest ours, or nobody's, and changes nothing else."""
    action = ConfigureGuest(
        subject=name,
        vmid=guest.vmid,
        kind=guest.kind,
        node=guest.node,
        digest=have.digest,
        set=written,
        delete=deleted,
    )
    whose = OURS if parse_mark(written.get("description", "")) else NOBODYS
    return Step(
        action=action,
        reason=reason,
        impact=Impact.NONE,
        premise=Premise(mark=have.mark, witness=have.witness),
        takes=(f"node:{guest.node}",),
        expects={EXPECTS_DIGEST: have.digest, EXPECTS_OWNER: whose},
        changes=tuple(changes),
    )


def _identity_hold(draft: Draft, want: DesiredGuest, guest: ObservedGuest) -> Held | None:
    """Return why a guest can't be known well enough to be adopted, or is another's."""
    if not isinstance(guest.config, Known):
        return Held(
            reason=Hold.CONFIG_UNREAD,
            message=f"{_who(guest)} is not adopted: its configuration could not be read",
            remedy="bring its node back, or see that the token may VM.Audit it",
        )
    have = guest.config.value
    if guest.power is Power.UNKNOWN:
        return Held(
            reason=Hold.POWER_UNKNOWN,
            message=f"{_who(guest)} is not adopted: {guest.node} does not say whether it runs",
            remedy="wait for the node's statistics, or look at pvestatd there",
        )
    if guest.power is Power.SUSPENDED:
        return Held(
            reason=Hold.LOCKED,
            message=f"{_who(guest)} is not adopted: it is hibernated, and PVE refuses every"
            " change until it has been started",
            remedy="start it and shut it down in PVE",
        )
    flying = draft.source.history.inflight.values()
    if any(one.intended.vmid == guest.vmid for one in flying):
        return Held(reason=Hold.IN_FLIGHT, message=f"an action on {guest.vmid} has not ended")
    held = _owner_hold(draft, guest, have)
    if held is not None:
        return held
    if not have.witness:
        return unfit(
            f"{_who(guest)} has no SMBIOS UUID: a copy could not be told from it",
            "give it one in PVE (Options, SMBIOS settings), which takes effect with a restart",
        )
    if want.snapshots.keep or want.snapshots.prune:
        return unfit(
            f"{_who(guest)} should have snapshots, which adopting it would take or delete",
            "leave snapshots out of its manifest until it is adopted",
        )
    return _notes_hold(want, guest, have)


def _owner_hold(draft: Draft, guest: ObservedGuest, have: GuestConfig) -> Held | None:
    mark = have.mark
    if mark is None or mark.vmid != guest.vmid or mark.witness != have.witness:
        return None  # None, or that of the guest which this is a copy of.
    owner = f"{mark.service}, guest {mark.index}"
    if mark.cluster != draft.source.desired.cluster.name:
        return unfit(
            f"{_who(guest)} belongs to the qlop of cluster {mark.cluster} ({owner})",
            "release it there, or remove the owner mark (last line) from its notes",
        )
    return unfit(
        f"{_who(guest)} is ours already, as {owner}",
        f"`qlop release {mark.service}`, then adopt it again; or put its manifest back",
    )


def _notes_hold(want: DesiredGuest, guest: ObservedGuest, have: GuestConfig) -> Held | None:
    # Cluster, service, VMID and witness have limits of their own; this is more than they need.
    room = NOTES_MAX - 400
    length = len(option_text(have, "description"))
    if length <= room:
        return None
    return unfit(
        f"{_who(guest)} has notes of {length} characters, and {want.name}'s owner mark needs"
        f" room: PVE takes {NOTES_MAX}",
        f"shorten its notes to {room} characters",
    )


def _eager(want: DesiredGuest) -> DesiredGuest:
    """Return what is wanted with nothing that waits: whatever would ever be done counts."""

    def now(said: Consent) -> Consent:
        return Consent.DO if said in {Consent.ASK, Consent.WINDOW} else said

    said = want.consents
    consents = Consents(
        none=now(said.none),
        hot=now(said.hot),
        reboot=now(said.reboot),
        downtime=now(said.downtime),
        data_loss=now(said.data_loss),
        fields={name: now(one) for name, one in said.fields.items()},
    )
    return replace(want, consents=consents)


def _missing(want: DesiredGuest) -> Held:
    return unfit(
        f"there is no guest {want.vmid}, and its manifest says source.existing:"
        " it is never made anew",
        f"restore it under VMID {want.vmid}, or give the manifest another source",
    )


def _differs(want: DesiredGuest, guest: ObservedGuest, shown: list[str]) -> Held:
    more = len(shown) - CHANGES_SHOWN
    rest = f" and {more} more" if more > 0 else ""
    return unfit(
        f"{_who(guest)} is not as its manifest says, so it is not adopted:"
        f" {'; '.join(shown[:CHANGES_SHOWN])}{rest}",
        f"see `qlop adopt {want.name} --dry-run`; change the manifest, or the guest in PVE",
    )


def unfit(message: str, remedy: str) -> Held:
    """Return the hold of a guest that can't be adopted, or released, as things are."""
    return Held(reason=Hold.ADOPTION, message=message, remedy=remedy)


def _shown(change: Change) -> str:
    return f"{change.field} is {change.old or 'not set'} and should be {change.new or 'not set'}"


def _who(guest: ObservedGuest) -> str:
    kind = "VM" if guest.kind is GuestKind.VM else "container"
    return f"{kind} {guest.vmid} ({guest.name or 'unnamed'}) on {guest.node}"


def option_text(have: GuestConfig, key: str) -> str:
    """Return an option that is a scalar, empty if it is not set."""
    value = have.options.get(key, "")
    assert isinstance(value, str), "neither notes nor tags are a property string"
    return value
