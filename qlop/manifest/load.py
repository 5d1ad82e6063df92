"""Load manifests: a tree of files in, what is desired and every finding out."""

from dataclasses import dataclass

from qlop.model.desired import Desired
from qlop.model.finding import Finding
from qlop.model.source import SourceTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a tree of manifests amounts to.

    ``desired`` is None if any finding is an error: half a desired state is none.
    ``findings`` are those of all files, in the order of file, line and column.
    """

    desired: Desired | None
    findings: tuple[Finding, ...]


def load(tree: SourceTree, before: Loaded | None = None) -> Loaded:
    """Return what the manifests in ``tree`` want; never raises, whatever is in them.

    ``before`` is an earlier result: files and services that are as they were then are not
    worked out again. It makes loading faster and changes nothing about the result.
    """
    raise NotImplementedError
