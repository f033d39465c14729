"""Downloads of untrusted files over HTTP, into a sink."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from shared.fetch.addresses import AllowedHosts
from shared.fetch.decoding import Decoder, Identity, decoder_for
from shared.fetch.errors import (
    BadScheme,
    BadUrl,
    ConnectFailed,
    Expired,
    FetchError,
    HttpStatus,
    TooManyRedirects,
    TooSlow,
    Truncated,
)
from shared.fetch.sniff import is_video
from shared.fetch.transfer import Sink, SpeedMeter, Transfer
from shared.fetch.transport import GuardedTransport, Resolver, system_resolver

USER_AGENT = "sora-video-stitcher/0.1"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({403, 404, 410})
_RANGE_NOT_SATISFIABLE = 416
_MAX_URL_CHARS = 8192


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What a download may cost.

    Attributes:
        max_bytes: cap of the file's size, unpacked.
        connect_s: for resolving a name, and for each connection.
        read_s: for each further piece to arrive.
        total_s: for the whole download, with everything.
        min_bytes_per_s: slower than this over `slow_window_s` is given up.
        slow_window_s: how long a source may be slow.
        max_redirects: how often it may lead elsewhere.
        max_resumes: how often in a row a download that broke is gone on with without getting any further.
        resume_delay_s: before a resumption; doubles each time it got no further.
    """

    max_bytes: int = 1024 * 1024 * 1024
    connect_s: float = 10.0
    read_s: float = 30.0
    total_s: float = 900.0
    min_bytes_per_s: float = 16 * 1024
    slow_window_s: float = 30.0
    max_redirects: int = 5
    max_resumes: int = 5
    resume_delay_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that arrived whole.

    Attributes:
        size_bytes: its size.
        content_type: what the server called it; untrusted.
        resumes: how often it was gone on with, or begun anew, after a break.
    """

    size_bytes: int
    content_type: str
    resumes: int = 0


class Fetcher:
    """Downloads files from addresses that strangers chose.

    Owns its connections, so that nobody can hand it a client without the guard. Speaks to the transport directly:
    no cookies, no credentials, no proxies, and no address in anybody's log. May be used by many tasks at once.
    """

    def __init__(
        self,
        allowed_hosts: AllowedHosts | Iterable[str] = (),
        limits: FetchLimits | None = None,
        *,
        resolver: Resolver = system_resolver,
        transport: httpx.AsyncBaseTransport | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up; nothing is opened yet.

        Args:
            allowed_hosts: `FETCH_ALLOWED_HOSTS`, exempt from the refusal of private addresses.
            limits: None for the usual ones.
            resolver: turns names into addresses.
            transport: sends what the guard has let through; None for real connections.
            clock_s: measures speed.

        Raises:
            ConfigurationError: an entry of `allowed_hosts` is malformed.
        """
        hosts = allowed_hosts if isinstance(allowed_hosts, AllowedHosts) else AllowedHosts(allowed_hosts)
        self._transport = GuardedTransport(hosts, resolver, inner=transport)
        self._limits = limits or FetchLimits()
        self._clock_s = clock_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close what is open."""
        await self._transport.aclose()

    async def download(self, url: str, sink: Sink, *, accepts: Callable[[bytes], bool] = is_video) -> Downloaded:
        """Bring a video file home.

        A download that breaks is gone on with where it broke, if the server can prove that the file is still the
        same, and begun anew otherwise. On an error the sink holds what had arrived.

        Args:
            url: http or https; untrusted.
            sink: emptied first. Its own errors pass through unchanged.
            accepts: tells from the file's first bytes whether it is of a wanted kind; usually a video.

        Raises:
            FetchError: why not; `code` and `retryable` say what to do.
        """
        limits = self._limits
        target = checked_url(url)
        if sink.size:
            await sink.rewind()
        meter = SpeedMeter(limits.min_bytes_per_s, limits.slow_window_s)
        transfer = Transfer(_shown(target), sink, limits.max_bytes, meter, accepts)
        deadline = asyncio.timeout(limits.total_s)
        try:
            async with deadline:
                return await self._with_resumes(target, transfer)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise TooSlow(f"{transfer.what} did not arrive within {limits.total_s:.0f} s") from None

    async def _with_resumes(self, target: httpx.URL, transfer: Transfer) -> Downloaded:
        resumes = in_vain = reached = 0
        while True:
            try:
                await self._attempt(target, transfer)
            except FetchError as error:
                if transfer.size > reached:
                    reached, in_vain = transfer.size, 0
                if not (error.retryable and transfer.begun) or in_vain == self._limits.max_resumes:
                    raise
                await asyncio.sleep(self._limits.resume_delay_s * 2**in_vain)
                resumes, in_vain = resumes + 1, in_vain + 1
            else:
                return Downloaded(transfer.size, transfer.content_type, resumes)

    async def _attempt(self, target: httpx.URL, transfer: Transfer) -> None:
        """Ask for the file, or the rest of it, and take what comes."""
        range_headers = transfer.range_headers
        with _as_fetch_errors(transfer.what):
            response = await self._open(target, range_headers)
            try:
                decoder = await _begin(transfer, response, resuming=bool(range_headers))
                await self._receive(transfer, response, decoder)
            finally:
                await response.aclose()

    async def _open(self, target: httpx.URL, range_headers: dict[str, str]) -> httpx.Response:
        """Send the request, wherever it is led; every hop is checked anew."""
        url = target
        for _ in range(self._limits.max_redirects + 1):
            request = httpx.Request(
                "GET",
                url,
                headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **range_headers},
                extensions={"timeout": httpx.Timeout(self._limits.read_s, connect=self._limits.connect_s).as_dict()},
            )
            response = await self._transport.handle_async_request(request)
            if response.status_code not in _REDIRECTS:
                return response
            await response.aclose()
            url = _redirected(url, response)
        raise TooManyRedirects(f"{_shown(target)} leads on more than {self._limits.max_redirects} times")

    async def _receive(self, transfer: Transfer, response: httpx.Response, decoder: Decoder) -> None:
        pieces = response.aiter_raw()
        while True:
            asked_s = self._clock_s()
            raw = await anext(pieces, None)
            if raw is None:
                break
            transfer.clock(len(raw), self._clock_s() - asked_s)
            for piece in decoder.feed(raw):
                await transfer.take(piece)
        if not decoder.complete:
            raise Truncated(f"{transfer.what} ended in the middle of its compressed body")
        await transfer.end()


async def _begin(transfer: Transfer, response: httpx.Response, *, resuming: bool) -> Decoder:
    """Decide from the answer's head whether the file goes on, starts over or does not come.

    Raises:
        HttpStatus: it does not come; `Expired` when it is not there.
        Truncated: what comes does not fit what was asked for, so the next attempt must start over.
        BadEncoding: it is compressed in a way that cannot be undone.
        TooLarge: it is announced to be.
    """
    status, headers = response.status_code, response.headers
    if resuming and status == httpx.codes.PARTIAL_CONTENT and transfer.goes_on(headers):
        return Identity()
    if resuming and status in (httpx.codes.PARTIAL_CONTENT, _RANGE_NOT_SATISFIABLE):
        await transfer.forget()
        raise Truncated(f"{transfer.what} could not be gone on with: the server offers another part or file")
    if status in _GONE:
        raise Expired(transfer.what, status)
    if status != httpx.codes.OK:
        raise HttpStatus(transfer.what, status)
    decoder = decoder_for(headers.get("content-encoding", ""))
    await transfer.start_over(headers, is_encoded=not isinstance(decoder, Identity))
    return decoder


def checked_url(url: str | httpx.URL) -> httpx.URL:
    """Return the address if it is one to fetch.

    Raises:
        BadScheme: neither http nor https.
        BadUrl: malformed, without a host, or with credentials.
    """
    if isinstance(url, str) and len(url) > _MAX_URL_CHARS:
        raise BadUrl(f"the address is longer than {_MAX_URL_CHARS} characters")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise BadUrl("the address is malformed") from error
    if parsed.scheme not in ("http", "https"):
        raise BadScheme(f"the address starts with {parsed.scheme[:20]!r}: only http and https are fetched")
    if not parsed.host:
        raise BadUrl("the address names no host")
    if parsed.port is not None and parsed.port not in range(1, 65536):
        raise BadUrl(f"the address of {parsed.host} names a port that does not exist")
    if parsed.userinfo:
        raise BadUrl(f"the address of {parsed.host} carries a user name or password")
    return parsed


def _redirected(url: httpx.URL, response: httpx.Response) -> httpx.URL:
    location = response.headers.get("location", "")
    if not location:
        raise HttpStatus(_shown(url), response.status_code)
    try:
        return checked_url(url.join(location).copy_with(fragment=None))
    except (httpx.InvalidURL, ValueError) as error:
        raise BadUrl(f"{_shown(url)} leads to a malformed address") from error


def _shown(url: httpx.URL) -> str:
    """Return an address as it may be shown: its query may be a signature."""
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{url.host}{port}{url.path}"[:200]


@contextlib.contextmanager
def _as_fetch_errors(what: str) -> Iterator[None]:
    """Turn the HTTP library's exceptions into ours."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise ConnectFailed(f"no connection to {what} ({str(error) or type(error).__name__})") from error
    except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
        raise TooSlow(f"{what} sent nothing for too long") from error
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise BadUrl(f"{what} cannot be asked for ({type(error).__name__})") from error
    except httpx.HTTPError as error:
        raise Truncated(f"{what} broke off ({type(error).__name__})") from error
