"""Sign a guest as ours, and read the signature.

Three things must agree before a guest is touched: its VMID, the owner mark in its
notes, and a *witness* that a clone does not inherit. For a VM the witness is its SMBIOS
UUID, which PVE makes new for every clone (``PVE/API2/Qemu.pm``, ``clone_vm``); for a
container it is the MAC of its first NIC, likewise made new (``PVE/API2/LXC.pm``,
``clone_vm``), or, without any NIC, the volume of its root file system.
"""

import hashlib
import re
from dataclasses import dataclass

from qlop.model.ids import ClusterName, ServiceName, VmId

OWN_TAG = "qlop"
"""The tag by which people see at a glance whose a guest is. It proves nothing."""

OPEN_WITNESS = "open:"
"""In the mark of a container whose witness PVE chooses (it has no NIC of ours yet).
Sealing replaces it by the witness that the container then has."""

_MARK = re.compile(
    r"^qlop/v1 cluster=(?P<cluster>\S+) service=(?P<service>\S+) index=(?P<index>\d+) "
    r"vmid=(?P<vmid>\d+) witness=(?P<witness>\S+)$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerMark:
    """What the last line of a guest's notes says about who owns it.

    ``witness`` is ``uuid:…``, ``mac:…`` or ``volume:…``, lower-cased but for the volume, or
    ``OPEN_WITNESS``.
    """

    cluster: ClusterName
    service: ServiceName
    index: int
    vmid: VmId
    witness: str


def mark_text(mark: OwnerMark) -> str:
    """Return the line that signs a guest."""
    return (
        f"qlop/v1 cluster={mark.cluster} service={mark.service} index={mark.index} "
        f"vmid={mark.vmid} witness={mark.witness}"
    )


def parse_mark(description: str) -> OwnerMark | None:
    """Return the mark in a guest's notes; the last one if a person pasted several."""
    matches = list(_MARK.finditer(description))
    if not matches:
        return None
    found = matches[-1]
    return OwnerMark(
        cluster=ClusterName(found["cluster"]),
        service=ServiceName(found["service"]),
        index=int(found["index"]),
        vmid=VmId(int(found["vmid"])),
        witness=found["witness"],
    )


def signed_description(text: str, mark: OwnerMark) -> str:
    """Return the notes ``text`` with the mark as last line."""
    body = strip_mark(text)
    return f"{body}\n\n{mark_text(mark)}" if body else mark_text(mark)


def strip_mark(description: str) -> str:
    """Return the notes without any mark and without white space around them."""
    return _MARK.sub("", description).strip()


def derived_uuid(cluster: ClusterName, service: ServiceName, index: int, vmid: VmId) -> str:
    """Return the SMBIOS UUID that a VM of ours gets.

    It is a function of the guest's place, so that a crash between two steps can't make
    a second one.
    """
    digits = hashlib.sha256(f"uuid/{cluster}/{service}/{index}/{vmid}".encode()).hexdigest()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def derived_mac(
    cluster: ClusterName, service: ServiceName, index: int, vmid: VmId, slot: str
) -> str:
    """Return a locally administered unicast MAC for a container's NIC, upper case."""
    digits = hashlib.sha256(f"mac/{cluster}/{service}/{index}/{vmid}/{slot}".encode()).hexdigest()
    return ":".join(["02", *(digits[i : i + 2] for i in range(0, 10, 2))]).upper()
