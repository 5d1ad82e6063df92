"""Adopted unchanged: what is imported is adopted without a change, and left alone but for
what its manifest says, with every option that PVE takes."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from qlop.manifest.export import Exported, export
from qlop.manifest.load import load
from qlop.model.desired import Desired, DesiredDisk, DesiredGuest, DesiredNic
from qlop.model.folding import fold
from qlop.model.guest import GuestKind
from qlop.model.ids import ClusterName, OrderId
from qlop.model.observed import Observed, ObservedGuest
from qlop.model.option import property_default
from qlop.model.orders import Adopt, Orders
from qlop.model.orders import fold as fold_orders
from qlop.model.plan import Plan, PlanInput
from qlop.model.reading import Known
from qlop.model.source import SourceFile, SourceTree
from qlop.model.verdict import Converged
from qlop.observer.observer import Interest, Observer
from qlop.planner import adoption, planner
from qlop.planner.audit import audit
from qlop.pve import calls
from qlop.sim import formats
from qlop.sim.access import CSRF_MARK
from qlop.sim.inprocess import InProcessApi
from tests import virtual_time
from tests.contract import schema_table
from tests.contract.recordings import SCHEMAS
from tests.laws import any_guest
from tests.laws.any_guest import CONTAINER, LEFT_OUT, NOT_OPTIONS, VM, Maker, options_of
from tests.sim.lab import Lab

GUESTS = 200
ROOT = f"PVEAuthCookie=ours{CSRF_MARK}csrf"
CLUSTER = b"""
apiVersion: qlop/v1
kind: Cluster
metadata: {name: hospital}
spec: {nodes: [pve1, pve2, pve3]}
"""
NODES = ("pve1", "pve2", "pve3")
Raw = dict[str, object]


@dataclass(slots=True)
class Village:
    """A simulated cluster with guests that somebody made before qlop came."""

    seed: int
    guests: Sequence[any_guest.Drawn]
    lab: Lab = field(default_factory=Lab)

    def __post_init__(self) -> None:
        access = self.lab.cluster.world.access
        access.tickets["ours"], access.csrf["ours"] = "root@pam", "csrf"
        assert self.lab.call("POST", "/pools", as_=ROOT, poolid="simrs").status == 200
        for guest in self.guests:
            self._create(guest)
        self.lab.later(60)

    def _create(self, guest: any_guest.Drawn) -> None:
        path = f"/nodes/{NODES[guest.vmid % 3]}/{guest.kind}"
        made = self.lab.call("POST", path, as_=ROOT, vmid=guest.vmid, **guest.params)
        assert made.status == 200, (self.seed, guest, made.reason, made.errors)
        assert self.lab.exit_of(str(made.value())) == "OK", (self.seed, guest)
        if guest.starts:
            self.lab.call("POST", f"{path}/{guest.vmid}/status/start", as_=ROOT)

    def look(self) -> Observed:
        """What an observer sees that looks for the first time."""
        return virtual_time.run(self._look())

    async def _look(self) -> Observed:
        clock = _Clock(self.lab.now)
        observer = Observer(InProcessApi(self.lab.cluster, clock), clock)
        interest = Interest(cluster=ClusterName("hospital"), snapshots_of=frozenset())
        for _ in range(10):
            seen = await observer.observe(interest)
            if all(isinstance(guest.config, Known) for guest in seen.guests.values()):
                self.lab.now = clock.now().timestamp()
                return seen
        raise AssertionError("not all could be read")

    def carry_out(self, plan: Plan) -> None:
        """Send what waits for nothing, and let its tasks end."""
        virtual_time.run(self._send(plan))
        self.lab.later(20)

    async def _send(self, plan: Plan) -> None:
        clock = _Clock(self.lab.now)
        api = InProcessApi(self.lab.cluster, clock)
        for planned in plan.actions:
            if not planned.after:
                await api.call(calls.call_for(planned.action))
        self.lab.now = clock.now().timestamp()

    def raw(self, vmid: int) -> Raw:
        """The guest's configuration as PVE shows it."""
        guest = self.lab.cluster.world.guests[vmid]
        path = f"/nodes/{guest.node}/{guest.kind.value}/{vmid}/config"
        return dict(self.lab.get(path))


@dataclass(frozen=True, slots=True)
class _Clock:
    began: float

    def now(self) -> datetime:
        later = timedelta(seconds=asyncio.get_running_loop().time())
        return datetime.fromtimestamp(self.began, UTC) + later

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())


def _tree(**more: str) -> SourceTree:
    texts = {"cluster.yaml": CLUSTER, **{name: text.encode() for name, text in more.items()}}
    files = [
        SourceFile(path=name, content=text, size_bytes=len(text)) for name, text in texts.items()
    ]
    return SourceTree(root="", files=tuple(files))


def _theirs(seen: Observed) -> list[ObservedGuest]:
    return [guest for guest in seen.guests.values() if not guest.template]


def _loaded(exported: Exported) -> Desired:
    texts = {f"{one.service}.yaml": one.text for one in exported.manifests}
    loaded = load(_tree(**texts))
    assert loaded.desired is not None, loaded.findings
    return loaded.desired


def _source(desired: Desired, seen: Observed, orders: Orders | None = None) -> PlanInput:
    return PlanInput(
        desired=desired,
        observed=seen,
        history=fold(()),
        now=seen.taken_at,
        orders=orders or Orders(),
    )


def _orders(desired: Desired, now: datetime) -> Orders:
    return fold_orders(
        Adopt(
            id=OrderId(f"o{want.vmid}"),
            at=now,
            by="ana",
            reason="",
            until=now + timedelta(hours=1),
            vmid=want.vmid,
            service=want.service,
            index=want.index,
        )
        for want in desired.guests.values()
        if want.vmid is not None
    )


def _plan(source: PlanInput) -> Plan:
    plan = planner.plan(source)
    assert audit(source, plan) == ()
    return plan


@pytest.mark.slow  # two hundred guests, made and looked at several times
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_guests_with_any_options_are_adopted_unchanged_and_kept_so(seed: int) -> None:
    """Two hundred guests are created, read, written, loaded, planned, marked and changed."""
    village = Village(seed, [*Maker(seed).guests(GUESTS)])
    seen = village.look()
    before = {guest.vmid: village.raw(guest.vmid) for guest in _theirs(seen)}
    exported = export(_theirs(seen), _tree())
    assert not exported.skipped, (seed, exported.skipped)
    desired = _loaded(exported)
    proofs = adoption.proofs(_source(desired, seen))

    assert len(proofs) == GUESTS
    assert {name: one.held for name, one in proofs.items() if not one.fits} == {}, seed

    orders = _orders(desired, seen.taken_at)
    village.carry_out(_plan(_source(desired, seen, orders)))
    adopted = village.look()
    plan = _plan(_source(desired, adopted))

    assert plan.actions == (), seed
    verdicts = {name: one.verdict for name, one in plan.verdicts.items()}
    assert all(isinstance(one, Converged) for one in verdicts.values()), (seed, verdicts)
    for vmid, raw in before.items():
        assert _changed(raw, village.raw(vmid)) <= {"description", "tags", "digest"}, (seed, vmid)

    _change_and_compare(village, seed, desired, adopted)


def _change_and_compare(village: Village, seed: int, desired: Desired, seen: Observed) -> None:
    """Change some of every guest, and see that PVE shows nothing else changed."""
    before = {guest.vmid: village.raw(guest.vmid) for guest in _theirs(seen)}
    guests = {name: _otherwise(want, seen) for name, want in desired.guests.items()}
    desired = replace(desired, guests=guests)
    plan = _plan(_source(desired, seen))
    for _ in range(4):
        village.carry_out(plan)
        plan = _plan(_source(desired, village.look()))

    assert plan.actions == (), (seed, plan.actions)
    for want in guests.values():
        assert want.vmid is not None
        was, now = before[want.vmid], village.raw(want.vmid)
        slots = {disk.slot for disk in want.disks} | {nic.slot for nic in want.nics}
        assert _changed(was, now) <= {"digest", "onboot", "tags"} | slots, (seed, want.vmid)
        for slot in slots:
            assert _others(slot, was) == _others(slot, now), (seed, want.vmid)


def _otherwise(want: DesiredGuest, seen: Observed) -> DesiredGuest:
    """The guest with another start at boot, a tag, disks and NICs changed in one property."""
    assert want.vmid is not None
    reading = seen.guests[want.vmid].config
    assert isinstance(reading, Known)
    onboot = "0" if reading.value.options.get("onboot") == "1" else "1"
    tags = f"{want.options.get('tags', 'qlop')};zz"
    return replace(
        want,
        options={**want.options, "onboot": onboot, "tags": tags},
        disks=tuple(_disk(want.kind, disk, reading.value.disks) for disk in want.disks),
        nics=tuple(_nic(nic) for nic in want.nics),
    )


def _disk(kind: GuestKind, disk: DesiredDisk, have: Mapping[str, object]) -> DesiredDisk:
    if kind is GuestKind.CONTAINER or disk.slot not in have or disk.volume is not None:
        return disk
    if disk.slot in {"efidisk0", "tpmstate0"}:
        return disk
    former = disk.properties.get("backup", property_default(kind, disk.slot, "backup"))
    flipped = "0" if former == "1" else "1"
    return replace(disk, properties={**disk.properties, "backup": flipped})


def _nic(nic: DesiredNic) -> DesiredNic:
    flipped = "0" if nic.properties.get("firewall") == "1" else "1"
    return replace(nic, properties={**nic.properties, "firewall": flipped})


def _changed(was: Raw, now: Raw) -> set[str]:
    return {key for key in was.keys() | now.keys() if was.get(key) != now.get(key)}


_WORDS = {"on": "1", "yes": "1", "off": "0", "no": "0"}


def _others(slot: str, raw: Raw) -> dict[str, float | str]:
    """The properties of a disk or NIC that were not to be changed."""
    changed = "firewall" if slot.startswith("net") else "backup"
    parts = [part.partition("=") for part in str(raw[slot]).split(",")]
    return {key: _meant(value) for key, _, value in parts if key != changed}


def _meant(text: str) -> float | str:
    """What a value means: PVE takes ``1.50`` for ``1.5`` and ``on`` for ``1``."""
    word = _WORDS.get(text, text)
    try:
        return float(word)
    except ValueError:
        return word


@pytest.mark.parametrize("kind", [VM, CONTAINER])
def test_no_option_is_left_out_of_the_drawing(kind: str) -> None:
    drawn = [
        guest.params
        for seed in (1, 2, 3)
        for guest in Maker(seed).guests(GUESTS)
        if guest.kind == kind
    ]
    keys = {key for params in drawn for key in params}

    missing = [
        name
        for name, _, count in options_of(kind)
        if not keys & ({f"{name}{number}" for number in range(count)} if count else {name})
    ]
    assert missing == []


@pytest.mark.parametrize("kind", [VM, CONTAINER])
def test_no_key_of_an_option_is_left_out_of_the_drawing(kind: str) -> None:
    """Every key of every property string is drawn; what is not is listed with the reason."""
    drawn = [guest.params for seed in (1, 2, 3) for guest in Maker(seed).guests(GUESTS)]

    missing = []
    for name, spec, count in options_of(kind):
        keys = formats.property_keys(spec.format) if spec.format else None
        numbered = [f"{name}{number}" for number in range(count)] if count else [name]
        values = [params[key] for params in drawn for key in numbered if key in params]
        seen = {part.partition("=")[0] for text in values for part in text.split(",")}
        missing += [
            f"{name}.{key}"
            for key, found in (keys or {}).items()
            if not found.alias and not found.default_key and key not in seen
            if (name.rstrip("0123456789"), key) not in LEFT_OUT and ("", key) not in LEFT_OUT
        ]
    assert missing == []


@pytest.mark.recordings
@pytest.mark.parametrize("kind", [VM, CONTAINER])
def test_the_options_are_those_of_the_api_itself(kind: str) -> None:
    file = SCHEMAS / "pve-9.1.5.json"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    table = schema_table.table(json.loads(file.read_text()))
    params = table["routes"][f"POST /nodes/{{node}}/{kind}"]["params"]

    theirs = {name.removesuffix("[n]") for name in params} - NOT_OPTIONS.keys()
    assert theirs == {name for name, _, _ in options_of(kind)}
