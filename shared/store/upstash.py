"""The job store on Upstash over its REST API, for hosts that allow no TCP connections.

Same keys and scripts as `RedisBackend`. Prefer that one with Upstash's `rediss://` address where TCP works:
it is faster, and pipelines nothing that REST bills by the command.
Contract of the API: https://upstash.com/docs/redis/features/restapi
"""

import asyncio
from typing import Any

import httpx
from upstash_redis.asyncio import Redis
from upstash_redis.errors import UpstashError

from shared.clock import Clock, now_ms
from shared.errors import ConfigurationError, StoreUnavailable
from shared.store.redis_layout import Argument, CommandRefused, RedisLayoutBackend

RETRY_AFTER_S = 0.2


class UpstashBackend(RedisLayoutBackend):
    """`shared.store.protocol.Backend` on Upstash's REST API.

    Args:
        url: `UPSTASH_REDIS_REST_URL`, `https://…`.
        token: `UPSTASH_REDIS_REST_TOKEN`; never part of a message.
        prefix: of every key.
        timeout_s: how long an operation may take, one retry included, before it raises `StoreUnavailable`.
        clock: what marks expire by.

    Raises:
        ConfigurationError: URL or token is malformed.
    """

    def __init__(
        self, url: str, token: str, prefix: str = "sora:", *, timeout_s: float = 5.0, clock: Clock = now_ms
    ) -> None:
        super().__init__(prefix, clock)
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, TypeError):
            parsed = httpx.URL("")
        if parsed.scheme not in ("https", "http") or not parsed.host:
            raise ConfigurationError("UPSTASH_REDIS_REST_URL: expected https://….upstash.io")
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigurationError("UPSTASH_REDIS_REST_TOKEN: missing or malformed; copy it from the console")
        self._host = parsed.host
        self._token = token
        self._timeout_s = timeout_s
        self._client = Redis(url, token, rest_retries=1, rest_retry_interval=RETRY_AFTER_S, allow_telemetry=False)

    async def open(self) -> None:
        """Check that the database accepts writes."""
        await self.ping()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _execute(self, *command: Argument) -> Any:
        try:
            # The client's own HTTP time-out is off, and httpx closes a cancelled request's connection.
            async with asyncio.timeout(self._timeout_s):
                return await self._client.execute([str(argument) for argument in command])
        except UpstashError as error:
            text = str(error)
            if text.startswith("NOSCRIPT"):
                raise CommandRefused(text) from error
            raise self._unavailable(f"{text}; {_advice(text)}") from None  # the cause would print the text unredacted
        except TimeoutError as error:
            raise self._unavailable(f"no answer within {self._timeout_s:g} s; check the network") from error
        except (httpx.HTTPError, OSError) as error:
            detail = str(error) or type(error).__name__
            raise self._unavailable(f"{detail}; check UPSTASH_REDIS_REST_URL and the network") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # The client parses whatever comes back, so a proxy's HTML page surfaces as one of these.
            raise self._unavailable(
                f"the answer is not that of the REST API ({type(error).__name__}); check UPSTASH_REDIS_REST_URL"
            ) from error

    def _unavailable(self, problem: str) -> StoreUnavailable:
        return StoreUnavailable(f"Upstash at {self._host}: {problem.replace(self._token, '***')}")


def _advice(problem: str) -> str:
    lowered = problem.lower()
    for sign, advice in (
        ("wrongpass", "correct UPSTASH_REDIS_REST_TOKEN"),
        ("unauthorized", "correct UPSTASH_REDIS_REST_TOKEN"),
        ("noperm", "the token may only read; use the standard token"),
        ("max daily request limit", "the plan's command quota is used up; raise it or use a paid plan"),
        ("max requests limit", "the plan's command quota is used up; raise it or use a paid plan"),
        ("rate", "too many requests; wait, or raise the plan's limit"),
        ("max request size", "the document is larger than the plan allows"),
        ("oom", "the database is full; raise its limit"),
    ):
        if sign in lowered:
            return advice
    return "see the database's page in the Upstash console"
