"""Lower a resolved service to guests: replicas counted out, defaults filled in."""

from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256

from qlop.manifest import devices, lower_care, options, windows
from qlop.manifest.check_service import check_service
from qlop.manifest.conduct import Changes, ImpactConsents, Placement, Shutdown, Snapshots
from qlop.manifest.marks import Path
from qlop.manifest.resolve import Resolved, Scope
from qlop.manifest.schema import DEFAULT_VMID_RANGE, ClusterSpec, PolicyPart, ServiceSpec
from qlop.model import desired
from qlop.model.address import ip_config
from qlop.model.consent import Consent, Consents
from qlop.model.desired import DesiredGuest, DesiredService
from qlop.model.finding import Finding, Severity
from qlop.model.guest import GuestKind, Power
from qlop.model.ids import GuestName, NodeName, PoolId, ServiceName, StorageId, VmId
from qlop.model.window import Window

DEFAULT_SHUTDOWN = timedelta(minutes=3)
"""Three times what PVE grants: a database that is writing back deserves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something that only one guest can have, and where it was asked for."""

    value: str
    guest: GuestName
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lowered:
    """A service and its guests; ``guests`` is empty if any finding is an error.

    ``inputs`` are the documents it was made from; as long as they are the same objects,
    so is this. ``digest`` is that of what it means, whatever it was written like.
    """

    inputs: tuple[object, ...]
    scope: Scope
    service: DesiredService
    guests: tuple[DesiredGuest, ...]
    placement: desired.Placement
    template: int | str | None
    vmids: tuple[Claim, ...]
    macs: tuple[Claim, ...]
    addresses: tuple[Claim, ...]
    findings: tuple[Finding, ...]
    digest: bytes


def lower_service(
    resolved: Resolved, cluster: ClusterSpec | None, inputs: tuple[object, ...]
) -> Lowered:
    """Return what a service amounts to, with every finding about it."""
    scope, spec = resolved.scope, resolved.spec
    findings = (*resolved.findings, *check_service(scope, spec, cluster))
    names = guest_names(scope.entry.name, spec.replicas)
    is_sound = scope.complete and all(f.severity is not Severity.ERROR for f in findings)
    placement = _placement(spec.placement or Placement.model_construct())
    guests = _guests(scope, spec, cluster, placement, names) if is_sound else ()
    clone = spec.source.clone if spec.source is not None else None
    return Lowered(
        inputs=inputs,
        scope=scope,
        service=_service(scope, spec, names),
        guests=guests,
        placement=placement,
        template=None if clone is None else clone.template,
        vmids=_vmid_claims(spec, names),
        macs=_mac_claims(guests),
        addresses=_address_claims(guests),
        findings=findings,
        digest=_digest(scope, spec),
    )


def guest_names(service: str, replicas: int | None) -> tuple[GuestName, ...]:
    """Return the names of a service's guests, in the order of their numbers."""
    if replicas is None:
        return (GuestName(service),)
    return tuple(GuestName(f"{service}-{number}") for number in range(1, replicas + 1))


def _service(scope: Scope, spec: ServiceSpec, names: tuple[GuestName, ...]) -> DesiredService:
    entry = scope.entry
    return DesiredService(
        name=ServiceName(entry.name),
        guests=names,
        update=lower_care.update(spec),
        checks=lower_care.checks(spec),
        rollback=lower_care.rollback(spec),
        depends_on=frozenset(map(ServiceName, spec.depends_on or ())),
        fingerprint=lower_care.fingerprint(spec),
        labels=entry.text_map("labels"),
        annotations=entry.text_map("annotations"),
        profiles=tuple(spec.profiles or ()),
        inherited=scope.inherited,
        origin=entry.origin,
    )


def _guests(
    scope: Scope,
    spec: ServiceSpec,
    cluster: ClusterSpec | None,
    placement: desired.Placement,
    names: tuple[GuestName, ...],
) -> tuple[DesiredGuest, ...]:
    first = _first_guest(scope, spec, cluster, placement, names[0])
    shared = options.shared_options(spec)
    disks = devices.vm_disks(spec)
    found = []
    for index, name in enumerate(names, start=1):
        place = {"name": str(name), "service": scope.entry.name}
        own = options.own_options(spec, index=index, **place)
        if first.kind is GuestKind.CONTAINER:
            disks = devices.container_disks(spec, index=index, **place)
        found.append(
            replace(
                first,
                name=name,
                index=index,
                vmid=None if spec.vmid is None else VmId(spec.vmid + index - 1),
                options={**shared, **own},
                disks=disks,
                nics=devices.nics(spec, index=index, **place),
            )
        )
    return tuple(found)


def _first_guest(
    scope: Scope,
    spec: ServiceSpec,
    cluster: ClusterSpec | None,
    placement: desired.Placement,
    name: GuestName,
) -> DesiredGuest:
    """Return a guest with all that the guests of a service have alike."""
    assert spec.memory is not None, "checked: a service without memory has a finding"
    shutdown = spec.shutdown or Shutdown.model_construct()
    snapshots = spec.snapshots or Snapshots.model_construct()
    default_range = (cluster.vmid_range if cluster is not None else None) or DEFAULT_VMID_RANGE
    return DesiredGuest(
        name=name,
        service=ServiceName(scope.entry.name),
        index=1,
        kind=options.kind_of(spec),
        source=_source(spec),
        vmid=None,
        vmid_range=spec.vmid_range or default_range,
        options={},
        disks=(),
        nics=(),
        networks_declared=spec.networks is not None,
        create_options=options.create_options(spec),
        pool=None if spec.pool is None else PoolId(spec.pool),
        power=Power.STOPPED if spec.power == "stopped" else Power.RUNNING,
        placement=placement,
        snapshots=desired.Snapshots(
            keep=tuple(snapshots.keep or ()),
            prune=bool(snapshots.prune),
            memory=bool(snapshots.memory),
        ),
        shutdown_timeout=shutdown.timeout or DEFAULT_SHUTDOWN,
        may_stop=bool(shutdown.then_stop),
        consents=consents_of(spec.changes or Changes.model_construct()),
        windows=_windows(spec, cluster),
        memory_bytes=spec.memory,
        origin=scope.entry.origin,
    )


def consents_of(part: Changes) -> Consents:
    """Return what a service consents to, with every default filled in."""
    plain = Consents()
    said = part.impact or ImpactConsents.model_construct()

    def word(text: str | None, default: Consent) -> Consent:
        return default if text is None else Consent(text)

    return Consents(
        none=word(said.none, plain.none),
        hot=word(said.hot, plain.hot),
        reboot=word(said.reboot, plain.reboot),
        downtime=word(said.downtime, plain.downtime),
        data_loss=word(said.data_loss, plain.data_loss),
        fields={name: Consent(text) for name, text in sorted((part.fields or {}).items())},
    )


def _windows(spec: ServiceSpec, cluster: ClusterSpec | None) -> tuple[Window, ...]:
    policy = (cluster.policy if cluster is not None else None) or PolicyPart.model_construct()
    zone = policy.timezone or windows.DEFAULT_ZONE
    ours = windows.lower_windows(policy.windows or (), zone)
    if spec.windows is None:
        return ours
    return windows.chosen_windows(spec.windows, {one.name: one for one in ours}, zone)


def _source(spec: ServiceSpec) -> desired.Source:
    source = spec.source
    assert source is not None, "checked: a service without a source has a finding"
    if source.clone is not None:
        template, storage = source.clone.template, source.clone.storage
        assert template is not None, "checked: a clone without a template has a finding"
        return desired.CloneSource(
            template=template if isinstance(template, str) else VmId(template),
            full=source.clone.full is not False,
            storage=None if storage is None else StorageId(storage),
        )
    if source.image is not None:
        return desired.ImageSource(volume=source.image)
    if source.iso is not None:
        return desired.IsoSource(volume=source.iso)
    if source.archive is not None:
        return desired.ArchiveSource(volume=source.archive)
    return desired.EmptySource() if source.empty is not None else desired.ExistingSource()


def _placement(part: Placement) -> desired.Placement:
    return desired.Placement(
        allowed=None if part.nodes is None else frozenset(map(NodeName, part.nodes)),
        preferred=tuple(map(NodeName, part.preferred or ())),
        spread=part.spread is not False,
        apart_from=frozenset(map(ServiceName, part.apart_from or ())),
        together_with=frozenset(map(ServiceName, part.together_with or ())),
    )


def _vmid_claims(spec: ServiceSpec, names: tuple[GuestName, ...]) -> tuple[Claim, ...]:
    if spec.vmid is None:
        return ()
    return tuple(
        Claim(value=str(spec.vmid + number), guest=name, path=("vmid",))
        for number, name in enumerate(names)
    )


def _mac_claims(guests: tuple[DesiredGuest, ...]) -> tuple[Claim, ...]:
    return tuple(
        Claim(value=nic.mac, guest=guest.name, path=("networks", position, "mac"))
        for guest in guests
        for position, nic in enumerate(guest.nics)
        if nic.mac is not None
    )


def _address_claims(guests: tuple[DesiredGuest, ...]) -> tuple[Claim, ...]:
    found = []
    for guest in guests:
        for position, nic in enumerate(guest.nics):
            said = ip_config(guest, nic)
            for key, field in (("ip", "address"), ("ip6", "address6")):
                address, slash, _ = said.get(key, "").partition("/")
                if slash:
                    path: Path = ("networks", position, field)
                    found.append(Claim(value=address.lower(), guest=guest.name, path=path))
    return tuple(found)


def _digest(scope: Scope, spec: ServiceSpec) -> bytes:
    entry = scope.entry
    meaning = spec.model_dump_json(exclude_none=True, exclude={"profiles"})
    words = [entry.name, entry.text_map("labels"), entry.text_map("annotations"), meaning]
    return sha256(repr(words).encode()).digest()
