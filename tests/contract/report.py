"""Play every recording against the simulator and say how far they agree.

``python -m tests.contract.report`` prints the table of endpoints and, below it, the shares;
``python -m tests.contract.report ha`` prints each difference of the story ``ha``. Requests go
over HTTPS, or with ``--in-process`` by calls.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from qlop.sim.cluster import Cluster
from tests.contract import acts, compare, not_modelled, worlds
from tests.contract.compare import Grade, Verdict
from tests.contract.https import OverHttps
from tests.contract.inprocess import InProcess
from tests.contract.player import Played, Player
from tests.contract.recordings import STORIES, Exchange, Story
from tests.contract.stage import SimulatedStage
from tests.contract.wire import Answer, Transport

_UNMODELLED = 501

Carrier = Callable[[Cluster, str], Transport]
"""Makes a way to a cluster, by the node that is contacted."""


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
    differences: list[str] = field(default_factory=list)

    def add(self, played: Played) -> None:
        """Judge and count one exchange."""
        exchange, answer = played.exchange, played.answer
        endpoint = f"{exchange.method} {played.template}"
        row = self.rows.setdefault(endpoint, Row())
        if answer is None:
            row.not_modelled += 1
            return
        verdict = compare.judge(exchange, answer)
        self._count(played.template, verdict)
        if _is_unmodelled(played.template, exchange, answer):
            row.not_modelled += 1
            if not_modelled.reason(played.template) is None:
                self.unexplained.append(endpoint)
            return
        match verdict.grade:
            case Grade.EQUAL:
                row.equal += 1
            case Grade.NORMALISED:
                row.normalised += 1
            case Grade.DIFFERS:
                row.differs += 1
                self.differences.append(
                    f"{exchange.n} {exchange.method} {exchange.url}\n    {verdict.why}"
                )

    def _count(self, template: str, verdict: Verdict) -> None:
        for scope in [self.all, self.core] if compare.is_core(template) else [self.all]:
            for name in ("status", "texts", "config", "outcome", "headers"):
                scope.setdefault(name, Share()).add(getattr(verdict, name))
            scope.setdefault("answer", Share()).add(verdict.grade is not Grade.DIFFERS)

    def text(self, absent: str = "not modelled") -> str:
        """Return the table of endpoints and the shares, for people.

        ``absent`` says what it means that there is nothing to compare.
        """
        lines = [f"{'endpoint':<64} equal normalised differs {absent:>12}"]
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


def _is_unmodelled(template: str, exchange: Exchange, answer: Answer) -> bool:
    if template in not_modelled.PAGES:
        return True
    return answer.status == _UNMODELLED != exchange.status


def play(story: Story, carrier: Carrier) -> Iterator[Played]:
    """Yield each exchange of a story with the simulator's answer."""
    entries = story.entries()
    cluster, contacted = worlds.cluster_for(entries)
    transport = carrier(cluster, contacted)
    try:
        player = Player(
            stage=SimulatedStage(cluster, contacted),
            transport=transport,
            acts=acts.ACTS.get(story.name, {}),
        )
        yield from player.play(entries)
    finally:
        transport.close()


def play_all(carrier: Carrier, names: list[str] | None = None) -> Report:
    """Play all stories, or those that are named."""
    report = Report()
    for story in STORIES:
        if not names or story.name in names:
            for played in play(story, carrier):
                report.add(played)
    return report


def main() -> None:
    """Print the table, or the differences of the stories that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract.report")
    parser.add_argument("stories", nargs="*", metavar="STORY")
    parser.add_argument("--in-process", action="store_true", help="call, instead of HTTPS")
    given = parser.parse_args()
    report = play_all(InProcess if given.in_process else OverHttps, given.stories)
    if given.stories:
        sys.stdout.writelines(f"{line}\n" for line in report.differences)
    else:
        sys.stdout.write(f"{report.text()}\n")


if __name__ == "__main__":
    main()
