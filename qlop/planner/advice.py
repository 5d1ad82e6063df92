"""Tell whose manifest asks for a taken VMID that it may mean the guest that has it."""

from collections.abc import Iterable
from dataclasses import replace

from qlop.model.desired import DesiredGuest
from qlop.model.proof import Proof
from qlop.model.verdict import Held, Hold
from qlop.planner import adoption
from qlop.planner.draft import Draft


def suggest_adoption(draft: Draft, missing: Iterable[DesiredGuest]) -> None:
    """Amend the holds of guests whose VMID one has that could be adopted in their name.

    Of one that is as the manifest says, the order is named; of one that differs and is of
    the same kind, how to see in what. Others could not be adopted, and nothing is said.
    """
    scratch: Draft | None = None
    for want in missing:
        held = draft.verdicts[want.name].verdict
        if not isinstance(held, Held) or held.reason is not Hold.NOT_OURS or want.vmid is None:
            continue
        scratch = scratch or Draft(draft.source)
        proof = adoption.prove(scratch, want)
        if proof is None or proof.kind is not want.kind or _is_template(draft, proof):
            continue
        if proof.fits:
            order = f"qlop adopt {want.name}"
        elif proof.changes or proof.reasons:
            order = f"qlop adopt {want.name} --dry-run"
        else:
            continue
        advised = f"if it is this very guest, `{order}`; or {held.remedy}"
        draft.advise(want.name, replace(held, remedy=advised))


def _is_template(draft: Draft, proof: Proof) -> bool:
    return draft.source.observed.guests[proof.vmid].template
