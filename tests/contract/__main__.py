"""Play the recorded exchanges to a cluster that is named by its URL, and compare.

::

    python -m tests.contract --url https://pve1:8006 --token-id 'root@pam!test' \\
        --token-file secret --ca-file pve-root-ca.pem --may-destroy-guests [STORY…]

The table is the one that ``python -m tests.contract.report`` prints of the simulator. The
cluster has to be empty, and is left empty: see ``tests/contract/real.py``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from qlop.pve import tls
from qlop.settings import ApiSettings
from tests.contract import acts, worlds
from tests.contract.player import Player
from tests.contract.real import Account, NotOursError, RealCluster, RealStage, make_guest
from tests.contract.recordings import STORIES, Story
from tests.contract.report import Report

PLAYED = ("tasks", "storage", "stopped guests", "running vm")
"""The stories played if none is named: one node, and no guest with an operating system."""

_WORD = "--may-destroy-guests"


def main(given: Sequence[str] | None = None) -> int:
    """Play, print the table, and what could not be done; return 0 unless refused."""
    options = _parser().parse_args(given)
    if not options.may_destroy_guests:
        sys.stderr.write(
            f"this creates, changes and destroys guests on {options.url}; say {_WORD} if it may\n"
        )
        return 2
    names = options.stories or PLAYED
    cluster = RealCluster(_account(options))
    report = Report()
    try:
        cluster.check_empty()
        for story in STORIES:
            if story.name in names:
                play(cluster, story, report, pause_s=options.pause)
    except NotOursError as refusal:
        sys.stderr.write(f"not playing to {options.url}: {refusal}\n")
        return 2
    finally:
        cluster.close()
    if options.differences:
        sys.stdout.writelines(f"{line}\n" for line in report.differences)
    sys.stdout.write(f"{report.text('not played')}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.contract")
    parser.add_argument("stories", nargs="*", metavar="STORY", help="default: all but the lab's")
    parser.add_argument("--url", required=True, help="https://HOST:8006")
    parser.add_argument("--token-id", required=True, help="user@realm!name")
    parser.add_argument("--token-file", required=True, type=Path, help="holds its secret")
    parser.add_argument("--ca-file", type=Path, help="the cluster's CA")
    parser.add_argument("--fingerprint", help="or the SHA-256 of its certificate")
    parser.add_argument("--pause", type=float, default=3.0, help="longest wait between calls, s")
    parser.add_argument("--differences", action="store_true", help="print each difference, too")
    parser.add_argument(_WORD, action="store_true", help="all guests there are for this")
    return parser


def _account(options: argparse.Namespace) -> Account:
    """Return the account, checked and named as qlop's own settings are."""
    settings = ApiSettings.model_validate(
        {
            "endpoints": [options.url],
            "token_id": options.token_id,
            "token_secret": options.token_file.read_text(encoding="utf-8").strip(),
            "ca_file": options.ca_file,
            "fingerprints": [options.fingerprint] if options.fingerprint else [],
        }
    )
    return Account(
        url=settings.endpoints[0].url,
        token_id=settings.token_id,
        secret=settings.token_secret.get_secret_value(),
        context=tls.context_for(settings.ca_file, settings.fingerprints),
        pins=settings.fingerprints,
    )


def play(cluster: RealCluster, story: Story, report: Report, *, pause_s: float) -> None:
    """Play one story to an empty cluster, and leave it empty."""
    entries = story.entries()
    found, _ = worlds.cluster_for(entries)
    cluster.rename_nodes(list(found.world.nodes))
    for vmid, guest in sorted(found.world.guests.items()):
        node = cluster.names.there(guest.node)
        why = "a container" if guest.kind.value == "lxc" else None
        why = make_guest(cluster, node, vmid, guest.config) if why is None else why
        if why:
            _remark(f"{story.name}: guest {vmid}, which it found, could not be made: {why}")
    stage = RealStage(cluster, began=found.world.now, pause_s=pause_s)
    player = Player(stage=stage, transport=cluster, acts=acts.ACTS.get(story.name, {}))
    try:
        for played in player.play(entries):
            report.add(played)
    finally:
        for command in stage.undone:
            _remark(f"{story.name}: could not be done by hand there: {command}")
        for vmid in sorted(cluster.clean_up()):
            _remark(f"{story.name}: guest {vmid} could not be destroyed")


def _remark(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
