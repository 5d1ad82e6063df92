"""Break a rule of the code on purpose, in this process only: no file changes.

A rule is a piece of a module's source text, replaced as the module is imported.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType

from typing_extensions import override


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """In ``module``, by its full name, the text ``rule`` is replaced by ``instead``."""

    module: str
    rule: str
    instead: str


def broken(one: Break, text: str) -> str:
    """Return a module's text with the rule broken.

    Raises:
        ValueError: the rule is not there, or not there once.
    """
    if (times := text.count(one.rule)) != 1:
        raise ValueError(f"the rule stands {times} times in {one.module}: {one.rule}")
    return text.replace(one.rule, one.instead)


def install(breaks: Sequence[Break]) -> None:
    """Let modules be broken that are imported from now on."""
    already = [one.module for one in breaks if one.module in sys.modules]
    assert not already, f"imported too early: {already}"
    sys.meta_path.insert(0, _Breaker(breaks))


class _Breaker(importlib.abc.MetaPathFinder):
    """Finds the modules of which rules are broken."""

    def __init__(self, breaks: Sequence[Break]) -> None:
        self._breaks = breaks

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        here = [one for one in self._breaks if one.module == fullname]
        if not here:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        assert spec is not None
        assert spec.origin is not None
        loader = _BrokenLoader(fullname, spec.origin)
        loader.breaks = here
        return importlib.util.spec_from_file_location(fullname, spec.origin, loader=loader)


class _BrokenLoader(importlib.machinery.SourceFileLoader):
    """Loads a module with rules broken."""

    breaks: Sequence[Break]

    @override
    def get_code(self, fullname: str) -> CodeType:
        text = self.get_data(self.path).decode()
        for one in self.breaks:
            text = broken(one, text)
        return compile(text, self.path, "exec", dont_inherit=True)
