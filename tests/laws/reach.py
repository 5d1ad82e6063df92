"""Count how often a law met what it is about: one that never did proves nothing."""

from collections import Counter
from collections.abc import Callable

import hypothesis

_DEV = 50
"""Of so many examples floors are said: those of the plainest profile."""

MORE = hypothesis.settings(max_examples=max(150, hypothesis.settings().max_examples))
"""For laws that are quick, and meet what they are about in every sixth world or so."""

Law = Callable[[], None]


class Reach(Counter[str]):
    """What a law met, counted while it is drawn again and again."""

    def note(self, what: str, *, when: bool = True) -> None:
        """Count ``what``, and show it in hypothesis's own statistics."""
        if when:
            self[what] += 1
            hypothesis.event(what)


def reaching(reach: Reach, **floors: int) -> Callable[[Law], Law]:
    """Insist that a law, once it has held, met each at least a third of what is usual.

    ``floors`` say how often in fifty examples each is met on a bad day. A third of that
    leaves room for any seed: a law that reaches what it is about never fails by bad luck.
    """

    def decorate(law: Law) -> Law:
        def test() -> None:
            reach.clear()
            law()
            drawn = max(reach["drawn"], _DEV)
            short = {
                what: reach[what]
                for what, floor in floors.items()
                if reach[what] < max(1, floor * drawn // (3 * _DEV))
            }
            assert not short, f"it hardly met what it is about: {short} of {dict(reach)}"

        test.__name__, test.__doc__ = law.__name__, law.__doc__
        test.__module__, test.__qualname__ = law.__module__, law.__qualname__
        test.__dict__["pytestmark"] = getattr(law, "pytestmark", [])
        return test

    return decorate
