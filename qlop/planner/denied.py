"""Say of an action that PVE refused for want of a privilege who has to be given what.

PVE names path and privilege, ``Permission check failed (/vms/100, VM.Config.CPU)``
(``check`` in pve-access-control, ``PVE/RPCEnvironment.pm``). Roles given on a path take the
place of those inherited from above it, so what is said here adds to the role that qlop has,
and never gives one privilege alone on a path below it.
"""

import re
from datetime import timedelta

from qlop.model.history import Failure
from qlop.model.verdict import Held, Hold

PAUSE = timedelta(minutes=5)
"""How long to leave it: nothing but a person's word changes the answer, and that may come
at any time."""

CALLER = "qlop@pve!daemon"
"""Who asks, if nobody says otherwise: the token of docs/install.md."""

_MISSING = re.compile(
    r"Permission check failed \((/[^,]*), ((?:\|?[A-Z][A-Za-z]*(?:\.[A-Za-z]+)+)+)"
)
_ROOT_ONLY = re.compile(
    r"only root can|only allowed for root@pam|root@pam can set|user != root@pam"
)

_ROLES = (
    ("/vms", "/vms", "QlopGuests"),
    ("/storage", "/storage", "QlopStorage"),
    ("/pool", "/pool", "QlopPools"),
    ("/mapping", "/mapping", "QlopMappings"),
)
"""What begins so, on which path qlop has its role for it, and which (docs/install.md)."""


def hold(verb: str, failure: Failure, caller: str, again: str) -> Held | None:
    """Return the hold of a failure that only a person can mend, None if it is another one.

    ``again`` says when it is tried again, ``caller`` is the user or ``user!token`` that asks.
    """
    said = failure.message
    if _ROOT_ONLY.search(said):
        remedy = (
            "PVE lets root@pam itself do that, and no token: do it by hand, or take it out of"
            " the manifest"
        )
    elif failure.error != "denied":
        return None
    elif (found := _MISSING.search(said)) is not None:
        remedy = _grant(found[1], found[2].split("|")[0], caller or CALLER)
    else:
        remedy = "see that the API token is right, enabled and not expired, and what it may do"
    return Held(
        reason=Hold.DENIED, message=f"PVE refuses {verb}: {said}", remedy=f"{remedy}; {again}"
    )


def _grant(path: str, privilege: str, caller: str) -> str:
    """Return the commands that give a privilege to a token and, as both need it, its user."""
    user = caller.partition("!")[0]
    who = f"--users {user}" + (f" --tokens '{caller}'" if caller != user else "")
    if path == "/":
        role = f"Qlop{privilege.replace('.', '')}"
        return (
            f"give user and token {privilege} on /, as root on any node:"
            f" pveum role add {role} --privs {privilege} &&"
            f" pveum acl modify / {who} --roles {role} --propagate 0"
        )
    at, role = _place(path)
    return (
        f"give user and token {privilege} on {at}, as root on any node:"
        f" pveum role modify {role} --append 1 --privs {privilege} &&"
        f" pveum acl modify {at} {who} --roles {role}"
    )


def _place(path: str) -> tuple[str, str]:
    if path.startswith("/sdn/zones/"):
        return "/".join(path.split("/")[:4]), "QlopNetwork"
    for start, at, role in _ROLES:
        if path == start or path.startswith(f"{start}/"):
            return at, role
    return path, "QlopGuests"
