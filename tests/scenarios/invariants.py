"""Hold every story to what must never happen, whatever it is about."""

import re
from collections import Counter
from collections.abc import Callable, Collection

import structlog

from qlop.model.desired import Desired
from qlop.model.history import Intended, JournalRecord
from qlop.model.ids import ServiceName
from qlop.model.policy import Prune
from qlop.model.rollout import Order
from qlop.ports import Method, PveCall
from qlop.sim import drives
from qlop.sim.engine import World
from qlop.sim.state import Guest

_GUEST = re.compile(r"/nodes/[^/]+/(?:qemu|lxc)/(\d+)(/.*)?$")
_MARK = re.compile(
    r"^qlop/v1 cluster=(\S+) service=(\S+) index=(\d+) vmid=(\d+)(?: generation=(?P<nth>\d+))?"
    r"(?: (?:build|yields|carries)=\S+| boots)* witness=(?P<witness>\S+)(?: .*)?$"
)


class Invariants:
    """Looks at each mutation before it is let through; ``broken`` says what was wrong."""

    def __init__(
        self,
        world: World,
        records: list[JournalRecord],
        adopted: Callable[[], Collection[int]] = frozenset,
        refused: Collection[int] = (),
    ) -> None:
        """Watch the mutations sent to ``world`` by a qlop whose journal is ``records``.

        ``adopted`` are the VMIDs that somebody ordered to adopt; ``refused`` those that
        somebody takes while nobody can see it, so that PVE refuses them.
        """
        self._refused = refused
        self._adopted = adopted
        self.broken: list[str] = []
        self._world = world
        self._records = records
        self._sent: Counter[str] = Counter()
        self._made: set[int] = set()

    def check(self, call: PveCall, desired: Desired | None) -> None:
        """Note what is wrong with sending ``call`` now, while ``desired`` is in force."""
        what = f"{call.method.value} {call.path}"
        if not self._world.is_quorate():
            self._break(f"{what} was sent without quorum")
        self._check_journal(what)
        assert desired is not None, f"{what} was sent without any manifest"
        self._check_subject(call, what, desired)
        self._check_volumes(what)
        if call.route.endswith("/status/start"):
            self._check_alone(int(call.at["vmid"]), what, desired)
        if call.method is Method.DELETE:
            self._check_removal(call, what, desired)

    def forget(self) -> None:
        """Count anew: the journal was lost, and with it what was sent under its entries."""
        self._sent.clear()

    def check_end(self) -> None:
        """Note what is wrong with how the cluster was left."""
        seen: dict[tuple[str, str, str, str], int] = {}
        for guest in self._world.guests.values():
            mark = _mark(guest)
            if mark is None or int(mark[4]) != guest.vmid or guest.vmid not in self._made:
                continue
            place = (mark[1], mark[2], mark[3], mark["nth"] or "0")
            if place in seen:
                self._break(f"guests {seen[place]} and {guest.vmid} were both made for {place}")
            seen[place] = guest.vmid

    def _check_journal(self, what: str) -> None:
        action = structlog.contextvars.get_contextvars().get("action", "")
        self._sent[action] += 1
        intended = [one for one in self._records if isinstance(one, Intended)]
        if sum(one.action == action for one in intended) < self._sent[action]:
            self._break(f"{what} was sent without a journal entry of its own ({action or '-'})")

    def _check_subject(self, call: PveCall, what: str, desired: Desired) -> None:
        creates = call.params.get("newid") or (
            call.params.get("vmid") if call.route.endswith(("/qemu", "/lxc")) else None
        )
        if creates is not None:
            if int(creates) in self._world.guests and int(creates) not in self._refused:
                self._break(f"{what} would take VMID {creates}, which is taken")
            self._made.add(int(creates))
            return
        found = _GUEST.search(call.path)
        vmid = int(found[1]) if found is not None else int(call.params.get("vms", 0))
        guest = self._world.guests.get(vmid)
        if guest is None or self._is_ours(guest, desired):
            return
        if vmid not in self._adopted() or not _only_signs(call, guest):
            self._break(f"{what}: guest {vmid} is not ours")

    def _is_ours(self, guest: Guest, desired: Desired) -> bool:
        mark = _mark(guest)
        if mark is None or mark[1] != desired.cluster.name or int(mark[4]) != guest.vmid:
            return False
        return mark["witness"] == _witness(guest) or guest.vmid in self._made

    def _check_volumes(self, what: str) -> None:
        """Check that no disk is in two guests: a replacement hands over, and never shares."""
        users: dict[str, int] = {}
        for guest in self._world.guests.values():
            for key, value in guest.config.items():
                volume = drives.parse(value).get("file", "")
                is_disk = drives.is_drive(key) or drives.is_mount(key)
                if is_disk and ":" in volume and not drives.is_cdrom(value):
                    if volume in users:
                        self._break(f"{what}: {volume} is in {users[volume]} and {guest.vmid}")
                    users[volume] = guest.vmid

    def _check_alone(self, vmid: int, what: str, desired: Desired) -> None:
        """Check that no other guest of the same place runs, unless its manifest says so."""
        mark = _mark(self._world.guests[vmid])
        if mark is None:
            return
        service = desired.services.get(ServiceName(mark[2]))
        if service is not None and service.update.order is Order.START_FIRST:
            return
        for guest in self._world.guests.values():
            other = _mark(guest)
            if other is None or guest.vmid == vmid or int(other[4]) != guest.vmid:
                continue
            if other.group(1, 2, 3) == mark.group(1, 2, 3) and guest.is_running:
                self._break(f"{what}: {guest.vmid} of the same place runs")

    def _check_removal(self, call: PveCall, what: str, desired: Desired) -> None:
        if call.route.endswith("/snapshot/{snapname}"):
            ours = re.fullmatch(r"qlop-[0-9a-f]{8}", str(call.at["snapname"]))
            if not ours and not any(guest.snapshots.prune for guest in desired.guests.values()):
                self._break(f"{what}: no manifest says snapshots.prune")
        elif desired.cluster.policy.prune.mode is not Prune.DESTROY:
            self._break(f"{what}: the policy does not say prune: destroy")

    def _break(self, text: str) -> None:
        self.broken.append(text)


def no_invariant(_call: PveCall, _desired: Desired | None) -> None:
    """Let everything through: what a second pair of hands sends is no business of ours."""


Check = Callable[[PveCall, Desired | None], None]


def _only_signs(call: PveCall, guest: Guest) -> bool:
    """Whether a write adds a mark to a guest's notes and a tag to its tags, and no more."""
    notes = guest.config.get("description", "").strip()
    tags = set(filter(None, guest.config.get("tags", "").split(";")))
    written = set(str(call.params.get("tags", ";".join(tags))).split(";")) - {""}
    return (
        call.params.keys() <= {"description", "tags", "digest"}
        and str(call.params.get("description", "")).startswith(notes)
        and written - {"qlop"} == tags - {"qlop"}
    )


def _mark(guest: Guest) -> re.Match[str] | None:
    lines = guest.config.get("description", "").splitlines()
    found = [match for line in lines if (match := _MARK.match(line)) is not None]
    return found[-1] if found else None


def _witness(guest: Guest) -> str:
    smbios = drives.parse(guest.config.get("smbios1", ""))
    if "uuid" in smbios:
        return f"uuid:{smbios['uuid']}"
    nics = sorted(drives.numbered(guest.config, "net"), key=lambda key: int(key[3:]))
    for key in nics:
        if address := drives.parse(guest.config[key]).get("hwaddr"):
            return f"mac:{address.lower()}"
    return f"volume:{drives.parse(guest.config.get('rootfs', '')).get('file', '')}"
