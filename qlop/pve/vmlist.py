"""Read ``/etc/pve/.version`` and ``/etc/pve/.vmlist``, printed one after the other.

The list has a version per guest that rises with every write of its configuration, by the
API or by hand. The counters are the own ones of the pmxcfs process that printed them
(pve-cluster, src/pmxcfs/status.c): they can be compared only as long as that is the same,
which is told by its start time and its node's name.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from qlop.model.ids import VmId
from qlop.model.reading import Known, Unknown
from qlop.pve.payload import Misread, row_of, whole

COMMAND = "cat /etc/pve/.version /etc/pve/.vmlist"
"""What the forced command of the key does; sent for the log's sake."""

_VERSION = re.compile(r'"version":\s*(\d+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class VmListHead:
    """Which process counted, and up to where; ``rest`` is the list, unread."""

    instance: str
    version: int
    rest: str


def parse_head(text: str) -> Known[VmListHead] | Unknown:
    """Return what tells whether anything has changed at all."""
    try:
        document, end = json.JSONDecoder().raw_decode(text.lstrip())
    except json.JSONDecodeError as error:
        return Unknown(f".version not understood: {error}")
    rest = text.lstrip()[end:]
    found = _VERSION.search(rest)
    if not isinstance(document, dict) or "starttime" not in document or found is None:
        return Unknown(".version and .vmlist not understood: is that what the key prints?")
    # The first of `kvstore` is the node itself (`cfs_create_version_msg`).
    kvstore = document.get("kvstore")
    node = next(iter(kvstore), "") if isinstance(kvstore, dict) else ""
    return Known(
        VmListHead(instance=f"{document['starttime']}@{node}", version=int(found[1]), rest=rest)
    )


def parse_versions(rest: str) -> Known[Mapping[VmId, int]] | Unknown:
    """Return each guest's version."""
    try:
        document = row_of(orjson.loads(rest), "vmlist")
        guests = row_of(document.get("ids") or {}, "ids")
        return Known(
            {
                VmId(int(vmid)): whole(row_of(guest, vmid), "version")
                for vmid, guest in guests.items()
            }
        )
    except (Misread, ValueError) as error:
        return Unknown(f".vmlist not understood: {error}")
