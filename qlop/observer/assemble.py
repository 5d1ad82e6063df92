"""Put together what was read into what the planner may believe. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from qlop.model.guest import GuestKind, Power
from qlop.model.ids import NodeName, StorageId
from qlop.model.node import ObservedNode, ObservedStorage
from qlop.model.observed import GuestConfig, ObservedGuest, ObservedSnapshot
from qlop.model.reading import Known, Reading, Unknown
from qlop.model.units import MIB
from qlop.pve import parse_resources
from qlop.pve.parse_resources import ClusterStatus, GuestRow
from qlop.pve.payload import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The cluster without its guests; ``consistent`` if listing and status agree."""

    quorate: Reading[bool]
    consistent: bool
    nodes: Mapping[NodeName, ObservedNode]
    storages: Mapping[tuple[StorageId, NodeName], ObservedStorage]
    gaps: tuple[str, ...]

    @property
    def offline(self) -> frozenset[NodeName]:
        """Return the nodes that are not online."""
        return frozenset(name for name, node in self.nodes.items() if not node.online)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What a guest's own node said, more recent than the listing.

    It holds until the listing agrees or moves on from ``listed``, or ``until`` is past.
    """

    power: Power
    listed: Power
    until: datetime

    def holds(self, row: GuestRow, now: datetime) -> bool:
        """Return whether it is still the better news."""
        return now < self.until and row.power is self.listed and row.power is not self.power


def guest_of(
    row: GuestRow,
    config: Reading[GuestConfig],
    snapshots: Reading[tuple[ObservedSnapshot, ...]],
    *,
    override: Override | None,
    told: bool,
) -> ObservedGuest:
    """Return a guest as the cluster shows it.

    The listing has name, template and memory from pvestatd, up to 10 s late and at first
    not at all; the configuration has them exactly. A guest on a node that is offline is
    listed as running for minutes: unless ``told``, what it does is not known.
    """
    power = override.power if override is not None else row.power
    have = config.value if isinstance(config, Known) else None
    return ObservedGuest(
        vmid=row.vmid,
        kind=row.kind,
        node=row.node,
        name=_name(row, have),
        power=power if told else Power.UNKNOWN,
        template=row.template or (have is not None and have.options.get("template") == "1"),
        lock=row.lock,
        tags=row.tags,
        pool=row.pool,
        ha_state=row.ha_state,
        memory_bytes=row.memory_bytes or _memory_bytes(have),
        config=config,
        snapshots=snapshots,
    )


def _name(row: GuestRow, config: GuestConfig | None) -> str:
    key = "name" if row.kind is GuestKind.VM else "hostname"
    name = config.options.get(key, "") if config is not None else ""
    return name if isinstance(name, str) and name else row.name


def _memory_bytes(config: GuestConfig | None) -> int:
    memory = config.options.get("memory", "512") if config is not None else ""
    return int(memory) * MIB if isinstance(memory, str) and memory.isdecimal() else 0


def overview(rows: Sequence[Row] | None, status: Known[ClusterStatus] | Unknown) -> Overview:
    """Return what the rows that are no guests, and the status, say of the cluster.

    ``rows`` is None if there is no listing.
    """
    listing = rows if rows is not None else ()
    gaps: list[str] = []
    listed = parse_resources.parse_nodes(listing)
    storages = parse_resources.parse_storages(listing)
    gaps += [reading.reason for reading in (listed, storages) if isinstance(reading, Unknown)]
    nodes = listed.value if isinstance(listed, Known) else {}
    if isinstance(status, Unknown):
        gaps.append(f"whether the cluster is quorate is not known: {status.reason}")
        quorate: Reading[bool] = status
        agree = False
    else:
        quorate = Known(status.value.quorate)
        agree = isinstance(listed, Known) and views_agree(nodes.values(), status.value)
        if not agree and rows is not None:
            gaps.append("the list of resources and the cluster's status see other nodes online")
        nodes = nodes_of(nodes, status.value)
    return Overview(
        quorate=quorate,
        consistent=agree,
        nodes=nodes,
        storages=storages.value if isinstance(storages, Known) else {},
        gaps=tuple(gaps),
    )


def nodes_of(
    listed: Mapping[NodeName, ObservedNode], status: ClusterStatus
) -> dict[NodeName, ObservedNode]:
    """Return the nodes; one is online only if the listing and the members say so."""
    nodes = dict(listed)
    for name, online in status.online.items():
        if name not in nodes:
            nodes[name] = ObservedNode(name=name, online=online)
        elif nodes[name].online and not online:
            nodes[name] = replace(nodes[name], online=False)
    return nodes


def views_agree(listed: Iterable[ObservedNode], status: ClusterStatus) -> bool:
    """Return whether listing and status see the same nodes online.

    They may have been answered by different nodes. On two sides of a split each side sees
    itself online and the other not, so that a listing from the side without quorum can't
    pass for one from the other.
    """
    return {node.name for node in listed if node.online} == {
        name for name, online in status.online.items() if online
    }


def lacks_privilege(permissions: Mapping[str, frozenset[str]]) -> str:
    """Return what the token may not see that a complete listing would show, if anything."""
    given = permissions.get("/vms", permissions.get("/", frozenset()))
    if "VM.Audit" in given:
        return ""
    return (
        "the token lacks VM.Audit on /vms: guests it may not see are not listed, and which"
        " VMIDs are free can't be told"
    )
