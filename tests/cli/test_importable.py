"""Who can't be imported now, and what is said of each: every reason has a sentence."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.cli import importable
from qlop.cli.importable import Choice
from qlop.manifest.load import load
from qlop.model.action import Verb
from qlop.model.folding import fold
from qlop.model.history import Dispatched, History, JournalRecord
from qlop.model.ids import NodeName, PoolId, Upid, VmId
from qlop.model.observed import Observed, ObservedGuest, ObservedTask
from qlop.model.reading import Absent, Known, Unknown
from qlop.model.unseen import as_seen
from tests import builders as b
from tests.manifest import trees

NONE = b.config(options={"memory": "512"})
OLD = b.guest(100, name="old", config=NONE)
ALL = Choice()
UPID = Upid("UPID:pve1:00000001:00000001:00000001:qmigrate:100:root@pam:")


def skipped(
    guest: ObservedGuest,
    *,
    tasks: tuple[ObservedTask, ...] = (),
    history: History | None = None,
    choice: Choice = ALL,
    manifests: tuple[str, ...] = (trees.CLUSTER,),
) -> tuple[list[VmId], dict[VmId, str]]:
    """Who is imported, and who is not and why, if ``guest`` is all there is."""
    seen = b.observed(guest, tasks=tasks)
    loaded = load(trees.tree(*manifests))
    wanted, left = importable.sort_out(loaded, seen, history or fold(()), choice)
    return [one.vmid for one in wanted], {one.guest.vmid: one.why for one in left}


def task(verb: str, *, exit_status: str = "") -> ObservedTask:
    return ObservedTask(
        upid=UPID,
        node=b.PVE1,
        verb=verb,
        vmid=VmId(100),
        user="ana@pve",
        started_at=b.NOW,
        exit_status=exit_status,
    )


def fold_of(*records: JournalRecord) -> History:
    return fold(records)


BEGUN = b.intended(Verb.CLONE, service="old", vmid=100, source=b.TEMPLATE)
SENT = Dispatched(at=b.NOW, action=BEGUN.action, attempt=1, upid=UPID)


@pytest.mark.parametrize(
    ("guest", "tasks", "why"),
    [
        pytest.param(
            replace(OLD, lock="migrate"),
            (task("qmigrate"),),
            "PVE holds it locked (migrate): ana@pve runs qmigrate on it; import it when that has"
            " ended",
            id="a-migration",
        ),
        pytest.param(
            replace(OLD, lock="clone"),
            (),
            "PVE holds it locked (clone), and no task that works on it is to be seen; if none"
            " does: `qm unlock 100` on pve1",
            id="a-clone-of-which-no-task-is-seen",
        ),
        pytest.param(
            OLD,
            (task("qmmove"),),
            "ana@pve runs qmmove on it; import it when that has ended",
            id="a-disk-that-is-moved",
        ),
        pytest.param(
            replace(OLD, config=Unknown("no answer in 5s")),
            (),
            "its configuration could not be read: no answer in 5s",
            id="an-unread-configuration",
        ),
        pytest.param(
            replace(OLD, config=Unknown("no answer"), node=NodeName("pve9")),
            (),
            "its configuration could not be read: pve9 is offline",
            id="a-node-that-is-off",
        ),
        pytest.param(
            replace(OLD, config=Absent()),
            (),
            "PVE lists it and has no configuration of it",
            id="a-guest-that-just-went",
        ),
    ],
)
def test_what_pve_does_to_a_guest_keeps_it_from_being_imported(
    guest: ObservedGuest, tasks: tuple[ObservedTask, ...], why: str
) -> None:
    assert skipped(guest, tasks=tasks) == ([], {VmId(100): why})


@pytest.mark.parametrize(
    ("guest", "tasks"),
    [
        pytest.param(replace(OLD, lock="backup"), (task("vzdump"),), id="a-backup"),
        pytest.param(replace(OLD, lock="suspended"), (), id="hibernated"),
        pytest.param(OLD, (task("vncproxy"),), id="a-console"),
        pytest.param(OLD, (task("qmmove", exit_status="OK"),), id="a-task-that-has-ended"),
    ],
)
def test_what_leaves_the_configuration_alone_does_not(
    guest: ObservedGuest, tasks: tuple[ObservedTask, ...]
) -> None:
    assert skipped(guest, tasks=tasks) == ([VmId(100)], {})


def test_a_guest_that_qlop_is_making_is_not_imported() -> None:
    wanted, why = skipped(OLD, history=fold_of(BEGUN, SENT))

    assert wanted == []
    assert why[VmId(100)].startswith("qlop's own clone of it has not been seen to its end")


def test_a_guest_that_qlop_made_and_has_not_marked_is_not_imported() -> None:
    ended = b.finished(Verb.CLONE, service="old", at=b.NOW)

    wanted, why = skipped(OLD, history=fold_of(BEGUN, SENT, ended))

    assert (wanted, why) == ([], {VmId(100): "qlop made it for old, and has not marked it yet"})


def test_what_a_creation_left_that_broke_off_is_not_imported() -> None:
    ended = b.finished(Verb.CLONE, service="old", at=b.NOW, succeeded=False)

    wanted, why = skipped(replace(OLD, lock="clone"), history=fold_of(BEGUN, SENT, ended))

    assert wanted == []
    assert why == {VmId(100): "it is what qlop's clone of old left when it broke off"}


def test_an_action_that_ended_after_the_look_began_counts_as_one_that_runs() -> None:
    begun = b.intended(Verb.CONFIGURE, service="old", vmid=100)
    ended = b.finished(Verb.CONFIGURE, service="old", at=b.NOW + timedelta(seconds=3))
    history = fold_of(begun, ended)

    assert skipped(OLD, history=history) == ([VmId(100)], {})
    late, why = skipped(OLD, history=as_seen(history, b.NOW))
    assert late == []
    assert why[VmId(100)].startswith("qlop's own configure of it has not been seen")


def test_of_ours_and_of_templates_only_those_that_were_asked_for_are_told() -> None:
    by_name = Choice(vmids=frozenset({b.guest().vmid, VmId(b.TEMPLATE)}))

    assert skipped(b.guest()) == ([], {})
    wanted, why = skipped(b.guest(), choice=by_name)
    assert wanted == []
    assert why == {
        b.guest().vmid: "it is ours already: guest 1 of web",
        VmId(b.TEMPLATE): "it is a template: a manifest names it as a source",
    }


def test_the_two_guests_of_a_replacement_are_ours() -> None:
    old = replace(b.mark(vmid=10_000), generation=1, yields="template debian-13-cloud")
    new = replace(b.mark(vmid=10_001), generation=2)
    pair = [b.guest(one.vmid, config=b.config(one)) for one in (old, new)]
    seen = b.observed(*pair)

    loaded = load(trees.tree(trees.CLUSTER))
    wanted, left = importable.sort_out(loaded, seen, fold(()), ALL)
    assert ([*wanted], [*left]) == ([], [])


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        pytest.param(b.observed(OLD), "", id="whole"),
        pytest.param(
            b.observed(OLD, complete=False), "the cluster could not be seen whole", id="partial"
        ),
        pytest.param(
            b.observed(OLD, complete=False, quorate=Known(False)),
            "the node that answered is in no quorate cluster: what it shows may be old",
            id="without-quorum",
        ),
    ],
)
def test_nothing_is_written_from_a_view_that_is_not_whole(seen: Observed, problem: str) -> None:
    assert importable.blind(seen) == problem


def test_what_was_asked_for_and_is_not_there_is_named() -> None:
    choice = Choice(
        vmids=frozenset({VmId(100), VmId(777)}),
        nodes=frozenset({b.PVE1, NodeName("pve9")}),
        pools=frozenset({PoolId("lab")}),
        tags=frozenset({"qlop", "prod"}),
    )

    assert importable.unmet(choice, b.observed(OLD)) == (
        "no guest has VMID 777",
        "there is no node pve9: there are pve1, pve2, pve3",
        "no guest is in a pool lab",
        "no guest has a tag prod",
    )
