"""Connect to guests: the only file with an HTTP client."""

import asyncio
import contextlib
import ssl

import aiohttp
from typing_extensions import override

from qlop.model.health import GOOD, Answer, HttpCheck, NetworkCheck, Reply, TcpCheck
from qlop.ports import Prober


class NetworkProber(Prober):
    """Real connections, each new. ``close`` it when done.

    Nothing of the surroundings counts: no proxies of the environment, no cookies, no
    ``.netrc``. Only the status of an answer is read.
    """

    def __init__(self) -> None:
        """Prepare; nothing is opened before the first probe."""
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @override
    async def probe(self, address: str, check: NetworkCheck) -> Answer:
        if isinstance(check, TcpCheck):
            return await _connect(address, check.port)
        return await self._get(address, check)

    async def _get(self, address: str, check: HttpCheck) -> Answer:
        session = self._opened()
        where = f"[{address}]" if ":" in address else address
        url = f"{check.scheme}://{where}:{check.port}{check.path}"
        headers = {"Host": check.host} if check.host else {}
        try:
            async with session.get(
                url,
                headers=headers,
                allow_redirects=False,
                ssl=check.verify,
                server_hostname=check.host or None,
            ) as response:
                status = response.status
        except (ssl.SSLError, aiohttp.ClientSSLError) as error:
            return Answer(reply=Reply.WRONG, text=f"TLS with {address}:{check.port}: {error}")
        except aiohttp.ClientConnectorError as error:
            return Answer(reply=Reply.SILENT, text=f"{address}:{check.port}: {error.strerror}")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text = (
                f"{address}:{check.port} does not speak HTTP: {str(error) or type(error).__name__}"
            )
            return Answer(reply=Reply.WRONG, text=text)
        if check.lowest <= status <= check.highest:
            return GOOD
        text = f"{check.path} answers {status}, not {status_text(check)}"
        return Answer(reply=Reply.WRONG, text=text)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # The rounds bound how many are open; a connection kept open would prove little.
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": "qlop"},
            )
        return self._session


def status_text(check: HttpCheck) -> str:
    """Return which statuses are right: ``200`` or ``200 to 399``."""
    if check.lowest == check.highest:
        return str(check.lowest)
    return f"{check.lowest} to {check.highest}"


async def _connect(address: str, port: int) -> Answer:
    try:
        _, writer = await asyncio.open_connection(address, port)
    except OSError as error:
        return Answer(reply=Reply.SILENT, text=f"{address}:{port}: {error.strerror or error}")
    writer.close()
    with contextlib.suppress(OSError):  # It took the connection; how it ends is not asked.
        await writer.wait_closed()
    return GOOD
