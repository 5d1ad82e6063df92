"""The user, the token and the roles that the page on installing has people make."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from qlop.sim.world import AclSpec, ClusterSpec, UserSpec

PAGE = (Path(__file__).parents[2] / "docs" / "install.md").read_text()
QLOP, TOKEN = "qlop@pve", "qlop@pve!daemon"
CREDENTIAL = f"{TOKEN}=secret"

ROLES: Mapping[str, frozenset[str]] = {
    name: frozenset(privileges.split())
    for name, privileges in re.findall(
        r'^pveum role add (\w+) --privs "?([^"#\n]+)', PAGE, re.MULTILINE
    )
}
OPTIONAL = "QlopSysModify"
GRANTS = [
    *(
        (path, role, True)
        for path, role in re.findall(r"modify (/\S*) +\$who --roles (\w+)", PAGE)
    ),
    ("/", OPTIONAL, False),
]


def granted(spec: ClusterSpec, roles: Mapping[str, frozenset[str]] = ROLES) -> ClusterSpec:
    """The cluster after step 1 of the page, with these privileges in its roles."""
    user = UserSpec(userid=QLOP, tokens={"daemon": "secret"}, privsep=("daemon",))
    acl = [
        AclSpec(path=path, who=who, role=role, propagate=propagate)
        for path, role, propagate in GRANTS
        for who in (QLOP, TOKEN)
        if role in roles
    ]
    given = {name: sorted(privileges) for name, privileges in roles.items()}
    return replace(spec, users=(*spec.users, user), roles=given, acl=acl)
