"""Play every recording against the simulator and say how far they agree.

``python -m tests.contract.report`` prints the table of endpoints and, below it, the shares;
``python -m tests.contract.report ha`` prints each difference of the story ``ha``.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.contract import acts, compare, not_modelled, worlds
from tests.contract.compare import Grade, Verdict
from tests.contract.player import Played, Player
from tests.contract.recordings import STORIES, Story

_UNMODELLED = 501


@dataclass(slots=True)
class Share:
    """How many of the exchanges to which a question applies agree."""

    equal: int = 0
    of: int = 0

    def add(self, verdict: bool | None) -> None:  # noqa: FBT001 - an answer, not a switch
        """Count an answer; ``None``: the question did not apply."""
        if verdict is not None:
            self.of += 1
            self.equal += verdict

    @property
    def percent(self) -> float:
        """Return the share in percent, 100 of nothing."""
        return 100 * self.equal / self.of if self.of else 100.0


@dataclass(slots=True)
class Row:
    """One endpoint's exchanges."""

    equal: int = 0
    normalised: int = 0
    differs: int = 0
    not_modelled: int = 0


@dataclass(slots=True)
class Report:
    """What playing all stories showed. ``core`` is what is about guests and their tasks."""

    rows: dict[str, Row] = field(default_factory=dict)
    core: dict[str, Share] = field(default_factory=dict)
    all: dict[str, Share] = field(default_factory=dict)
    unexplained: list[str] = field(default_factory=list)

    def add(self, played: Played, verdict: Verdict) -> None:
        """Count one exchange."""
        scopes = [self.all, self.core] if compare.is_core(played.template) else [self.all]
        for scope in scopes:
            for name in ("status", "texts", "config", "outcome"):
                scope.setdefault(name, Share()).add(getattr(verdict, name))
            scope.setdefault("answer", Share()).add(verdict.grade is not Grade.DIFFERS)
        endpoint = f"{played.exchange.method} {played.template}"
        row = self.rows.setdefault(endpoint, Row())
        if _is_unmodelled(played):
            row.not_modelled += 1
            if not_modelled.reason(played.template) is None:
                self.unexplained.append(endpoint)
        elif verdict.grade is Grade.EQUAL:
            row.equal += 1
        elif verdict.grade is Grade.NORMALISED:
            row.normalised += 1
        else:
            row.differs += 1

    def text(self) -> str:
        """Return the table of endpoints and the shares, for people."""
        lines = [f"{'endpoint':<64} equal normalised differs not modelled"]
        for endpoint in sorted(self.rows, key=lambda text: text.split(" ", 1)[::-1]):
            row = self.rows[endpoint]
            lines.append(
                f"{endpoint:<64} {row.equal:5} {row.normalised:10} {row.differs:7}"
                f" {row.not_modelled:12}"
            )
        for scope, shares in (("guests, tasks, HA, list", self.core), ("everything", self.all)):
            figures = ", ".join(
                f"{name} {share.percent:.1f} % of {share.of}" for name, share in shares.items()
            )
            lines.append(f"{scope}: {figures}")
        return "\n".join(lines)


def _is_unmodelled(played: Played) -> bool:
    return played.response.status == _UNMODELLED != played.exchange.status


def judged(story: Story) -> Iterator[tuple[Played, Verdict]]:
    """Play a story and judge each of its exchanges."""
    entries = story.entries()
    cluster, contacted = worlds.cluster_for(entries)
    by_hand = acts.ACTS.get(story.name, {})
    player = Player(cluster=cluster, acts=by_hand, contacted=contacted)
    for played in player.play(entries):
        yield played, compare.judge(played)


def play_all() -> Report:
    """Play all stories."""
    report = Report()
    for story in STORIES:
        for played, verdict in judged(story):
            report.add(played, verdict)
    return report


def _differences(name: str) -> Iterator[str]:
    for story in STORIES:
        if story.name != name:
            continue
        for played, verdict in judged(story):
            if verdict.grade is Grade.DIFFERS:
                exchange = played.exchange
                yield f"{exchange.n} {exchange.method} {exchange.url}\n    {verdict.why}"


def main() -> None:
    """Print the table, or the differences of the stories that are named."""
    if not sys.argv[1:]:
        sys.stdout.write(f"{play_all().text()}\n")
    for name in sys.argv[1:]:
        sys.stdout.writelines(f"{line}\n" for line in _differences(name))


if __name__ == "__main__":
    main()
