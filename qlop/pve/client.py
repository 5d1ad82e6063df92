"""Call the PVE API with proxmoxer: in threads, with deadlines, over several endpoints.

The only file that imports proxmoxer, whose habits are undone here: a timeout of 5 s,
bodies that are no JSON passed on as data, redirections followed or taken for success,
parameters and whole answers formatted for its log, urllib3's warnings switched off for
everybody, and trust that the environment can change (``REQUESTS_CA_BUNDLE``).

Reads are retried, mutations never: they go out once, on a fresh connection, to the first
endpoint that takes a connection at all. What became of a mutation whose answer is lost
can only be seen by looking; that is ``AMBIGUOUS``.
"""

import asyncio
import errno
import logging
import os
import random
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import structlog
import tenacity
from requests import RequestException, Response
from typing_extensions import override
from urllib3.exceptions import HTTPError

from qlop.ports import ErrorKind, Json, Method, PortError, PveApi, PveCall, Scalar
from qlop.pve import tls, unanswered
from qlop.pve.answer import HttpAnswer, NotPveError, data_of, utf8_reason
from qlop.pve.endpoints import EndpointHealth, Endpoints
from qlop.settings import ApiSettings

with warnings.catch_warnings():  # Importing it switches urllib3's warnings off.
    from proxmoxer.backends.https import ProxmoxHTTPApiTokenAuth, ProxmoxHttpSession
    from proxmoxer.core import ProxmoxResource

WORKERS = 8
"""pveproxy and pvedaemon have three workers each; more threads would only wait there."""
CONNECT_TIMEOUT_S = 5.0
READ_ATTEMPTS = 3
READ_RETRY_FIRST_S = 0.25
MUTATION_MARGIN_S = 5.0
"""pveproxy gives up on another node after 30 s and says so; we wait for that."""
BODY_BYTES_MAX = 64 * 1024 * 1024
"""The largest answer, 10,000 guests' resources, has about 4 MiB."""
_CHUNK_BYTES = 1024 * 1024

CallHook = Callable[[str, Method, int, float], None]
"""Told of each exchange: route, method, HTTP status (0: no answer), seconds."""

log = structlog.get_logger(__name__)


class ProxmoxerApi(PveApi):
    """The PVE API of a real cluster. ``close`` it when done.

    A cancelled call abandons its thread, which ends by its own deadline: whether a
    cancelled mutation was carried out is not known.
    """

    def __init__(
        self,
        settings: ApiSettings,
        *,
        on_call: CallHook | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Prepare to call; nothing is sent yet.

        Raises:
            OSError: if the CA file can't be read or holds no certificate.
        """
        for name in ("proxmoxer.core", "proxmoxer.backends.https"):
            logging.getLogger(name).disabled = True  # It formats parameters, keys included.
        self._timeout_s = settings.timeout.total_seconds()
        self._exchanges = _Exchanges(settings)
        self._endpoints = Endpoints(endpoint.authority for endpoint in settings.endpoints)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="pve-api")
        self._on_call = on_call
        self._jitter = jitter

    def close(self) -> None:
        """Let the threads go, and break off what they wait for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._exchanges.close()

    def endpoints(self) -> tuple[EndpointHealth, ...]:
        """Return how each endpoint fares, for status and metrics."""
        return self._endpoints.health(time.monotonic())

    @override
    async def call(self, call: PveCall) -> Json:
        if call.is_mutation:
            return await self._attempt(call, self._timeout_s + MUTATION_MARGIN_S)
        attempts = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(READ_ATTEMPTS),
            wait=self._pause_s,
            retry=tenacity.retry_if_exception(_is_worth_repeating),
            reraise=True,
        )
        try:
            async with asyncio.timeout(READ_ATTEMPTS * self._timeout_s):
                return await attempts(self._attempt, call, self._timeout_s)
        except TimeoutError:
            message = f"{call.route}: no answer within {READ_ATTEMPTS * self._timeout_s:.0f} s"
            raise PortError(ErrorKind.TRANSIENT, message) from None

    def _pause_s(self, state: tenacity.RetryCallState) -> float:
        """Return how long to wait: longer each time, never the same for two callers."""
        return READ_RETRY_FIRST_S * 2.0 ** (state.attempt_number - 1) * (0.5 + self._jitter())

    async def _attempt(self, call: PveCall, timeout_s: float) -> Json:
        """Ask one endpoint after the other until one answers."""
        errors: list[PortError] = []
        for authority in self._endpoints.candidates(time.monotonic()):
            self._endpoints.claim(authority, time.monotonic(), timeout_s)
            outcome = await self._ask(authority, call, timeout_s)
            self._note(authority, outcome)
            if outcome.error is None:
                return outcome.data
            if outcome.answered or (call.is_mutation and outcome.sent):
                raise outcome.error
            errors.append(outcome.error)
        raise _combined(errors) if errors else self._circuit_open()

    def _circuit_open(self) -> PortError:
        wait_s = self._endpoints.reopens_in_s(time.monotonic())
        return _CircuitOpenError(
            ErrorKind.TRANSIENT,
            f"not calling the PVE API for another {wait_s:.0f} s: {self._endpoints.errors()}",
        )

    def _note(self, authority: str, outcome: "_Outcome") -> None:
        """Remember whether the endpoint answered, and say it when that changes things."""
        if outcome.answered:
            if self._endpoints.answered(authority):
                log.info("PVE API answers again", endpoint=authority)
        elif self._endpoints.failed(authority, str(outcome.error), time.monotonic()):
            log.warning("PVE API does not answer; pausing calls", error=self._endpoints.errors())

    async def _ask(self, authority: str, call: PveCall, timeout_s: float) -> "_Outcome":
        """Make one exchange in a thread; wait for it no longer than its deadline."""
        started = time.monotonic()
        future: Future[HttpAnswer | _Outcome] = self._pool.submit(
            self._exchanges.exchange, authority, call, started + timeout_s
        )
        try:
            async with asyncio.timeout(timeout_s + CONNECT_TIMEOUT_S):
                found = await asyncio.wrap_future(future)
            outcome = _understood(call, found, authority)
        except TimeoutError:
            # Cancelled before a thread took it up: nothing can have left.
            sent = not future.cancelled()
            message = f"{authority}: no answer in {timeout_s:.0f} s"
            kind = ErrorKind.AMBIGUOUS if sent and call.is_mutation else ErrorKind.TRANSIENT
            outcome = _Outcome(error=PortError(kind, message), sent=sent)
        if self._on_call is not None:
            seconds = time.monotonic() - started
            self._on_call(call.route, call.method, outcome.status, seconds)
        return outcome


class _CircuitOpenError(PortError):
    """Nothing was tried: repeating at once would not help."""


def _combined(errors: Sequence[PortError]) -> PortError:
    """Return one error for an attempt in which no endpoint was of any use."""
    message = "; ".join(error.message for error in errors)
    return PortError(errors[-1].kind, message, status=errors[-1].status)


def _is_worth_repeating(error: BaseException) -> bool:
    return (
        isinstance(error, PortError)
        and error.kind is ErrorKind.TRANSIENT
        and not isinstance(error, _CircuitOpenError)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How one exchange went. ``answered``: by PVE, be it with an error."""

    data: Json = None
    error: PortError | None = None
    answered: bool = False
    sent: bool = True
    status: int = 0


def _understood(call: PveCall, found: HttpAnswer | _Outcome, authority: str) -> _Outcome:
    """Return what an answer means.

    It is decoded here and not in its thread: the interpreter runs one of them at a time
    anyway, and what is decoded is then at hand for whoever reads it.
    """
    if isinstance(found, _Outcome):
        return found
    try:
        data = data_of(call, found, authority)
    except NotPveError as error:
        return _Outcome(error=error, status=found.status)
    except PortError as error:
        return _Outcome(error=error, answered=True, status=found.status)
    return _Outcome(data=data, answered=True, status=found.status)


class _Exchanges:
    """Exchanges with the servers, made in threads: one session per thread and endpoint."""

    def __init__(self, settings: ApiSettings) -> None:
        self._context = tls.context_for(settings.ca_file, settings.fingerprints)
        self._pins = settings.fingerprints
        user, _, token = settings.token_id.partition("!")
        self._auth = ProxmoxHTTPApiTokenAuth(
            user, token, settings.token_secret.get_secret_value(), verify_ssl=True
        )
        self._of_thread = threading.local()
        self._sessions: list[_Session] = []

    def exchange(self, authority: str, call: PveCall, deadline: float) -> HttpAnswer | _Outcome:
        """Send ``call`` to ``authority``; return what came back, or what it means if nothing did."""
        session = self._session(authority)
        session.begin(call, deadline)
        resource = ProxmoxResource(
            base_url=f"https://{authority}/api2/json{call.path}",
            session=session,
            serializer=_Received,
        )
        send = {
            Method.GET: resource.get,
            Method.POST: resource.post,
            Method.PUT: resource.put,
            Method.DELETE: resource.delete,
        }[call.method]
        try:
            answer: HttpAnswer = send(**_plain(call.params))
        except (RequestException, HTTPError, OSError) as trouble:
            if session.sent:
                return _Outcome(error=unanswered.lost(call, authority, trouble))
            return _Outcome(error=unanswered.unsent(authority, trouble), sent=False)
        return answer

    def close(self) -> None:
        """End every exchange that waits for an answer, and close what is kept open."""
        for session in self._sessions:
            session.adapter.abort()
            session.close()

    def _session(self, authority: str) -> "_Session":
        sessions: dict[str, _Session] = self._of_thread.__dict__.setdefault("sessions", {})
        if authority not in sessions:
            session = _Session(tls.TrustingAdapter(self._context, self._pins), self._auth)
            sessions[authority] = session
            self._sessions.append(session)
        return sessions[authority]


def _plain(params: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the parameters with booleans as PVE takes them; requests would write ``True``."""
    return {
        name: int(value) if isinstance(value, bool) else value for name, value in params.items()
    }


class _Session(ProxmoxHttpSession):  # type: ignore[misc] # proxmoxer has no types
    """A session of one thread with one endpoint."""

    def __init__(self, adapter: tls.TrustingAdapter, auth: ProxmoxHTTPApiTokenAuth) -> None:
        super().__init__()
        self.trust_env = False  # Neither CA bundles nor proxies nor .netrc by environment.
        self.auth = auth
        self.adapter = adapter
        self.mount("https://", adapter)
        # Compression would cost pveproxy more than the network; it is near by.
        self.headers.update({"Accept": "application/json", "Accept-Encoding": "identity"})
        self._deadline = 0.0

    @property
    def sent(self) -> bool:
        """Return whether anything of the present request may have left."""
        return self.adapter.sent

    def begin(self, call: PveCall, deadline: float) -> None:
        """Prepare for one exchange. A mutation gets a connection of its own.

        A kept connection may be closed by the server in the very moment we use it, and
        then nobody could tell whether the mutation had been taken.
        """
        self._deadline = deadline
        self.adapter.sent = False
        if call.is_mutation:
            self.adapter.forget_connections()

    @override
    def request(
        self, method: str, url: str, data: object = None, params: object = None, **_: object
    ) -> "_Received":
        left_s = max(0.1, self._deadline - time.monotonic())
        response: Response = super().request(
            method,
            url,
            params=params,
            data=data,
            timeout=(min(CONNECT_TIMEOUT_S, left_s), left_s),
            allow_redirects=False,
            stream=True,
        )
        with response:
            answer = HttpAnswer(
                status=response.status_code,
                reason=utf8_reason(response.reason),
                content_type=response.headers.get("Content-Type", "").lower(),
                body=b"".join(self._chunks(response)),
            )
        return _Received(answer)

    def _chunks(self, response: Response) -> Iterator[bytes]:
        """Yield the body in pieces, as long as there is time and it is not too long."""
        length = 0
        for chunk in response.iter_content(_CHUNK_BYTES):
            length += len(chunk)
            if length > BODY_BYTES_MAX:
                raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
            if time.monotonic() > self._deadline:
                raise TimeoutError("the deadline passed while the answer was read")
            yield chunk


class _Received:
    """An answer in the form in which proxmoxer hands it on: as a success, not decoded.

    ``content`` is what proxmoxer formats for its log, on every call, logged or not.
    """

    status_code = 200
    content = ""

    def __init__(self, answer: HttpAnswer) -> None:
        self.answer = answer

    @staticmethod
    def loads(response: "_Received") -> HttpAnswer:
        """Return the answer: to proxmoxer this class is the serializer as well."""
        return response.answer
