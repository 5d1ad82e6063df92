"""Say which versions of PVE qlop works with."""

OLDEST = (8, 2)
"""The oldest whose API was checked (``docs/compatibility.md``)."""
NEWEST = (9, 2)
"""The newest one; a later 9.x is expected to be compatible, as 9.x has been so far."""


def remark_on(version: tuple[int, int, int]) -> str:
    """Return what a person should know about a cluster's version; empty if nothing."""
    name = f"PVE {version[0]}.{version[1]}"
    if version[:2] < OLDEST:
        return (
            f"{name} is older than {OLDEST[0]}.{OLDEST[1]}, the oldest that qlop knows: calls may"
            " be refused; upgrade the cluster"
        )
    if version[0] > NEWEST[0]:
        return (
            f"{name} is newer than {NEWEST[0]}.{NEWEST[1]}, the newest that qlop knows: look for"
            " a newer qlop before you rely on this one"
        )
    if version[:2] > NEWEST:
        return (
            f"{name} is newer than {NEWEST[0]}.{NEWEST[1]}, the newest that qlop was checked with"
        )
    return ""
