"""Say what a change costs the people who use the guest."""

from enum import IntEnum


class Impact(IntEnum):
    """From nothing to the worst; the impact of several changes is their maximum."""

    NONE = 0
    """Nothing that runs notices."""
    HOT = 1
    """Done while the guest runs; its users hardly notice (a live migration, a new NIC)."""
    REBOOT = 2
    """Takes effect when the guest is rebooted; until then PVE keeps it pending."""
    DOWNTIME = 3
    """The guest is not available while it is done, or after it."""
    DATA_LOSS = 4
    """Something stored can't be had back afterwards."""
