"""Know who a caller is and what they may do: users, tokens, roles, access control lists.

Rules as in ``PVE/AccessControl.pm`` and ``PVE/RPCEnvironment.pm``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from qlop.sim import roles
from qlop.sim.wire import ApiError

AUTH_DELAY_S = 3.0
"""How long every 401 takes."""


CSRF_MARK = ";csrf="
"""Parts a ticket from its CSRF token in an authorization that a cookie carried."""


@dataclass(slots=True, kw_only=True)
class Token:
    """An API token's secret and limits."""

    secret: str
    privsep: bool = True
    expire: int = 0
    comment: str | None = None


@dataclass(slots=True, kw_only=True)
class User:
    """An account."""

    userid: str
    password: str = ""
    enable: bool = True
    expire: int = 0
    settings: dict[str, str] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    tokens: dict[str, Token] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AclEntry:
    """One line of the access control list; ``kind`` is user, group or token."""

    path: str
    kind: str
    who: str
    role: str
    propagate: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who calls: a user, perhaps through one of their tokens."""

    user: str
    token: str = ""

    @property
    def full(self) -> str:
        """Return the name as UPIDs and logs have it."""
        return f"{self.user}!{self.token}" if self.token else self.user

    @property
    def is_root(self) -> bool:
        """Return whether it is root itself: a token of root is not."""
        return self.user == "root@pam" and not self.token


@dataclass(slots=True, kw_only=True)
class Access:
    """The access configuration (``user.cfg``)."""

    users: dict[str, User] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    custom_roles: dict[str, frozenset[str]] = field(default_factory=dict)
    acl: list[AclEntry] = field(default_factory=list)
    tickets: dict[str, str] = field(default_factory=dict)
    csrf: dict[str, str] = field(default_factory=dict)
    """The token that must come with each change made under a ticket."""
    vm_pool: dict[int, str] = field(default_factory=dict)
    _cache: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def changed(self) -> None:
        """Forget computed rights after any change."""
        self._cache.clear()

    def role_privileges(self, role: str) -> frozenset[str] | None:
        """Return a role's privileges, or ``None`` if there is no such role."""
        return self.custom_roles.get(role, roles.builtin().get(role))

    def identify(
        self, authorization: str | None, now: int, *, is_mutation: bool = False
    ) -> Identity:
        """Return who calls.

        Raises:
            ApiError: 401, after 3 s and without a body, whatever the cause.
        """
        value = authorization or ""
        if value.startswith("PVEAuthCookie="):
            ticket, _, csrf = value.removeprefix("PVEAuthCookie=").partition(CSRF_MARK)
            user = self.tickets.get(ticket)
            if user is None:
                raise _refused("Authentication failed!")
            if is_mutation and self.csrf.get(ticket) != csrf:
                raise _refused("Permission denied - invalid csrf token")
            return Identity(user=user)
        for prefix in ("PVEAPIToken=", "PVEAPIToken "):
            if value.startswith(prefix):
                return self._token_identity(value.removeprefix(prefix), now)
        raise _refused("No ticket")

    def _token_identity(self, value: str, now: int) -> Identity:
        who, _, secret = value.partition("=")
        userid, _, token_id = who.partition("!")
        user = self.users.get(userid)
        token = None if user is None else user.tokens.get(token_id)
        if user is None or token is None or not secret or token.secret != secret:
            raise _refused("Authentication failed!")
        too_late = any(limit and limit < now for limit in (user.expire, token.expire))
        if not user.enable or too_late:
            raise _refused("Authentication failed!")
        return Identity(user=userid, token=token_id)

    def privileges(self, who: Identity, path: str) -> frozenset[str]:
        """Return what ``who`` may do at ``path``, inherited rights included."""
        key = (who.full, path)
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._privileges(who, path)
        return found

    def _privileges(self, who: Identity, path: str) -> frozenset[str]:
        user = self.users.get(who.user)
        if who.user == "root@pam" and (not who.token or (user and not self._privsep(user, who))):
            return roles.ALL
        if user is None:
            return frozenset()
        own = self._granted(path, {("user", who.user)}, user.groups)
        if who.user == "root@pam":
            own = roles.ALL
        if not who.token or not self._privsep(user, who):
            return own
        return own & self._granted(path, {("token", who.full)}, set())

    @staticmethod
    def _privsep(user: User, who: Identity) -> bool:
        token = user.tokens.get(who.token)
        return token is None or token.privsep

    def _granted(
        self, path: str, subjects: set[tuple[str, str]], groups: Iterable[str]
    ) -> frozenset[str]:
        granted = self._along(path, subjects, groups)
        segments = path.split("/")
        if len(segments) >= 3 and segments[1] == "vms" and segments[2].isdigit():
            pool = self.vm_pool.get(int(segments[2]))
            if pool is not None:
                granted |= self._along(f"/pool/{pool}", subjects, groups)
        return granted

    def _along(
        self, path: str, subjects: set[tuple[str, str]], groups: Iterable[str]
    ) -> frozenset[str]:
        """Walk from the root to ``path``: the deepest entries for a subject win."""
        in_groups = {("group", name) for name in groups}
        granted: frozenset[str] = frozenset()
        steps = [""] if path == "/" else path.rstrip("/").split("/")
        for depth in range(len(steps)):
            here = "/".join(steps[: depth + 1]) or "/"
            is_last = depth == len(steps) - 1
            at = [entry for entry in self.acl if entry.path == here]
            at = [entry for entry in at if entry.propagate or is_last]
            mine = [entry for entry in at if (entry.kind, entry.who) in subjects]
            mine = mine or [entry for entry in at if (entry.kind, entry.who) in in_groups]
            if any(entry.role == "NoAccess" for entry in mine):
                granted = frozenset()  # It outdoes the other roles of the same place.
            elif mine:
                granted = frozenset().union(
                    *(self.role_privileges(entry.role) or frozenset() for entry in mine)
                )
        return granted

    def may(self, who: Identity, path: str, *privileges: str) -> bool:
        """Return whether ``who`` has all ``privileges`` at ``path``."""
        return self.privileges(who, path).issuperset(privileges)

    def demand(self, who: Identity, path: str, *privileges: str) -> None:
        """Refuse the call with a 403 unless ``who`` has all ``privileges`` at ``path``."""
        missing = [name for name in privileges if name not in self.privileges(who, path)]
        if missing:
            raise denied(f"{path}, {', '.join(missing)}")


def denied(detail: str = "") -> ApiError:
    """Return the 403 that names what is missing."""
    suffix = f" ({detail})" if detail else ""
    return ApiError(f"Permission check failed{suffix}", status=403)


def _refused(text: str) -> ApiError:
    return ApiError(text, status=401, delay_s=AUTH_DELAY_S, empty=True)
