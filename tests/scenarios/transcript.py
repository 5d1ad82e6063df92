"""Write down what happened, one line each, so that two runs and two people agree on it.

What is different in every cluster and says nothing (process ids in task ids, hardware
addresses that PVE draws, hashes) is written as what it stands for.
"""

import re
from collections.abc import Callable

_NOISE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"UPID:(\w+):[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:(\w*):([^:]*):[^:]+:"),
     r"UPID:\1:\2:\3"),
    (re.compile(r"BC:24:11(:[0-9A-F]{2}){3}", re.IGNORECASE), "<mac>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\.tmp\.\d+"), ".tmp"),
)  # fmt: skip

_LONGEST = 240
"""Characters of a line; what is longer is a task's log."""


class Transcript:
    """The lines of one story so far; ``now_s`` tells the story's time."""

    def __init__(self, now_s: Callable[[], float], root: str) -> None:
        """Begin; ``root`` is where the manifests are, which is no business of the reader."""
        self._now_s = now_s
        self._root = root
        self._revisions: list[str] = []
        self.lines: list[str] = []

    def line(self, who: str, text: str) -> None:
        """Write that ``who`` did or met ``text`` now."""
        self.lines.append(f"{self._now_s():8.1f}  {who:<12} {_cut(self._quiet(text))}".rstrip())

    def closing(self, text: str) -> None:
        """Write a line of how things stood in the end."""
        self.lines.append(f"     end  {self._quiet(text)}")

    def revision(self, text: str) -> str:
        """Return the message with the revision's hash as its number in this story."""
        found = re.fullmatch(r"revision (\S+) is in force", text)
        if found is None:
            return text
        if found[1] not in self._revisions:
            self._revisions.append(found[1])
        return f"revision {self._revisions.index(found[1]) + 1} is in force"

    def text(self) -> str:
        """Return the whole."""
        return "\n".join(self.lines) + "\n"

    def _quiet(self, text: str) -> str:
        text = text.replace(self._root, "desired-state").replace("\n", "\\n")
        for noise, stands_for in _NOISE:
            text = noise.sub(stands_for, text)
        return text


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
