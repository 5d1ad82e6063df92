"""Keep the last good desired state in force, whatever becomes of the files."""

from collections.abc import Callable
from dataclasses import dataclass

from qlop.manifest.load import Loaded, load
from qlop.model.desired import Desired
from qlop.model.finding import Finding
from qlop.model.source import SourceTree


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What the planner goes by.

    ``desired`` is the last good state, None if there never was one. ``findings`` are
    those of the newest manifests; ``is_current`` says whether these are in force.
    """

    desired: Desired | None
    findings: tuple[Finding, ...]
    is_current: bool


class Manifests:
    """Read manifests, and remember the last ones that were good."""

    def __init__(self, read: Callable[[], SourceTree]) -> None:
        self._read = read
        self._loaded: Loaded | None = None
        self._good: Desired | None = None

    def load(self) -> InForce:
        """Read the manifests again and return what is in force from now on."""
        self._loaded = load(self._read(), self._loaded)
        fresh = self._loaded.desired
        if fresh is not None and fresh != self._good:
            self._good = fresh
        return self.in_force()

    def in_force(self) -> InForce:
        """Return what is in force without reading anything."""
        if self._loaded is None:
            return InForce(desired=None, findings=(), is_current=False)
        return InForce(
            desired=self._good,
            findings=self._loaded.findings,
            is_current=self._loaded.desired is not None,
        )
