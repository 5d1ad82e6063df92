"""Break the simulator's rules one by one, and see that the recordings or a story notice.

``python -m tests.sim.mutants`` breaks every rule of ``mutant_table`` in a process of its own,
plays what is said to catch it, and prints a table: rule, caught by. A rule is broken by
replacing a piece of a module's source text as it is imported; no file changes.
``python -m tests.sim.mutants NAME…`` does so for some, ``--all`` plays everything there is for
each, to find what catches a new one.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests import breaking
from tests.breaking import Break
from tests.sim.mutant_table import MUTANTS, Mutant


def as_break(mutant: Mutant) -> Break:
    """Return what is replaced, and where."""
    return Break(module=f"qlop.sim.{mutant.module}", rule=mutant.rule, instead=mutant.instead)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What playing showed: what went otherwise than recorded or accepted, by where."""

    wrong: dict[str, list[str]]


def look(mutant: Mutant | None, catchers: Sequence[str]) -> Seen:
    """Play ``catchers`` in a process of its own, with a rule broken if one is given."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            if mutant is not None:
                breaking.install([as_break(mutant)])
            wrong = {name: _wrong(name) for name in catchers}
        except BaseException as error:  # noqa: BLE001 - a rule that breaks everything is noticed
            wrong = {catchers[0]: [f"{type(error).__name__}: {error}"]}
        with os.fdopen(write, "w") as out:
            json.dump(wrong, out)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as text:
        said = text.read()
    os.waitpid(child, 0)
    return Seen(wrong=json.loads(said))


def _wrong(catcher: str) -> list[str]:
    """Return what goes wrong in a story that is told in a catcher's words."""
    kind, _, name = catcher.partition(": ")
    if kind == "story":
        return _wrong_story(name)
    # Imported here, that is after the rule was broken.
    from tests.contract import https, inprocess, report

    carrier = https.OverHttps if kind == "https" else inprocess.InProcess
    played = report.play_all(carrier, [name or catcher])
    return [line.partition("\n")[0] for line in played.differences]


def _wrong_story(name: str) -> list[str]:
    from tests.scenarios import stage, stories, story

    played = stage.play(story.read(name))
    differs = stories.difference(name, played.transcript)
    return [*played.broken, *(line for line in differs.splitlines()[3:] if line[0] in "+-")]


def caught_by(mutant: Mutant, before: Seen, catchers: Sequence[str] = ()) -> str:
    """Return the first thing that goes wrong with a broken rule and not without; empty: none."""
    seen = look(mutant, catchers or [mutant.catcher])
    for catcher, wrong in seen.wrong.items():
        for line in wrong:
            if line not in before.wrong.get(catcher, ()):
                return f"{catcher}: {line}"
    return ""


def survivors(mutants: Iterable[Mutant]) -> list[str]:
    """Return the rules that can be broken unnoticed."""
    wanted = list(mutants)
    before = look(None, sorted({mutant.catcher for mutant in wanted}))
    return [mutant.name for mutant in wanted if not caught_by(mutant, before)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.mutants")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--all", action="store_true", help="play everything for each")
    given = parser.parse_args()
    mutants = [one for one in MUTANTS if not given.names or one.name in given.names]
    catchers = sorted({mutant.catcher for mutant in MUTANTS}) if given.all else ()
    before = look(None, catchers or sorted({mutant.catcher for mutant in mutants}))
    missed = 0
    for mutant in mutants:
        caught = caught_by(mutant, before, catchers)
        missed += not caught
        sys.stdout.write(f"{mutant.name:<56} {caught or 'NOT CAUGHT'}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(mutants) - missed} of {len(mutants)} broken rules are noticed\n")
    raise SystemExit(bool(missed))


if __name__ == "__main__":
    main()
