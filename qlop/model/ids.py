"""Name the things that have names, so that one can't stand where another belongs."""

from typing import NewType

ClusterName = NewType("ClusterName", str)
NodeName = NewType("NodeName", str)
ServiceName = NewType("ServiceName", str)
GuestName = NewType("GuestName", str)
"""``simrs`` for a service of one guest, ``simrs-1`` … for one with ``replicas``."""
VmId = NewType("VmId", int)
"""PVE's number of a guest, 100 to 999999999, unique in a cluster."""
StorageId = NewType("StorageId", str)
PoolId = NewType("PoolId", str)
Upid = NewType("Upid", str)
"""PVE's identifier of a task: ``UPID:node:pid:pstart:starttime:type:id:user:``."""
ActionId = NewType("ActionId", str)
"""``subject/verb/fingerprint``: equal in every cycle that wants the same thing."""
CycleId = NewType("CycleId", str)
OrderId = NewType("OrderId", str)
"""What an order is called by people: short, unique in its book."""
Revision = NewType("Revision", str)
"""Fingerprint of a loaded desired state."""
