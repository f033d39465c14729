"""Sending one webhook over HTTP, to an address that a stranger chose.

Headers and signature after https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import httpx
from standardwebhooks import Webhook as Signature

from shared import tracing
from shared.clock import Clock, now_ms
from shared.fetch.addresses import AllowedHosts
from shared.fetch.errors import BadUrl, ConnectFailed, PrivateAddress
from shared.fetch.fetcher import checked_url
from shared.fetch.transport import GuardedTransport, Resolver, system_resolver
from shared.version import VERSION

TIMEOUT_S = 15.0
"""For one try with everything: a receiver takes note and answers; work is done afterwards."""
RETRY_AFTER_MAX_MS = 3_600_000
USER_AGENT = f"sora-video-stitcher/{VERSION} (+webhooks)"
_GONE = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """How a try ended.

    Attributes:
        is_taken: whether the receiver took the event.
        is_final: whether trying again cannot help.
        status: HTTP status, if there was an answer.
        problem: why it was not taken, for a person; names no address beyond its host.
        retry_after_ms: how long the receiver asked to be left alone.
    """

    is_taken: bool = False
    is_final: bool = False
    status: int | None = None
    problem: str = ""
    retry_after_ms: int = 0


class WebhookSender:
    """Sends webhooks; keeps no connections.

    Args:
        secrets: `whsec_…` each; every one signs (a rotation has two). Empty: nothing is signed.
        allowed_hosts: exempt from the refusal of private addresses.
        timeout_s: for one try.
        clock: ms, for the signature's timestamp.
        resolver: turns names into addresses.
    """

    def __init__(
        self,
        secrets: Sequence[str],
        allowed_hosts: AllowedHosts,
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Clock = now_ms,
        resolver: Resolver = system_resolver,
    ) -> None:
        self._signatures = [Signature(secret) for secret in secrets]
        self._timeout_s = timeout_s
        self._clock = clock
        self._transport = GuardedTransport(allowed_hosts, resolver)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    async def send(self, url: str, webhook_id: str, body: bytes) -> Answer:
        """Post `body` to `url` once; whatever happens is an `Answer`."""
        with tracing.span("webhook", "client") as span:
            answer = await self._send(url, webhook_id, body)
            span.note(http__response__status_code=answer.status, sora__problem=answer.problem or None)
        return answer

    async def _send(self, url: str, webhook_id: str, body: bytes) -> Answer:
        try:
            target = checked_url(url)
            async with asyncio.timeout(self._timeout_s):
                return await self._post(target, self._headers(webhook_id, body), body)
        except TimeoutError:
            return Answer(problem=f"no answer within {self._timeout_s:g} s")
        except (BadUrl, PrivateAddress) as error:
            return Answer(is_final=True, problem=str(error))
        except ConnectFailed as error:
            return Answer(problem=str(error))
        except httpx.TimeoutException:
            return Answer(problem="the connection timed out")
        except httpx.HTTPError as error:
            return Answer(problem=f"no answer: {type(error).__name__}")

    async def _post(self, target: httpx.URL, headers: dict[str, str], body: bytes) -> Answer:
        request = httpx.Request(
            "POST",
            target.copy_with(fragment=None),
            headers=headers,
            content=body,
            extensions={"timeout": httpx.Timeout(self._timeout_s).as_dict()},
        )
        # The transport itself and not a client: no redirects, cookies, proxies, and no address in anybody's log.
        response = await self._transport.handle_async_request(request)
        async with aclosing(response):  # the body is of no interest and is not read
            return judged(response.status_code, response.headers.get("retry-after", ""), self._clock)

    def _headers(self, webhook_id: str, body: bytes) -> dict[str, str]:
        now = datetime.fromtimestamp(self._clock() // 1000, UTC)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            **tracing.headers(),
        }
        if self._signatures:
            signed = [each.sign(webhook_id, now, body.decode()) for each in self._signatures]
            headers["webhook-signature"] = " ".join(signed)
        return headers


def judged(status: int, retry_after: str, clock: Callable[[], int]) -> Answer:
    """Say what an HTTP status means. Pure but for the clock."""
    if 200 <= status < 300:
        return Answer(is_taken=True, status=status)
    if status == _GONE:
        return Answer(is_final=True, status=status, problem="the receiver answered 410: it wants no more")
    what = "a redirect, which is not followed" if 300 <= status < 400 else "an error"
    return Answer(
        status=status,
        problem=f"the receiver answered {status}, {what}",
        retry_after_ms=min(retry_after_ms(retry_after, clock()), RETRY_AFTER_MAX_MS),
    )


def retry_after_ms(header: str, now: int) -> int:
    """Read `Retry-After`, seconds or a date (RFC 9110 §10.2.3); 0 for none or nonsense."""
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return int(text[:9]) * 1000
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max(0, round(date.timestamp() * 1000) - now)
    except (ValueError, OverflowError):  # the latter for a time zone, or a year, beyond all numbers
        return 0
