"""An HTTP transport that connects only to addresses it has checked.

The name is resolved here, every address is judged, and the connection goes to the very address that was judged: a
name that resolves differently a moment later (DNS rebinding) changes nothing. The `Host` header and the name in the
TLS handshake stay the URL's, so virtual hosts and certificates work as ever.
"""

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

import httpx

from shared.fetch.addresses import AllowedHosts, is_public
from shared.fetch.errors import ConnectFailed, PrivateAddress

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Turns a host and a port into IP addresses, best first. Raises OSError when it cannot."""

_MAX_ADDRESSES = 4
_PORTS = {"http": 80, "https": 443}


@functools.cache
def trusted_certificates() -> ssl.SSLContext:
    """Return the usual trusted certificates, loaded once a process: reading them takes tens of milliseconds."""
    return httpx.create_ssl_context()


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Ask the system, as any program does (`/etc/hosts`, then DNS)."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends requests to public or explicitly allowed hosts, one connection each.

    Connections are not shared: the pool below knows them by IP address, and one name's connection must not serve
    another name whose certificate was never checked.
    """

    def __init__(
        self,
        allowed_hosts: AllowedHosts,
        resolver: Resolver = system_resolver,
        *,
        inner: httpx.AsyncBaseTransport | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        """Set up; nothing is opened yet.

        Args:
            allowed_hosts: exempt from the check of addresses.
            resolver: turns names into addresses.
            inner: does the sending; None for real connections.
            verify: trusted certificates; None for the usual ones.
        """
        self._allowed_hosts = allowed_hosts
        self._resolver = resolver
        self._inner = inner or httpx.AsyncHTTPTransport(
            verify=verify or trusted_certificates(),
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Resolve, judge, and send to the first address that takes a connection.

        Raises:
            PrivateAddress: the host leads to a special-purpose address.
            ConnectFailed: the name does not resolve.
            httpx.TransportError: as any transport.
        """
        url = request.url
        host = url.raw_host.decode("ascii")
        failure: httpx.TransportError | None = None
        for address in await self._addresses(host, url.port or _PORTS[url.scheme], _connect_timeout_s(request)):
            pinned = httpx.Request(
                request.method,
                url.copy_with(host=address),
                headers=request.headers,  # with the `Host` of the URL that was asked for
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure or ConnectFailed(f"{host} has no address")

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()

    async def _addresses(self, host: str, port: int, timeout_s: float | None) -> Sequence[str]:
        """Return the addresses to try, all of them judged."""
        try:
            async with asyncio.timeout(timeout_s):
                found = await self._resolver(host, port)
        except TimeoutError:
            raise ConnectFailed(f"the name {host} could not be resolved in time") from None
        except (OSError, UnicodeError) as error:  # UnicodeError: a label no DNS name can have
            raise ConnectFailed(f"the name {host} cannot be resolved ({error})") from error
        if not self._allowed_hosts.allow(host, port):
            for address in found:
                if not is_public(address):
                    raise PrivateAddress(host, address)
        return [address.partition("%")[0] for address in found[:_MAX_ADDRESSES]]


def _connect_timeout_s(request: httpx.Request) -> float | None:
    timeouts = request.extensions.get("timeout", {})
    value = timeouts.get("connect")
    return float(value) if value is not None else None
