"""A small cluster with strangers in it, watched: who changed what, and was it allowed.

Beside the guest that qlop is to look after there are a running VM and a running container
of somebody else, and a VM and a container whose notes carry the very mark of ours.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from typing_extensions import override

from qlop.model.guest import GuestKind
from qlop.model.ids import ClusterName, ServiceName, VmId
from qlop.model.owner import OwnerMark, derived_mac, derived_uuid, mark_text, parse_mark
from qlop.ports import Json, PveCall
from qlop.sim.call import Call
from qlop.sim.cluster import Cluster
from qlop.sim.inprocess import InProcessApi
from qlop.sim.living import SimProber
from qlop.sim.state import Guest
from qlop.sim.wire import SimRequest, SimResponse
from qlop.sim.world import ClusterSpec, GuestSpec, hospital

BEGAN = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
CLUSTER, SERVICE = ClusterName("hospital"), ServiceName("web")
VMID = VmId(10_000)
VMIDS = range(10_000, 10_010)
"""What our guest may be given, should its first VMID be taken."""
STRANGERS = (500, 501, 777, 778)
CONTAINER_TEMPLATE = 9100


class VirtualClock:
    """Virtual wall time, that of the running loop."""

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A mutation that the cluster carried out, or began to."""

    at: float
    route: str
    path: str
    vmids: frozenset[int]
    upid: str
    was_quorate: bool


class Watched(Cluster):
    """A simulated cluster that writes down what it was made to do."""

    def __init__(self, spec: ClusterSpec, *, seed: int, now: float) -> None:
        super().__init__(spec, seed=seed, now=now)
        self.changes: list[Change] = []
        self.overlaps: list[str] = []
        """Mutations taken while a task of an earlier one on the same guest still ran."""

    @override
    def _run(self, call: Call, request: SimRequest) -> SimResponse:
        response = super()._run(call, request)
        if request.method != "GET":
            upid = response.data if isinstance(response.data, str) else ""
            vmids = _vmids(call)
            running = [one for one in self.changes if one.vmids & vmids and not self.exit_of(one)]
            self.overlaps += [f"{one.path} and {request.path}" for one in running]
            self.changes.append(
                Change(
                    at=self.now,
                    route=f"{request.method} {call.route.template}",
                    path=request.path,
                    vmids=vmids,
                    upid=upid if upid.startswith("UPID:") else "",
                    was_quorate=self.world.is_quorate(),
                )
            )
        return response

    def exit_of(self, change: Change) -> str:
        """Return how a change ended: ``OK`` if it was done at once, empty if it goes on."""
        if not change.upid:
            return "OK"
        return self.world.tasks[change.upid].exit or ""

    def is_done(self, change: Change) -> bool:
        """Return whether a change ended well."""
        end = self.exit_of(change)
        return end == "OK" or end.startswith("WARNINGS")

    def ours(self) -> list[Guest]:
        """Return the guests that were made for our service."""
        return [guest for guest in self.world.guests.values() if self._is_ours(guest)]

    def _is_ours(self, guest: Guest) -> bool:
        mark = parse_mark(guest.config.get("description", ""))
        named = guest.config.get("name", guest.config.get("hostname", "")) == SERVICE
        return guest.vmid not in STRANGERS and (named or mark is not None)

    def strangers(self) -> dict[int, str]:
        """Return the configuration files of the guests that nobody may touch."""
        return {vmid: self.world.guests[vmid].text() for vmid in STRANGERS}


def _vmids(call: Call) -> frozenset[int]:
    """Return every guest that a call is about, but for a template that is cloned."""
    words = [str(call.params.get(name, "")) for name in ("newid", "vms")]
    if not call.route.template.endswith("/clone"):
        words.append(str(call.params.get("vmid", "")))
    return frozenset(int(word) for text in words for word in text.split(",") if word)


def town(*, seed: int) -> Watched:
    """Return the cluster at its first instant."""
    base = hospital()
    spec = replace(
        base,
        guests=(*base.guests, *_strangers(), _container_template()),
        pools=("ward",),
    )
    began = BEGAN.timestamp()
    cluster = Watched(spec, seed=seed, now=began - 60)
    cluster.advance(began)
    return cluster


def our_mark(kind: GuestKind) -> str:
    """Return the mark that our guest will carry."""
    place = (CLUSTER, SERVICE, 1, VMID)
    witness = (
        f"uuid:{derived_uuid(*place)}"
        if kind is GuestKind.VM
        else f"mac:{derived_mac(*place, 'net0').lower()}"
    )
    return mark_text(
        OwnerMark(cluster=CLUSTER, service=SERVICE, index=1, vmid=VMID, witness=witness)
    )


def _strangers() -> tuple[GuestSpec, ...]:
    return (
        GuestSpec(vmid=500, node="pve1", running=True, config=_vm("billing", "")),
        GuestSpec(vmid=501, node="pve1", kind="lxc", running=True, config=_ct("dns", "")),
        GuestSpec(vmid=777, node="pve1", config=_vm("web", our_mark(GuestKind.VM))),
        GuestSpec(
            vmid=778, node="pve1", kind="lxc", config=_ct("web", our_mark(GuestKind.CONTAINER))
        ),
    )


def _vm(name: str, description: str) -> dict[str, str]:
    config = {"name": name, "memory": "512", "scsi0": "nas:1,format=qcow2", "onboot": "1"}
    return config | ({"description": description} if description else {})


def _ct(name: str, description: str) -> dict[str, str]:
    config = {
        "hostname": name,
        "memory": "256",
        "ostype": "debian",
        "unprivileged": "1",
        "rootfs": "local-lvm:1",
        "net0": "name=eth0,bridge=vmbr0,ip=dhcp",
        "onboot": "1",
    }
    return config | ({"description": description} if description else {})


def _container_template() -> GuestSpec:
    config = _ct("debian-12-ct", "") | {"template": "1", "onboot": "0"}
    return GuestSpec(vmid=CONTAINER_TEMPLATE, node="pve1", kind="lxc", config=config)


@dataclass(slots=True)
class Wire:
    """The way to the cluster, watched: what was seen of the quorum, what was sent after."""

    cluster: Watched
    inner: InProcessApi = field(init=False)
    prober: SimProber = field(init=False)
    seen_quorate: bool = True
    sent_blindly: list[str] = field(default_factory=list)
    """Mutations sent although the last look had shown that there is no quorum."""

    def __post_init__(self) -> None:
        self.inner = InProcessApi(self.cluster, VirtualClock())
        self.prober = SimProber(self.cluster, VirtualClock())

    async def call(self, call: PveCall) -> Json:
        if call.is_mutation and not self.seen_quorate:
            self.sent_blindly.append(f"{call.method.value} {call.path}")
        answer = await self.inner.call(call)
        if call.route == "/cluster/status" and isinstance(answer, list):
            rows = [row for row in answer if isinstance(row, dict)]
            self.seen_quorate = any(row.get("quorate") == 1 for row in rows)
        return answer
