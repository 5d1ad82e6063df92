"""Every action that qlop can dispatch, each as an errand: a world in which it is due."""

import re
from dataclasses import dataclass, replace

from qlop.model.action import Verb
from qlop.model.guest import GuestKind
from qlop.model.verdict import Hold
from qlop.ports import Method, PveApi, PveCall
from qlop.sim import script
from tests.faults.town import CONTAINER_TEMPLATE, VMID, VirtualClock, Watched

VM, CT = GuestKind.VM, GuestKind.CONTAINER

_CLUSTER = """\
apiVersion: qlop/v1
kind: Cluster
metadata: {{name: hospital}}
spec:
  nodes: [pve1, pve2, pve3]
  storages: [local, local-lvm, nas]
  vmidRange: 10000-10009
  interval: 15s
  policy: {{prune: {prune}}}
"""
_SERVICE = """\
---
apiVersion: qlop/v1
kind: Service
metadata: {{name: web}}
spec:
  type: {type}
  memory: {memory}
  power: {power}
  onBoot: {on_boot}
  placement: {{preferred: [pve1]{allowed}}}
  changes: {{impact: {{reboot: do, downtime: do}}, fields: {{replace: do}}}}
  shutdown: {{timeout: 30s, thenStop: true}}
  snapshots: {{keep: [{snapshots}], prune: true}}
  networks: [{{bridge: vmbr0, address: dhcp}}]
"""
_VM = """\
  source: {{{source}}}
  agent: true
  scsiController: virtio-scsi-single
  disks: [{{slot: scsi0, storage: nas, format: qcow2, size: {size}{second}]
  cloudInit: {{storage: nas, user: {user}}}
"""
_CT = """\
  source: {{{source}}}
  rootfs: {{storage: local-lvm, size: {size}}}
  container: {{unprivileged: true, features: {{nesting: {nesting}}}}}
"""
_TRIED = """\
  rollback: {mode: auto, disks: true, watch: 60s}
  health: [{http: {port: 80}, interval: 5s, timeout: 1s, failures: 2, startPeriod: 20s}]
"""
"""What is bad shows before the faults end that strike for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the manifest of the one service says; the defaults are its everyday state."""

    exists: bool = True
    prune: str = "never"
    power: str = "running"
    memory: str = "1GiB"
    size: str = "3GiB"
    user: str = "admin"
    on_boot: bool = True
    pool: str = ""
    allowed: str = ""
    snapshots: str = ""
    nesting: bool = True
    second_disk: bool = False
    clone: bool = False
    persistent: bool = False
    tried: bool = False

    def text(self, kind: GuestKind) -> str:
        """Return the manifests."""
        text = _CLUSTER.format(prune=self.prune)
        if not self.exists:
            return text
        text += _SERVICE.format(
            type="vm" if kind is VM else "container",
            memory=self.memory,
            power=self.power,
            on_boot=str(self.on_boot).lower(),
            allowed=f", nodes: [{self.allowed}]" if self.allowed else "",
            snapshots=self.snapshots,
        )
        if self.pool:
            text += f"  pool: {self.pool}\n"
        if self.tried:
            text += _TRIED
        second = "}, {slot: scsi1, storage: nas, size: 1GiB}" if self.second_disk else "}"
        if self.persistent and kind is VM:
            second = "}, {slot: scsi1, storage: nas, size: 1GiB, persistent: true}"
        elif self.persistent:
            mount = "{path: /srv, storage: local-lvm, size: 1GiB, persistent: true}"
            text += f"  mountPoints: [{mount}]\n"
        shape = _VM if kind is VM else _CT
        return text + shape.format(
            source=self._source(kind),
            size=self.size,
            second=second,
            user=self.user,
            nesting=str(self.nesting).lower(),
        )

    def _source(self, kind: GuestKind) -> str:
        if self.clone:
            template, storage = (9000, "nas") if kind is VM else (CONTAINER_TEMPLATE, "local-lvm")
            return f"clone: {{template: {template}, full: true, storage: {storage}}}"
        if kind is VM:
            return "image: 'local:import/debian-12-genericcloud-amd64.qcow2'"
        return "archive: 'local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst'"


_NOBODY = Wish(exists=False)
_EVERYDAY = Wish()
_STOPPED = Wish(power="stopped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """An action that becomes due when the manifests change from ``before`` to ``after``.

    ``route`` is the call that carries it out, ``task`` the type of its worker (empty: it
    is done at once), ``storage`` where it needs room.
    """

    name: str
    kind: GuestKind
    verb: Verb
    before: Wish
    after: Wish
    route: str
    task: str = ""
    storage: str = ""
    leaves: tuple[int, ...] = (VMID,)
    """The guests of ours that there are in the end."""
    goals: frozenset[Hold] = frozenset()
    """What a guest may be held for in the end, since that is as it should be."""

    @property
    def id(self) -> str:
        """Return what the errand is called in tests."""
        return f"{self.kind.value}-{self.name}"

    @property
    def pattern(self) -> str:
        """Return the shell pattern of the call, for faults."""
        return re.sub(r"[{}]", "?", self.route)


def _both(
    verb: Verb, before: Wish, after: Wish, call: str, tasks: tuple[str, str]
) -> tuple[Errand, ...]:
    return tuple(
        Errand(
            name=verb.value,
            kind=kind,
            verb=verb,
            before=before,
            after=after,
            route=call.replace("KIND", kind.value),
            task=task,
            storage="nas" if kind is VM else "local-lvm",
        )
        for kind, task in zip((VM, CT), tasks, strict=True)
    )


_ON = "/nodes/{node}/KIND/{vmid}"


def all_errands() -> tuple[Errand, ...]:
    """Return every errand, for both kinds of guests where PVE has them."""
    return (
        *_both(
            Verb.CREATE,
            _NOBODY,
            Wish(),
            "POST /nodes/{node}/KIND",
            ("qmcreate", "vzcreate"),
        ),
        *_both(
            Verb.CLONE,
            _NOBODY,
            Wish(clone=True, size="4GiB"),
            f"POST {_ON}/clone",
            ("qmclone", "vzclone"),
        ),
        *_both(Verb.CONFIGURE, _EVERYDAY, Wish(on_boot=False), f"PUT {_ON}/config", ("", "")),
        Errand(
            name="configure-with-a-disk",
            kind=VM,
            verb=Verb.CONFIGURE,
            before=_STOPPED,
            after=Wish(power="stopped", second_disk=True),
            route="POST /nodes/{node}/qemu/{vmid}/config",
            task="qmconfig",
            storage="nas",
        ),
        *_both(Verb.RESIZE, _EVERYDAY, Wish(size="4GiB"), f"PUT {_ON}/resize", ("resize",) * 2),
        Errand(
            name="regenerate",
            kind=VM,
            verb=Verb.REGENERATE,
            before=_EVERYDAY,
            after=Wish(user="nurse"),
            route="PUT /nodes/{node}/qemu/{vmid}/cloudinit",
        ),
        *_both(Verb.ASSIGN_POOL, _EVERYDAY, Wish(pool="ward"), "PUT /pools", ("", "")),
        *_both(
            Verb.START, _STOPPED, _EVERYDAY, f"POST {_ON}/status/start", ("qmstart", "vzstart")
        ),
        Errand(
            name="resume",
            kind=VM,
            verb=Verb.RESUME,
            before=_EVERYDAY,
            after=_EVERYDAY,
            route="POST /nodes/{node}/qemu/{vmid}/status/resume",
            task="qmresume",
        ),
        *_both(
            Verb.SHUTDOWN,
            _EVERYDAY,
            _STOPPED,
            f"POST {_ON}/status/shutdown",
            ("qmshutdown", "vzshutdown"),
        ),
        Errand(
            name="reboot",
            kind=VM,
            verb=Verb.REBOOT,
            before=_EVERYDAY,
            after=Wish(memory="2GiB"),
            route="POST /nodes/{node}/qemu/{vmid}/status/reboot",
            task="qmreboot",
        ),
        Errand(
            name="reboot",
            kind=CT,
            verb=Verb.REBOOT,
            before=_EVERYDAY,
            after=Wish(nesting=False),
            route="POST /nodes/{node}/lxc/{vmid}/status/reboot",
            task="vzreboot",
        ),
        *_both(
            Verb.MIGRATE,
            _EVERYDAY,
            Wish(allowed="pve2"),
            f"POST {_ON}/migrate",
            ("qmigrate", "vzmigrate"),
        ),
        *_both(
            Verb.SNAPSHOT,
            _EVERYDAY,
            Wish(snapshots="good"),
            f"POST {_ON}/snapshot",
            ("qmsnapshot", "vzsnapshot"),
        ),
        *_both(
            Verb.DELETE_SNAPSHOT,
            Wish(snapshots="old"),
            _EVERYDAY,
            f"DELETE {_ON}/snapshot/{{snapname}}",
            ("qmdelsnapshot", "vzdelsnapshot"),
        ),
        *_both(
            Verb.DESTROY,
            _STOPPED,
            Wish(exists=False, prune="{mode: destroy, grace: 5s, backup: notNeeded}"),
            f"DELETE {_ON}",
            ("qmdestroy", "vzdestroy"),
        ),
        *(
            replace(one, leaves=(VMID, VMID + 1), goals=frozenset({Hold.ORPHANED}))
            for one in _replacements()
        ),
        *(replace(one, goals=frozenset({Hold.REVISION_BAD})) for one in _rollbacks()),
    )


def _replacements() -> tuple[Errand, ...]:
    """Return the steps of a replacement that are nothing else's."""
    before, after = Wish(persistent=True), Wish(persistent=True, clone=True)
    tasks = {VM: ("move_disk", "qmmove"), CT: ("move_volume", "move_volume")}
    return (
        *_both(Verb.REPLACE, before, after, f"PUT {_ON}/config", ("", "")),
        *(
            Errand(
                name=Verb.HAND_OVER.value,
                kind=kind,
                verb=Verb.HAND_OVER,
                before=before,
                after=after,
                route=f"POST {_ON.replace('KIND', kind.value)}/{call}",
                task=task,
            )
            for kind, (call, task) in tasks.items()
        ),
    )


def _rollbacks() -> tuple[Errand, ...]:
    """Return the way back from a change that makes a guest sick (see ``prepare``)."""
    before, worse = Wish(tried=True), {VM: {"memory": "2GiB"}, CT: {"nesting": False}}
    tasks = ("qmrollback", "vzrollback")
    call = f"POST {_ON}/snapshot/{{snapname}}/rollback"
    return tuple(
        replace(one, after=replace(before, **worse[one.kind]))  # type: ignore[arg-type]  # fields
        for one in _both(Verb.ROLLBACK, before, before, call, tasks)
    )


_NEEDED = {VM: "memory=1024", CT: "features=nesting=1"}


async def prepare(errand: Errand, api: PveApi, cluster: Watched) -> None:
    """Do by hand what no manifest can say."""
    if errand.verb is Verb.RESUME:
        await api.call(
            PveCall(
                method=Method.POST,
                route="/nodes/{node}/qemu/{vmid}/status/suspend",
                at={"node": "pve1", "vmid": VMID},
            )
        )
    if errand.verb is Verb.ROLLBACK:
        needed = f"guest {VMID} app needs {_NEEDED[errand.kind]}"
        script.do(cluster, needed, VirtualClock().now().timestamp())
