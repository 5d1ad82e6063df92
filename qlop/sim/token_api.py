"""Manage API tokens."""

from qlop.ports import Json
from qlop.sim import qemu_options
from qlop.sim.access import Token, User
from qlop.sim.call import Call, Handlers
from qlop.sim.wire import ApiError, Row, bad_parameters


def user_of(call: Call) -> User:
    """Return the user that the path names."""
    userid = call.params["userid"]
    user = call.world.access.users.get(userid)
    if user is None:
        raise ApiError(f"no such user ('{userid}')")
    return user


def changed(call: Call) -> None:
    """Record that users, tokens, roles or rights have changed."""
    call.world.access.changed()
    call.world.wrote_file("user.cfg")


def token_row(token: Token) -> Row:
    """Return what a listing tells of a token."""
    row: Row = {"expire": token.expire, "privsep": 1 if token.privsep else 0}
    if token.comment is not None:
        row["comment"] = token.comment
    return row


def tokens(call: Call) -> Json:
    """Answer ``GET /access/users/{userid}/token``."""
    return [{"tokenid": name, **token_row(token)} for name, token in user_of(call).tokens.items()]


def _token(call: Call) -> Token:
    name = call.params["tokenid"]
    token = user_of(call).tokens.get(name)
    if token is None:
        raise ApiError(f"no such token '{name}' for user '{call.params['userid']}'")
    return token


def token_read(call: Call) -> Json:
    """Answer ``GET /access/users/{userid}/token/{tokenid}``."""
    return token_row(_token(call))


def create_token(call: Call) -> Json:
    """Answer ``POST /access/users/{userid}/token/{tokenid}``: the only time the secret shows."""
    user, name = user_of(call), call.params["tokenid"]
    if name in user.tokens:
        raise bad_parameters({"tokenid": "Token already exists."})
    token = Token(
        secret=qemu_options.new_uuid(call.world),
        privsep=call.text("privsep", "1") == "1",
        expire=call.number("expire"),
        comment=call.get("comment"),
    )
    user.tokens[name] = token
    changed(call)
    info: Row = {"privsep": call.params.get("privsep", 1)}
    for key in ("comment", "expire"):
        if key in call.params:
            info[key] = call.params[key]
    return {"full-tokenid": f"{user.userid}!{name}", "value": token.secret, "info": info}


def update_token(call: Call) -> Json:
    """Answer ``PUT /access/users/{userid}/token/{tokenid}``."""
    token = _token(call)
    if "expire" in call.params:
        token.expire = call.number("expire")
    if "privsep" in call.params:
        token.privsep = call.flag("privsep")
    if "comment" in call.params:
        token.comment = call.params["comment"]
    changed(call)
    row = token_row(token)
    for key in ("expire", "privsep"):
        if key in call.params:
            row[key] = call.params[key]
    return row


def delete_token(call: Call) -> Json:
    """Answer ``DELETE /access/users/{userid}/token/{tokenid}``."""
    _token(call)
    user, name = user_of(call), call.params["tokenid"]
    del user.tokens[name]
    access = call.world.access
    access.acl = [entry for entry in access.acl if entry.who != f"{user.userid}!{name}"]
    changed(call)
    return None


_TOKENS = "/access/users/{userid}/token"

HANDLERS: Handlers = {
    f"GET {_TOKENS}": tokens,
    f"GET {_TOKENS}/{{tokenid}}": token_read,
    f"POST {_TOKENS}/{{tokenid}}": create_token,
    f"PUT {_TOKENS}/{{tokenid}}": update_token,
    f"DELETE {_TOKENS}/{{tokenid}}": delete_token,
}
