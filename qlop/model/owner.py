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
from urllib.parse import quote, unquote

from qlop.model.ids import ClusterName, ServiceName, VmId

OWN_TAG = "qlop"
"""The tag by which people see at a glance whose a guest is. It proves nothing."""

OPEN_WITNESS = "open:"
"""In the mark of a container whose witness PVE chooses (it has no NIC of ours yet).
Sealing replaces it by the witness that the container then has."""

_MARK = re.compile(
    r"^qlop/v1 cluster=(?P<cluster>\S+) service=(?P<service>\S+) index=(?P<index>\d+) "
    r"vmid=(?P<vmid>\d+)(?: generation=(?P<generation>\d+))?(?: build=(?P<build>\S+))?"
    r"(?: yields=(?P<yields>\S+))?(?: carries=(?P<carries>\S+))?(?P<boots> boots)?"
    r" witness=(?P<witness>\S+)$",
    re.MULTILINE,
)
_SAFE = ":/+@,."
"""What may stand unquoted in the word of a build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerMark:
    """What the last line of a guest's notes says about who owns it.

    ``witness`` is ``uuid:…``, ``mac:…`` or ``volume:…``, lower-cased but for the volume, or
    ``OPEN_WITNESS``. ``generation`` counts how often a guest of this place was built anew.
    ``build`` is what it was built from (``model.build``), empty if that is not known.

    A guest that gives way to the next generation says so: ``yields`` is what that is built
    from, ``carries`` the slots whose disks it will be handed, ``boots`` whether the guest
    itself started with its node before that.
    """

    cluster: ClusterName
    service: ServiceName
    index: int
    vmid: VmId
    witness: str
    generation: int = 0
    build: str = ""
    yields: str = ""
    carries: tuple[str, ...] = ()
    boots: bool = False


def mark_text(mark: OwnerMark) -> str:
    """Return the line that signs a guest."""
    words = [
        f"qlop/v1 cluster={mark.cluster} service={mark.service} index={mark.index}",
        f"vmid={mark.vmid}",
        f"generation={mark.generation}" if mark.generation else "",
        f"build={quote(mark.build, safe=_SAFE)}" if mark.build else "",
        f"yields={quote(mark.yields, safe=_SAFE)}" if mark.yields else "",
        f"carries={','.join(mark.carries)}" if mark.carries else "",
        "boots" if mark.boots else "",
        f"witness={mark.witness}",
    ]
    return " ".join(word for word in words if word)


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
        generation=int(found["generation"] or 0),
        build=unquote(found["build"] or ""),
        yields=unquote(found["yields"] or ""),
        carries=tuple((found["carries"] or "").split(",")) if found["carries"] else (),
        boots=found["boots"] is not None,
    )


def signed_description(text: str, mark: OwnerMark) -> str:
    """Return the notes ``text`` with the mark as last line."""
    body = strip_mark(text)
    return f"{body}\n\n{mark_text(mark)}" if body else mark_text(mark)


def strip_mark(description: str) -> str:
    """Return the notes without any mark and without white space around them."""
    return _MARK.sub("", description).strip()


def derived_uuid(
    cluster: ClusterName, service: ServiceName, index: int, vmid: VmId, generation: int = 0
) -> str:
    """Return the SMBIOS UUID that a VM of ours gets.

    It is a function of the guest's place and generation, so that a crash between two steps
    can't make a second one, and the next generation is never taken for the one before.
    """
    place = _place(cluster, service, index, vmid, generation)
    digits = hashlib.sha256(f"uuid/{place}".encode()).hexdigest()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def derived_mac(
    cluster: ClusterName,
    service: ServiceName,
    index: int,
    vmid: VmId,
    slot: str,
    *,
    generation: int = 0,
) -> str:
    """Return a locally administered unicast MAC for a container's NIC, upper case."""
    place = _place(cluster, service, index, vmid, generation)
    digits = hashlib.sha256(f"mac/{place}/{slot}".encode()).hexdigest()
    return ":".join(["02", *(digits[i : i + 2] for i in range(0, 10, 2))]).upper()


def _place(
    cluster: ClusterName, service: ServiceName, index: int, vmid: VmId, generation: int
) -> str:
    later = f"/generation-{generation}" if generation else ""
    return f"{cluster}/{service}/{index}/{vmid}{later}"
