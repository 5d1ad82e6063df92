"""Manage users, tokens, roles, access control lists and tickets."""

import re

from qlop.ports import Json
from qlop.sim import qemu_options, roles, token_api
from qlop.sim.access import AUTH_DELAY_S, AclEntry, Identity, User
from qlop.sim.call import Call, Handlers
from qlop.sim.qemu_config import split_list
from qlop.sim.token_api import changed, user_of
from qlop.sim.wire import ApiError, Row, bad_parameters

_ACL_PATHS = re.compile(
    r"/|/access|/access/(groups|realm)(/[\w.@-]+)?|/nodes(/[\w.-]+)?|/pool(/[\w./-]+)?|"
    r"/sdn(/[\w./-]+)?|/storage(/[\w.-]+)?|/vms(/[1-9][0-9]{2,8})?|/mapping(/[\w./-]+)?"
)
_CAPABILITIES = {
    "vms": ("/vms", re.compile(r"VM\.|Permissions\.Modify")),
    "storage": ("/storage", re.compile(r"Datastore\.|Permissions\.Modify")),
    "access": ("/access", re.compile(r"(User|Permissions)\.Modify|Group\.Allocate")),
    "nodes": ("/nodes", re.compile(r"Sys\.|Permissions\.Modify")),
    "sdn": ("/sdn", re.compile(r"SDN\.|Permissions\.Modify")),
    "dc": ("/", re.compile(r"Sys\.(Audit|Modify)|SDN\.")),
    "mapping": ("/mapping", re.compile(r"Mapping\.|Permissions\.Modify")),
}
"""What a login is told of a user's rights: of the privileges at a path, those of a kind."""


def index(call: Call) -> Json:
    """Answer ``GET /access``."""
    del call
    names = ["users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket", "password"]
    return [{"subdir": name} for name in names]


def users(call: Call) -> Json:
    """Answer ``GET /access/users``."""
    rows: list[Json] = []
    for user in call.world.access.users.values():
        if user.userid != call.who.user and not (
            call.may("/access/groups", "User.Modify") or call.may("/access/groups", "Sys.Audit")
        ):
            continue
        row: Row = {
            "userid": user.userid,
            "enable": 1 if user.enable else 0,
            "expire": user.expire,
            **user.settings,
        }
        realm = user.userid.partition("@")[2]
        if realm in {"pam", "pve"}:
            row["realm-type"] = realm
        rows.append(row)
    return rows if call.who.is_root or call.may("/access/groups", "Sys.Audit") else []


def user_read(call: Call) -> Json:
    """Answer ``GET /access/users/{userid}``."""
    user = user_of(call)
    row: Row = {
        "enable": 1 if user.enable else 0,
        "expire": user.expire,
        "groups": list[Json](sorted(user.groups)),
        "tokens": {name: token_api.token_row(token) for name, token in user.tokens.items()},
        **user.settings,
    }
    return row


def create_user(call: Call) -> Json:
    """Answer ``POST /access/users``."""
    access = call.world.access
    userid = call.params["userid"]
    if len(userid) < 3:
        raise ApiError(f"user name '{userid}' is too short")
    if not re.fullmatch(r"[^\s:/]+@[A-Za-z][\w.-]+", userid):
        raise ApiError(f"value '{userid}' does not look like a valid user name")
    call.world.need_quorum_prefixed("create user failed: ", "file-user_cfg")
    if userid in access.users:
        raise ApiError(f"create user failed: user '{userid}' already exists")
    ours = {"userid", "password", "enable", "expire", "groups"}
    access.users[userid] = User(
        userid=userid,
        password=call.text("password"),
        enable=call.text("enable", "1") == "1",
        expire=call.number("expire"),
        groups=set(split_list(call.text("groups"))),
        settings={key: value for key, value in call.params.items() if key not in ours},
    )
    changed(call)
    return None


def update_user(call: Call) -> Json:
    """Answer ``PUT /access/users/{userid}``."""
    user = user_of(call)
    if "enable" in call.params:
        user.enable = call.flag("enable")
    if "expire" in call.params:
        user.expire = call.number("expire")
    if "groups" in call.params:
        groups = set(split_list(call.params["groups"]))
        user.groups = user.groups | groups if call.flag("append") else groups
    ours = {"userid", "enable", "expire", "groups", "append"}
    user.settings.update({key: value for key, value in call.params.items() if key not in ours})
    changed(call)
    return None


def delete_user(call: Call) -> Json:
    """Answer ``DELETE /access/users/{userid}``."""
    user = user_of(call)
    access = call.world.access
    del access.users[user.userid]
    access.acl = [entry for entry in access.acl if entry.who.partition("!")[0] != user.userid]
    changed(call)
    return None


def role_list(call: Call) -> Json:
    """Answer ``GET /access/roles``."""
    everything = {**roles.builtin(), **call.world.access.custom_roles}
    rows: list[Json] = []
    for name, privileges in everything.items():
        row: Row = {"roleid": name, "privs": ",".join(sorted(privileges))}
        if name in roles.builtin():
            row["special"] = 1
        rows.append(row)
    return rows


def role_read(call: Call) -> Json:
    """Answer ``GET /access/roles/{roleid}``."""
    name = call.params["roleid"]
    privileges = call.world.access.role_privileges(name)
    if privileges is None:
        raise ApiError(f"role '{name}' does not exist")
    return dict.fromkeys(sorted(privileges), 1)


def create_role(call: Call) -> Json:
    """Answer ``POST /access/roles``."""
    access, name = call.world.access, call.params["roleid"]
    if access.role_privileges(name) is not None:
        raise ApiError(f"create role failed: role '{name}' already exists")
    access.custom_roles[name] = frozenset(split_list(call.text("privs")))
    changed(call)
    return None


def update_role(call: Call) -> Json:
    """Answer ``PUT /access/roles/{roleid}``."""
    access, name = call.world.access, call.params["roleid"]
    if name in roles.builtin():
        raise ApiError(f"auto-generated role '{name}' cannot be modified")
    if name not in access.custom_roles:
        raise ApiError(f"role '{name}' does not exist")
    given = frozenset(split_list(call.text("privs")))
    before = access.custom_roles[name] if call.flag("append") else frozenset()
    access.custom_roles[name] = before | given
    changed(call)
    return None


def delete_role(call: Call) -> Json:
    """Answer ``DELETE /access/roles/{roleid}``."""
    access, name = call.world.access, call.params["roleid"]
    if name in roles.builtin():
        raise ApiError(f"auto-generated role '{name}' cannot be deleted")
    if name not in access.custom_roles:
        raise ApiError(f"role '{name}' does not exist")
    del access.custom_roles[name]
    changed(call)
    return None


def acl_list(call: Call) -> Json:
    """Answer ``GET /access/acl``."""
    return [
        {
            "path": entry.path,
            "type": entry.kind,
            "ugid": entry.who,
            "roleid": entry.role,
            "propagate": 1 if entry.propagate else 0,
        }
        for entry in call.world.access.acl
        if call.may(entry.path, "Permissions.Modify") or call.may("/access", "Sys.Audit")
    ]


def acl_update(call: Call) -> Json:
    """Answer ``PUT /access/acl``."""
    access, path = call.world.access, call.params["path"]
    subjects = [
        (kind, who)
        for kind, name in (("user", "users"), ("group", "groups"), ("token", "tokens"))
        for who in split_list(call.text(name))
    ]
    if not subjects:
        text = "either 'users', 'groups' or 'tokens' is required."
        raise bad_parameters(dict.fromkeys(("users", "groups", "tokens"), text))
    if _ACL_PATHS.fullmatch(path) is None:
        raise bad_parameters({"path": f"invalid ACL path '{path}'"})
    for role in split_list(call.params["roles"]):
        if access.role_privileges(role) is None:
            raise ApiError(f"ACL update failed: role '{role}' does not exist")
        for kind, who in subjects:
            _check_subject(call, kind, who)
            access.acl = [
                entry
                for entry in access.acl
                if (entry.path, entry.kind, entry.who, entry.role) != (path, kind, who, role)
            ]
            if not call.flag("delete"):
                propagate = call.text("propagate", "1") == "1"
                access.acl.append(
                    AclEntry(path=path, kind=kind, who=who, role=role, propagate=propagate)
                )
    changed(call)
    return None


def _check_subject(call: Call, kind: str, who: str) -> None:
    access = call.world.access
    if call.flag("delete"):
        return
    user, _, token = who.partition("!")
    if kind == "user" and who not in access.users:
        raise ApiError(f"ACL update failed: user '{who}' does not exist")
    if kind == "group" and who not in access.groups:
        raise ApiError(f"ACL update failed: group '{who}' does not exist")
    if kind == "token" and (user not in access.users or token not in access.users[user].tokens):
        raise ApiError(f"ACL update failed: no such token '{token}' for user '{user}'")


def permissions(call: Call) -> Json:
    """Answer ``GET /access/permissions``: effective privileges by path."""
    access = call.world.access
    who = call.who
    if (userid := call.get("userid")) is not None:
        user, _, token = userid.partition("!")
        who = Identity(user=user, token=token)
        if who.user != call.who.user:
            call.demand("/access", "Sys.Audit")
    path = call.get("path")
    standard = ["/", "/vms", "/nodes", "/storage", "/pool", "/sdn", "/access", "/access/groups"]
    paths = [path] if path is not None else [*standard, *(entry.path for entry in access.acl)]
    rows: Row = {}
    for each in paths:
        granted = access.privileges(who, each)
        if granted:
            rows[each] = dict.fromkeys(sorted(granted), 1)
    return rows


def domains(call: Call) -> Json:
    """Answer ``GET /access/domains``."""
    del call
    return [
        {"realm": "pam", "type": "pam", "comment": "Linux PAM standard authentication"},
        {"realm": "pve", "type": "pve", "comment": "Proxmox VE authentication server"},
    ]


def groups(call: Call) -> Json:
    """Answer ``GET /access/groups``."""
    access = call.world.access
    return [
        {
            "groupid": name,
            "comment": comment,
            "users": ",".join(
                sorted(user.userid for user in access.users.values() if name in user.groups)
            ),
        }
        for name, comment in access.groups.items()
    ]


def create_group(call: Call) -> Json:
    """Answer ``POST /access/groups``."""
    access, name = call.world.access, call.params["groupid"]
    if name in access.groups:
        raise ApiError(f"create group failed: group '{name}' already exists")
    access.groups[name] = call.text("comment")
    changed(call)
    return None


def delete_group(call: Call) -> Json:
    """Answer ``DELETE /access/groups/{groupid}``."""
    access, name = call.world.access, call.params["groupid"]
    if name not in access.groups:
        raise ApiError(f"delete group failed: group '{name}' does not exist")
    del access.groups[name]
    for user in access.users.values():
        user.groups.discard(name)
    changed(call)
    return None


def ticket(call: Call) -> Json:
    """Answer ``POST /access/ticket``: a login, or the renewal of a ticket."""
    access = call.world.access
    userid = call.params["username"]
    if "realm" in call.params and "@" not in userid:
        userid = f"{userid}@{call.params['realm']}"
    user, password = access.users.get(userid), call.params["password"]
    now = call.world.stamp()
    is_valid = user is not None and user.enable and not (user.expire and user.expire < now)
    renews = access.tickets.get(password) == userid
    if (
        user is None
        or not is_valid
        or not (renews or (user.password and user.password == password))
    ):
        raise ApiError("authentication failure", status=401, delay_s=AUTH_DELAY_S)
    value = f"PVE:{userid}:{now:08X}::{qemu_options.new_uuid(call.world)}"
    access.tickets[value] = userid
    csrf = f"{now:08X}:{qemu_options.new_uuid(call.world)}"
    access.csrf[value] = csrf
    who = Identity(user=userid)
    capabilities: Row = {
        name: dict.fromkeys(sorted(filter(pattern.match, access.privileges(who, path))), 1)
        for name, (path, pattern) in _CAPABILITIES.items()
    }
    return {
        "username": userid,
        "ticket": value,
        "CSRFPreventionToken": csrf,
        "cap": capabilities,
        "clustername": call.world.spec.name,
    }


_USER = "/access/users/{userid}"


def group_read(call: Call) -> Json:
    """Answer ``GET /access/groups/{groupid}``."""
    name = _group(call)
    users = call.world.access.users.values()
    row: Row = {"members": [user.userid for user in users if name in user.groups]}
    if comment := call.world.access.groups[name]:
        row["comment"] = comment
    return row


def update_group(call: Call) -> Json:
    """Answer ``PUT /access/groups/{groupid}``."""
    call.world.need_quorum_prefixed("update group failed: ", "file-user_cfg")
    name = _group(call, "update group failed: ")
    if (comment := call.get("comment")) is not None:
        call.world.access.groups[name] = comment
    changed(call)
    return None


def _group(call: Call, prefix: str = "") -> str:
    name = call.params["groupid"]
    if name not in call.world.access.groups:
        raise ApiError(f"{prefix}group '{name}' does not exist")
    return name


HANDLERS: Handlers = {
    "GET /access/groups/{groupid}": group_read,
    "PUT /access/groups/{groupid}": update_group,
    "GET /access": index,
    "POST /access/ticket": ticket,
    "GET /access/users": users,
    "POST /access/users": create_user,
    f"GET {_USER}": user_read,
    f"PUT {_USER}": update_user,
    f"DELETE {_USER}": delete_user,
    "GET /access/roles": role_list,
    "POST /access/roles": create_role,
    "GET /access/roles/{roleid}": role_read,
    "PUT /access/roles/{roleid}": update_role,
    "DELETE /access/roles/{roleid}": delete_role,
    "GET /access/acl": acl_list,
    "PUT /access/acl": acl_update,
    "GET /access/permissions": permissions,
    "GET /access/domains": domains,
    "GET /access/groups": groups,
    "POST /access/groups": create_group,
    "DELETE /access/groups/{groupid}": delete_group,
}
