"""Addresses that callers give us: refused at once where they cannot be fetched, and looked at for a dry run."""

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

import httpx

from services.gateway.wishes import Problem
from shared.fetch.addresses import AllowedHosts, is_public
from shared.fetch.errors import FetchError
from shared.fetch.transport import GuardedTransport, Resolver, system_resolver

RESOLVE_S = 2.0
LOOK_S = 3.0
MAX_AT_ONCE = 8
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = range(300, 400)


class Addresses:
    """Judges addresses as the fetcher will, without fetching."""

    def __init__(self, allowed_hosts: Iterable[str], *, resolver: Resolver = system_resolver) -> None:
        self._allowed = AllowedHosts(allowed_hosts)
        self._resolver = resolver
        self._transport = GuardedTransport(self._allowed, resolver)

    async def close(self) -> None:
        """Close what is open."""
        await self._transport.aclose()

    async def problems(self, urls: Iterable[Problem]) -> list[Problem]:
        """Return which of these fields lead into a private network, or to a name that does not exist.

        A name that cannot be looked up in time gets the benefit of the doubt: it is judged again when it is fetched.
        """
        by_host: dict[tuple[str, int], list[str]] = {}
        for field, url in urls:
            parts = urlsplit(url)
            host = (parts.hostname or "", parts.port or _PORTS[parts.scheme])
            by_host.setdefault(host, []).append(field)
        slots = asyncio.Semaphore(MAX_AT_ONCE)

        async def judge(host: str, port: int) -> str | None:
            async with slots:
                return await self._judge(host, port)

        verdicts = await asyncio.gather(*(judge(*host) for host in by_host))
        return [
            (field, verdict)
            for fields, verdict in zip(by_host.values(), verdicts, strict=True)
            if verdict is not None
            for field in fields
        ]

    async def warnings(self, urls: Iterable[Problem]) -> list[str]:
        """Ask every address for its head; return what a person should know of those that do not answer well."""
        slots = asyncio.Semaphore(MAX_AT_ONCE)

        async def look(field: str, url: str) -> str | None:
            async with slots:
                problem = await self._look(url)
                return f"{field}: {problem}" if problem is not None else None

        found = await asyncio.gather(*(look(*each) for each in urls))
        return [warning for warning in found if warning is not None]

    async def _judge(self, host: str, port: int) -> str | None:
        if self._allowed.allow(host, port):
            return None
        try:
            async with asyncio.timeout(RESOLVE_S):
                addresses = await self._resolver(host, port)
        except TimeoutError:
            return None
        except (OSError, UnicodeError):
            return f"the name {host} cannot be resolved"
        refused = next((address for address in addresses if not is_public(address)), None)
        if refused is None:
            return None
        return f"{host} leads to {refused}, which is not a public address (see FETCH_ALLOWED_HOSTS)"

    async def _look(self, url: str) -> str | None:
        timeouts = httpx.Timeout(LOOK_S).as_dict()
        try:
            request = httpx.Request("HEAD", url, headers={"Accept": "*/*"}, extensions={"timeout": timeouts})
            async with asyncio.timeout(LOOK_S):
                answer = await self._transport.handle_async_request(request)
                await answer.aclose()
        except TimeoutError:
            return f"did not answer within {LOOK_S:g} s"
        except (FetchError, httpx.HTTPError, httpx.InvalidURL) as error:
            return f"cannot be reached ({str(error) or type(error).__name__})"
        if answer.status_code in (405, 501) or answer.status_code in _REDIRECTS or answer.is_success:
            return None  # some servers know no HEAD; redirects are followed, and judged, when it is fetched
        return f"answers HTTP {answer.status_code}"
