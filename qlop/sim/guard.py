"""Check a caller's permission for a method, before its parameters are looked at.

The schema's own check expressions, as ``PVE/RPCEnvironment.pm`` (``exec_api2_perm_check``)
evaluates them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from qlop.ports import Json
from qlop.sim.access import Identity, denied
from qlop.sim.engine import World
from qlop.sim.schema import Route
from qlop.sim.wire import ApiError

_NAME_MIN, _NAME_MAX = 3, 64


def check(world: World, route: Route, who: Identity, values: Mapping[str, Json]) -> None:
    """Refuse the call with a 403 unless the caller may make it.

    ``values`` are the path's variables and the raw parameters.
    """
    if route.no_token and who.token:
        raise denied(
            f"URI '{_filled(route.template, values)}' not available with API token, need proper "
            f"ticket.\n"
        )
    if who.is_root:
        return
    if route.check is None:
        if route.user not in {"all", "world"}:
            raise denied("user != root@pam")
        return
    _evaluate(world, route.check, who, values)


def _filled(template: str, values: Mapping[str, Json]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: str(values.get(found[1], "")), template)


def _evaluate(
    world: World, expression: Sequence[Any], who: Identity, values: Mapping[str, Json]
) -> None:
    match expression[0]:
        case "and":
            for part in expression[1:]:
                _evaluate(world, part, who, values)
        case "or":
            _any_of(world, expression[1:], who, values)
        case "perm":
            _perm(world, expression, who, values)
        case "perm-modify":
            path = _filled(expression[1], values)
            if not world.access.may(who, path, "Permissions.Modify"):
                world.access.demand(who, path, "Permissions.Modify")
        case "userid-param":
            _userid_param(world, expression[1], who, values)
        case "userid-group":
            if not any(world.access.may(who, "/access/groups", name) for name in expression[1]):
                raise denied()
        case _:
            raise denied("user != root@pam")


def _any_of(world: World, parts: Sequence[Any], who: Identity, values: Mapping[str, Json]) -> None:
    """Refuse the call unless one of the ways in is open; PVE names none of them."""
    for part in parts:
        try:
            _evaluate(world, part, who, values)
        except ApiError:
            continue
        return
    raise denied()


def _perm(
    world: World, expression: Sequence[Any], who: Identity, values: Mapping[str, Json]
) -> None:
    path = _filled(expression[1], values)
    privileges: list[str] = expression[2]
    options = dict(zip(expression[3::2], expression[4::2], strict=False))
    if "require_param" in options and not values.get(options["require_param"]):
        return
    if re.fullmatch(r"/storage/(?![a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]$).*", path):
        raise denied(f", {', '.join(privileges)}")
    if options.get("any"):
        if not any(world.access.may(who, path, name) for name in privileges):
            raise denied(f"{path}, {'|'.join(privileges)}")
        return
    missing = [name for name in privileges if not world.access.may(who, path, name)]
    if missing:
        raise denied(f"{path}, {', '.join(privileges)}")


def _userid_param(world: World, what: str, who: Identity, values: Mapping[str, Json]) -> None:
    userid = str(values.get("userid", ""))
    _verify_name(userid)
    if what == "self":
        if userid != who.user:
            raise denied("user != " + userid)
        return
    realm = userid.partition("@")[2]
    if not world.access.may(who, f"/access/realm/{realm}", what):
        raise denied(f"/access/realm/{realm}, {what}")


def _verify_name(userid: str) -> None:
    """Refuse what can't be a user's name (``verify_username`` in ``PVE/AccessControl.pm``)."""
    if len(userid) < _NAME_MIN:
        raise ApiError(f"user name '{userid}' is too short")
    if len(userid) > _NAME_MAX:
        raise ApiError(f"user name '{userid}' is too long ({len(userid)} > {_NAME_MAX})")
    if re.fullmatch(r"[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+", userid) is None:
        raise ApiError(f"value '{userid}' does not look like a valid user name")
