"""Which guests are imported, into which files, and what is refused before that."""

from dataclasses import replace
from pathlib import Path

import pytest

from qlop.cli import import_command, imports
from qlop.cli.importable import Choice
from qlop.cli.imports import Grouping, Import
from qlop.model.folding import fold
from qlop.model.ids import PoolId, VmId
from qlop.model.observed import ObservedGuest
from qlop.model.source import SourceTree
from tests import builders as b
from tests.manifest import trees

NOTHING = SourceTree(root="", files=())


def stranger(
    vmid: int, name: str = "web", *, tags: str = "", pool: str | None = None
) -> ObservedGuest:
    options = {
        "name": name,
        "memory": "2048",
        **({"tags": ";".join(sorted(tags.lower().split(";")))} if tags else {}),
    }
    guest = b.guest(vmid, name=name, pool=pool, config=b.config(options=options))
    return replace(guest, tags=tags)


OLD = stranger(100, "old", tags="Prod;a", pool="lab")
FILES = stranger(101, "files", pool="lab")
MAIL = replace(stranger(102, "mail", tags="prod"), node=b.PVE2)
OURS = b.guest()
FORGED = b.guest(
    104,
    config=b.config(b.mark("db", vmid=104, witness="uuid:old"), witness="uuid:new"),
)


def imported(
    choice: Choice, tree: SourceTree = NOTHING, *, more: tuple[ObservedGuest, ...] = ()
) -> Import:
    return imports.imported(
        tree,
        b.observed(OLD, FILES, MAIL, OURS, *more),
        fold(()),
        choice,
        profiles=(),
        cluster=b.CLUSTER,
    )


@pytest.mark.parametrize(
    ("choice", "vmids"),
    [
        pytest.param(Choice(), [100, 101, 102], id="all-but-ours-and-templates"),
        pytest.param(Choice(vmids=frozenset({VmId(101)})), [101], id="by-vmid"),
        pytest.param(Choice(pools=frozenset({PoolId("lab")})), [100, 101], id="by-pool"),
        pytest.param(Choice(tags=frozenset({"prod"})), [100, 102], id="by-tag"),
        pytest.param(Choice(nodes=frozenset({b.PVE2})), [102], id="by-node"),
        pytest.param(
            Choice(nodes=frozenset({b.PVE1}), tags=frozenset({"prod"})), [100], id="by-both"
        ),
        pytest.param(Choice(vmids=frozenset({OURS.vmid})), [], id="ours-never"),
    ],
)
def test_guests_are_chosen(choice: Choice, vmids: list[int]) -> None:
    found = imported(choice)

    assert [one.guest.vmid for one in found.manifests] == vmids
    assert all(proof.fits for proof in found.proofs.values())
    assert len(found.proofs) == len(vmids)


def test_without_a_cluster_one_is_written_and_with_one_not() -> None:
    assert "kind: Cluster" in imported(Choice()).cluster
    assert imported(Choice(), trees.tree(trees.CLUSTER)).cluster == ""


def test_who_has_a_manifest_or_a_mark_that_is_not_its_own_is_left_out() -> None:
    manifest = trees.service(trees.VM + "vmid: 100\n", name="old")
    tree = trees.tree(trees.CLUSTER, manifest)

    found = imported(Choice(), tree, more=(FORGED,))

    assert {one.guest.vmid: one.why for one in found.skipped} == {
        100: "it has a manifest already: old asks for its VMID",
        104: "it carries the mark of a guest of ours that had another UUID or MAC",
    }


@pytest.mark.parametrize(
    ("grouping", "files"),
    [
        (Grouping.GUEST, {"cluster.yaml", "old.yaml", "files.yaml", "mail.yaml"}),
        (Grouping.POOL, {"cluster.yaml", "pool-lab.yaml", "pool-none.yaml"}),
        (Grouping.NODE, {"cluster.yaml", "node-pve1.yaml", "node-pve2.yaml"}),
    ],
)
def test_files_hold_one_guest_or_those_of_a_pool_or_node(
    grouping: Grouping, files: set[str]
) -> None:
    texts = imports.files_of(imported(Choice()), grouping)

    assert {str(path) for path in texts} == files
    assert sum(text.count("kind: Service") for text in texts.values()) == 3


def test_nothing_is_overwritten_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("mine")
    texts = {Path("a.yaml"): "new", Path("b.yaml"): "new"}

    assert not import_command.written(tmp_path, texts, force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]
    assert import_command.written(tmp_path, texts, force=True)
    assert (tmp_path / "a.yaml").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "b.yaml"]


def test_broken_manifests_and_unknown_profiles_are_refused() -> None:
    broken = trees.tree(trees.CLUSTER, trees.service("type: vm\n"))

    assert import_command.unusable(NOTHING, ()) == ()
    assert import_command.unusable(broken, ())
    (unknown,) = import_command.unusable(trees.tree(trees.CLUSTER), ["linux"])
    assert unknown.message == "there is no Profile linux"


def test_a_directory_that_is_not_there_or_empty_has_no_manifests(tmp_path: Path) -> None:
    assert import_command.present_tree(tmp_path / "absent").files == ()
    assert import_command.present_tree(tmp_path).files == ()
    assert import_command.present_tree(tmp_path).findings == ()
