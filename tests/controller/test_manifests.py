"""The last good manifests stay in force, whatever becomes of the files."""

from qlop.controller.manifests import InForce, Manifests
from qlop.model.source import SourceFile, SourceTree

GOOD = """\
apiVersion: qlop/v1
kind: Cluster
metadata: {name: hospital}
spec: {nodes: [pve1]}
"""


def tree(text: str) -> SourceTree:
    content = text.encode()
    file = SourceFile(path="cluster.yaml", content=content, size_bytes=len(content))
    return SourceTree(root="/desired", files=(file,) if text else ())


class Shelf:
    """What lies on the disk, and how often it was read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.reads = 0

    def read(self) -> SourceTree:
        self.reads += 1
        return tree(self.text)


def test_before_anything_was_read_nothing_is_in_force() -> None:
    shelf = Shelf(GOOD)

    force = Manifests(shelf.read).in_force()

    assert (force, shelf.reads) == (InForce(desired=None, findings=(), is_current=False), 0)


def test_good_ones_are_in_force_and_known_without_reading_again() -> None:
    shelf = Shelf(GOOD)
    manifests = Manifests(shelf.read)

    loaded = manifests.load()

    assert (loaded.desired is not None, loaded.is_current) == (True, True)
    assert manifests.in_force() == loaded
    assert shelf.reads == 1


def test_the_same_again_is_the_same_value() -> None:
    """By that the planner knows that nothing changed."""
    manifests = Manifests(Shelf(GOOD).read)

    assert manifests.load().desired is manifests.load().desired


def test_another_text_of_the_same_meaning_is_the_same_revision_at_other_places() -> None:
    shelf = Shelf(GOOD)
    manifests = Manifests(shelf.read)
    first = manifests.load().desired
    shelf.text = f"# a remark\n{GOOD}"
    second = manifests.load().desired

    assert first is not None
    assert second is not None
    assert second.revision == first.revision
    assert second.cluster.origin.line == first.cluster.origin.line + 1


def test_better_ones_take_their_place() -> None:
    shelf = Shelf(GOOD)
    manifests = Manifests(shelf.read)
    first = manifests.load().desired
    shelf.text = GOOD.replace("[pve1]", "[pve1, pve2]")

    force = manifests.load()

    assert force.desired is not first
    assert force.is_current


def test_bad_ones_do_not_and_are_told() -> None:
    shelf = Shelf(GOOD)
    manifests = Manifests(shelf.read)
    first = manifests.load().desired
    shelf.text = GOOD.replace("nodes", "nods")

    force = manifests.load()

    assert force.desired is first
    assert not force.is_current
    assert force.findings


def test_none_do_not_either() -> None:
    shelf = Shelf(GOOD)
    manifests = Manifests(shelf.read)
    first = manifests.load().desired
    shelf.text = ""

    force = manifests.load()

    assert (force.desired is first, force.is_current) == (True, False)
