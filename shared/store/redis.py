"""The job store on a Redis server over TCP (`redis://`, `rediss://`).

redis-py's defaults are replaced where they were measured to hurt (`docs/adr/`): a pool that waits instead of
raising, two quick retries instead of ten, and one deadline over the whole operation. A repeated command is
harmless because every write carries a token.
"""

import asyncio
import logging
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.cancellation import heeding_cancellation
from shared.clock import Clock, now_ms
from shared.errors import ConfigurationError, StoreUnavailable
from shared.store.redis_layout import Argument, CommandRefused, RedisLayoutBackend

log = logging.getLogger(__name__)

RETRIES = 2
# RuntimeError is what uvloop raises for writing to a socket that is just being closed.
_BROKEN = (RedisError, OSError, TimeoutError, RuntimeError)


class RedisBackend(RedisLayoutBackend):
    """`shared.store.protocol.Backend` on one Redis server.

    Args:
        url: `redis://[[user]:password@]host:port/db`, or `rediss://` for TLS. Never printed whole.
        prefix: of every key, so that several installations can share a server.
        timeout_s: how long an operation may take, retries included, before it raises `StoreUnavailable`.
        connections: how many operations run at once; further ones wait.
        clock: what marks expire by.

    Raises:
        ConfigurationError: the URL is malformed.
    """

    def __init__(
        self,
        url: str,
        prefix: str = "sora:",
        *,
        timeout_s: float = 5.0,
        connections: int = 20,
        clock: Clock = now_ms,
    ) -> None:
        super().__init__(prefix, clock)
        self._timeout_s = timeout_s
        try:
            parts = urlsplit(url)
            self._server = f"{parts.hostname}:{parts.port or 6379}"
            self._client = Redis(
                connection_pool=BlockingConnectionPool.from_url(
                    url,
                    max_connections=connections,
                    timeout=timeout_s,
                    socket_timeout=timeout_s / (RETRIES + 1),
                    socket_connect_timeout=timeout_s / (RETRIES + 1),
                    socket_keepalive=True,
                    health_check_interval=30,
                    retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), RETRIES),
                    decode_responses=True,
                    protocol=2,
                )
            )
        except ValueError:
            # The text of redis-py's error may hold the password.
            raise ConfigurationError("REDIS_URL: expected redis://host:port/db or rediss://…") from None

    async def open(self) -> None:
        """Check that the server accepts writes, and warn if it may lose or evict jobs."""
        await self.ping()
        await self._warn_if_jobs_may_vanish()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        await self._client.connection_pool.disconnect()

    async def _execute(self, *command: Argument) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                with heeding_cancellation():
                    return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except NoScriptError as error:
            raise CommandRefused(str(error)) from error
        except _BROKEN as error:
            raise StoreUnavailable(f"Redis at {self._server}: {self._explain(error)}") from error

    async def _warn_if_jobs_may_vanish(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                with heeding_cancellation():
                    persistence = await self._client.info("persistence")
                    memory = await self._client.info("memory")
        except _BROKEN as error:
            # Some hosts forbid INFO; that says nothing about the store, which has just taken a write.
            log.info("Redis at %s does not tell how it persists: %s", self._server, type(error).__name__)
            return
        if persistence.get("aof_enabled") == 0:
            log.warning("Redis at %s keeps no append-only file: a crash loses jobs; set `appendonly yes`", self._server)
        policy = str(memory.get("maxmemory_policy", ""))
        if policy.startswith("allkeys"):
            log.warning("Redis at %s evicts jobs when full (%s); set `noeviction`", self._server, policy)

    def _explain(self, error: Exception) -> str:
        if isinstance(error, (TimeoutError, RedisTimeoutError)):
            return f"no answer within {self._timeout_s:g} s; check that it runs and is not overloaded"
        text = str(error) or type(error).__name__
        return f"{text}; {_advice(text)}"


def _advice(problem: str) -> str:
    # redis-py takes the code (OOM, READONLY, …) off some of the server's texts.
    for sign, advice in (
        ("used memory > 'maxmemory'", "raise maxmemory or free memory"),
        ("read only replica", "REDIS_URL points at a replica; use the primary"),
        ("MISCONF", "the server cannot write to its disk; free space there"),
        ("Authentication required", "put the password into REDIS_URL"),
        ("invalid username-password", "correct the password in REDIS_URL"),
        ("no permissions", "allow this user the commands and keys the store needs"),
        ("max number of clients", "raise maxclients"),
    ):
        if sign in problem:
            return advice
    return "check REDIS_URL and that the server runs"
