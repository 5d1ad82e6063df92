"""Say what is to be observed, and how much effort it may take."""

from dataclasses import dataclass
from datetime import timedelta

from qlop.model.ids import ClusterName, ServiceName, VmId


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest:
    """What the manifests want to know beyond configurations."""

    cluster: ClusterName
    snapshots_of: frozenset[ServiceName]
    backups_of: frozenset[VmId] = frozenset()
    """Guests whose backups decide whether they may be destroyed."""
    unsure: frozenset[VmId] = frozenset()
    """Guests whose configuration may have been changed without a trace: read every time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverOptions:
    """How much is read at once, and how often everything is read again.

    ``audit_period`` is the time in which the audit round comes by every guest once; with
    an SSH key, which shows every change, it takes ``audit_factor_with_ssh`` times that.
    """

    concurrency: int = 6
    """pvedaemon has three workers; twice that keeps them busy."""
    reading_time: timedelta = timedelta(seconds=15)
    """How long one observation may read guests; the rest is left to the next."""
    status_reads: int = 16
    """How many guests that no node has reported are asked for in one observation."""
    override: timedelta = timedelta(seconds=30)
    """How long a guest's own word stands against the listing, and how long after an action on
    it the listing is not taken at its word at all: pvestatd reports every 10 s, later on a
    node that is busy (``update_status`` in pve-manager's ``PVE/Service/pvestatd.pm``)."""
    audit_period: timedelta = timedelta(minutes=10)
    audit_factor_with_ssh: int = 6
    backup_period: timedelta = timedelta(minutes=10)
    """How old the list of a guest's backups may be; a task of the guest makes it old at once."""
    audit_pause: timedelta = timedelta(milliseconds=50)
    """The least pause between two reads of the audit round."""
