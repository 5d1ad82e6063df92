"""Whom ``adopt`` and ``release`` mean, what is let through, and what they say."""

from dataclasses import dataclass, field, replace

import pytest

from qlop.cli import adopt
from qlop.cli.adopting import Only
from qlop.model.action import ConfigureGuest
from qlop.model.folding import fold
from qlop.model.guest import GuestKind
from qlop.model.ids import ActionId, CycleId, GuestName, ServiceName, VmId
from qlop.model.impact import Impact
from qlop.model.owner import OwnerMark, mark_text
from qlop.model.plan import Change, Plan, PlannedAction, Premise
from qlop.model.policy import Limits
from qlop.model.proof import Proof
from qlop.model.verdict import Held, Hold
from qlop.render.line import plain
from qlop.render.proof import proof_document, proof_lines
from tests import builders as b
from tests.cli.scripts import result, subject

MARK = b.mark(vmid=100, witness="uuid:1")
WRITES = (Change(field="owner mark", old="", new="uuid:1", impact=Impact.NONE),)
FITS = Proof(
    name=GuestName("web-1"),
    service=ServiceName("web"),
    index=1,
    vmid=VmId(100),
    kind=GuestKind.VM,
    node=b.PVE1,
    writes=WRITES,
)
DIFFERS = replace(
    FITS,
    name=GuestName("files"),
    service=ServiceName("files"),
    vmid=VmId(101),
    kind=GuestKind.CONTAINER,
    writes=(),
    held=Held(reason=Hold.ADOPTION, message="it differs", remedy="change the manifest"),
    changes=(Change(field="cores", old="2", new="4", impact=Impact.HOT),),
    reasons=("it is running and should be stopped",),
)
READ = replace(
    DIFFERS, held=Held(reason=Hold.CONFIG_UNREAD, message="not read"), changes=(), reasons=()
)
PROOFS = {one.name: one for one in (FITS, DIFFERS)}


@pytest.mark.parametrize(
    ("names", "chosen", "unknown"),
    [
        ([], [FITS, DIFFERS], []),
        (["web-1"], [FITS], []),
        (["web"], [FITS], []),
        (["101"], [DIFFERS], []),
        (["web-1", "mail"], [FITS], ["mail"]),
    ],
)
def test_names_mean_guests_services_and_vmids(
    names: list[str], chosen: list[Proof], unknown: list[str]
) -> None:
    assert adopt.chosen_proofs(PROOFS, names) == (chosen, unknown)


def test_a_proof_is_shown_with_what_is_written_or_what_differs() -> None:
    assert plain(proof_lines([FITS, DIFFERS, READ])) == (
        "web-1: VM 100 on pve1 fits its manifest\n"
        "    +  owner mark  uuid:1  no impact\n"
        "files: container 101 on pve1 is not adopted\n"
        "    ~  cores  2 -> 4  hot\n"
        "    it is running and should be stopped\n"
        "    remedy: change the manifest\n"
        "files: container 101 on pve1 is not adopted\n"
        "    not read\n"
    )
    assert proof_document(FITS)["fits"] is True


def planned(premise: OwnerMark | None, vmid: int = 100, **write: str) -> PlannedAction:
    action = ConfigureGuest(
        subject=GuestName("web"),
        vmid=VmId(vmid),
        kind=GuestKind.VM,
        node=b.PVE1,
        digest="d",
        set=write,
        delete=() if write else ("description",),
    )
    return PlannedAction(
        id=ActionId(f"web/configure/{vmid}"),
        action=action,
        reason="",
        impact=Impact.NONE,
        service=b.WEB,
        index=1,
        premise=Premise(mark=premise, witness="uuid:1"),
    )


@dataclass(slots=True)
class Executor:
    started: list[PlannedAction] = field(default_factory=list)
    ends: int = 0
    trouble: str = ""

    def start(
        self, plan: Plan, *, cycle: CycleId, seen: int, limits: Limits
    ) -> tuple[ActionId, ...]:
        del cycle, seen, limits
        self.started += plan.actions
        return tuple(one.id for one in plan.actions)

    def note(self, notices: object) -> None:
        raise AssertionError(notices)

    def settle(self, *_: object, **__: object) -> bool:
        return True


SIGN = planned(None, description=mark_text(MARK))
UNSIGN = planned(MARK)
REWRITE = planned(MARK, description=f"New notes.\n\n{mark_text(MARK)}")
OPTION = planned(MARK, cores="4")
OTHER = planned(None, vmid=999, description=mark_text(MARK))


def test_only_what_signs_the_chosen_guests_is_let_through() -> None:
    behind = Executor()
    only = Only(behind=behind, vmids=frozenset({VmId(100)}))
    plan = Plan(
        revision=b.desired().revision, actions=(SIGN, UNSIGN, REWRITE, OPTION, OTHER), verdicts={}
    )

    only.start(plan, cycle=CycleId("c"), seen=0, limits=Limits())
    only.note(())

    assert behind.started == [SIGN, UNSIGN]


def test_who_is_ours_is_known_by_name_though_no_manifest_names_it() -> None:
    orphan = b.guest(100, config=b.config(b.mark("old", 2, vmid=100)))
    source = b.plan_input(b.desired(b.desired_guest()), b.observed(b.guest(), orphan), fold(()))
    seen = replace(result(), source=source)

    found = {one.name: (one.vmid, one.is_unbound) for one in adopt.owned_by(seen)}

    assert found == {"old-2": (100, False), "web": (b.WEB_VMID, True)}
    assert adopt.owned_by(None) == []


def test_the_outcome_says_who_is_ours_and_why_the_rest_is_not() -> None:
    held = subject(Held(reason=Hold.FROZEN, message="siti froze everything"), name="web")

    lines = adopt.outcome_lines("adopted", ["files"], ["web", "mail"], result(held))

    assert plain(lines) == (
        "adopted: files\n"
        "not adopted yet: web: siti froze everything\n"
        "not adopted yet: mail: the order stands; `qlop status` shows it\n"
    )
