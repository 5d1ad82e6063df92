"""Take a task's identifier apart.

The form is that of ``PVE::UPID`` (pve-common): process and start ticks in hexadecimal,
the start in seconds since 1970, the worker's type and id, the user who started it.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from qlop.model.ids import NodeName, Upid, VmId

_UPID = re.compile(
    r"UPID:(?P<node>[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?):(?P<pid>[0-9A-Fa-f]{8}):"
    r"(?P<pstart>[0-9A-Fa-f]{8,9}):(?P<start>[0-9A-Fa-f]{8}):(?P<type>[^:\s]+):"
    r"(?P<id>[^:\s]*):(?P<user>[^:\s]+):"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpidParts:
    """What a UPID says. ``subject`` is the worker's id: a VMID, a storage, or empty.

    ``user`` may carry the token (``ops@pve!qlop``).
    """

    node: NodeName
    pid: int
    pstart: int
    started_at: datetime
    verb: str
    subject: str
    user: str

    @property
    def vmid(self) -> VmId | None:
        """Return the VMID if the worker's id is one, or begins with one.

        A disk that is handed to another guest is ``102-scsi2>101-scsi0`` (``move_vm_disk``
        in PVE/API2/Qemu.pm): it is the task of the one that gives it away.
        """
        giver, arrow, _ = self.subject.partition(">")
        return vmid_of(giver.partition("-")[0] if arrow else giver)


def parse_upid(text: str) -> UpidParts | None:
    """Return the parts of a UPID, None if ``text`` is none."""
    found = _UPID.fullmatch(text)
    if found is None:
        return None
    return UpidParts(
        node=NodeName(found["node"]),
        pid=int(found["pid"], 16),
        pstart=int(found["pstart"], 16),
        started_at=datetime.fromtimestamp(int(found["start"], 16), tz=UTC),
        verb=found["type"],
        subject=found["id"],
        user=found["user"],
    )


def find_upid(text: str) -> UpidParts | None:
    """Return the first UPID in a line of text, None if it holds none."""
    found = _UPID.search(text)
    return parse_upid(found[0]) if found is not None else None


def format_upid(parts: UpidParts) -> Upid:
    """Return the UPID that ``parse_upid`` takes apart like this."""
    start = int(parts.started_at.timestamp())
    return Upid(
        f"UPID:{parts.node}:{parts.pid:08X}:{parts.pstart:08X}:{start:08X}:"
        f"{parts.verb}:{parts.subject}:{parts.user}:"
    )


def vmid_of(text: str) -> VmId | None:
    """Return the VMID that ``text`` is (100 to 999999999), None if it is none."""
    if not (3 <= len(text) <= 9 and text.isascii() and text.isdecimal()):
        return None
    return VmId(int(text)) if text[0] != "0" else None
