"""No evidence: manifests cut, emptied or unreadable destroy nothing.

Whatever is left of the files, either they are whole, or the last good ones stay in force.
"""

from hypothesis import given
from hypothesis import strategies as st

from qlop.controller.manifests import Manifests
from qlop.model.finding import Finding, Severity
from qlop.model.source import SourceFile, SourceTree

CLUSTER = """\
apiVersion: qlop/v1
kind: Cluster
metadata:
  name: hospital
spec:
  nodes: [pve1, pve2]
  policy:
    prune: destroy
"""
SERVICE = """\
apiVersion: qlop/v1
kind: Service
metadata:
  name: {name}
spec:
  type: vm
  replicas: 2
  source: {{clone: {{template: 9000}}}}
  memory: 1GiB
  tags: [a, b]
"""
FILES = {"cluster.yaml": CLUSTER} | {
    f"{name}.yaml": SERVICE.format(name=name) for name in ("web", "db", "mq")
}
WHOLE = {f"{name}-{index}" for name in ("web", "db", "mq") for index in (1, 2)}


def tree(files: dict[str, bytes], findings: tuple[Finding, ...] = ()) -> SourceTree:
    return SourceTree(
        root="/desired",
        files=tuple(
            SourceFile(path=path, content=content, size_bytes=len(content))
            for path, content in files.items()
        ),
        findings=findings,
    )


def encoded() -> dict[str, bytes]:
    return {path: text.encode() for path, text in FILES.items()}


def in_force_after(*trees: SourceTree) -> set[str] | None:
    """The guests that are wanted after reading these, one after the other."""
    left = list(trees)
    manifests = Manifests(lambda: left.pop(0))
    force = manifests.in_force()
    for _ in trees:
        force = manifests.load()
    return None if force.desired is None else set(force.desired.guests)


@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_file_cut_at_any_byte_takes_no_guest_away(path: str, data: st.DataObject) -> None:
    """A name that is cut is another name, and a list that is cut a shorter one; not fewer."""
    files = encoded()
    cut = data.draw(st.integers(0, len(files[path])))
    half = files | {path: files[path][:cut]}

    after = in_force_after(tree(files), tree(half))

    assert after is not None
    wanted = {guest.rpartition("-")[0] or guest for guest in after}
    if path == "cluster.yaml" or cut > len("apiVersion: qlop/v1\nkind: Service\nmetadata:"):
        assert {"web", "db", "mq"} - {path.removesuffix(".yaml")} <= wanted


@given(st.sets(st.sampled_from(sorted(FILES)), min_size=1), st.binary(max_size=40))
def test_rubbish_in_any_files_takes_nothing_away(paths: set[str], rubbish: bytes) -> None:
    files = encoded()
    spoiled = files | dict.fromkeys(paths, b"{" + rubbish)

    assert in_force_after(tree(files), tree(spoiled)) == WHOLE


def test_an_emptied_directory_takes_nothing_away() -> None:
    assert in_force_after(tree(encoded()), tree({})) == WHOLE


def test_a_directory_that_vanished_takes_nothing_away() -> None:
    gone = Finding(severity=Severity.ERROR, code="unreadable", message="/desired is not there")

    assert in_force_after(tree(encoded()), tree({}, (gone,))) == WHOLE


def test_a_file_that_can_not_be_read_takes_nothing_away() -> None:
    files = encoded()
    del files["web.yaml"]
    denied = Finding(severity=Severity.ERROR, code="unreadable", message="web.yaml: denied")

    assert in_force_after(tree(encoded()), tree(files, (denied,))) == WHOLE


def test_a_file_that_was_deleted_does() -> None:
    """That is what deleting is: the policy says what becomes of its guests."""
    files = encoded()
    del files["web.yaml"]

    assert in_force_after(tree(encoded()), tree(files)) == WHOLE - {"web-1", "web-2"}


def test_with_no_good_ones_ever_there_is_nothing_in_force() -> None:
    assert in_force_after(tree({})) is None
    assert in_force_after(tree({"cluster.yaml": b"{"})) is None
