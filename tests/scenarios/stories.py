"""Play stories from the command line, and accept how they go now.

scripts/stories                      play all, show what differs
scripts/stories NAME... --show       print the transcript as well
scripts/stories NAME... --accept     write transcripts anew, after you have read them
"""

# ruff: noqa: T201 - a command line prints

import argparse
import difflib
import sys
import time

from tests.scenarios import stage, story


def main() -> int:
    """Play, compare, and write only what was asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/stories", description=__doc__)
    parser.add_argument("names", nargs="*", help="stories; none: all")
    parser.add_argument("--accept", action="store_true", help="write the transcripts anew")
    parser.add_argument("--show", action="store_true", help="print the transcripts")
    parser.add_argument("--times", action="store_true", help="print how long each took")
    chosen = parser.parse_args()
    failures = 0
    for name in chosen.names or story.names():
        failures += not _play(name, chosen)
    print(f"{failures} of {len(chosen.names or story.names())} differ or break a rule")
    return 1 if failures else 0


def difference(name: str, transcript: str) -> str:
    """Return how ``transcript`` differs from the one that was accepted, empty if it doesn't."""
    path = story.HERE / name / "transcript.expect"
    accepted = path.read_text() if path.exists() else ""
    return "".join(
        difflib.unified_diff(
            accepted.splitlines(keepends=True),
            transcript.splitlines(keepends=True),
            "accepted",
            "now",
        )
    )


def _play(name: str, chosen: argparse.Namespace) -> bool:
    began = time.perf_counter()
    try:
        played = stage.play(story.read(name))
    except (AssertionError, ValueError) as error:
        print(f"!! {name}: can't be played: {error}", file=sys.stderr)
        return False
    took = time.perf_counter() - began
    differs = difference(name, played.transcript)
    if chosen.times:
        print(f"{took:6.2f} s  {name}")
    if chosen.show:
        print(f"== {name}\n{played.transcript}")
    elif differs and not chosen.accept:
        print(f"== {name}\n{differs}")
    for broken in dict.fromkeys(played.broken):
        print(f"!! {name}: {broken}", file=sys.stderr)
    if chosen.accept and not played.broken:
        (story.HERE / name / "transcript.expect").write_text(played.transcript)
        differs = ""
    return not differs and not played.broken


if __name__ == "__main__":
    sys.exit(main())
