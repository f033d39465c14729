"""The Redis store when its server dies, freezes, refuses, forgets its scripts, or loses an answer."""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from shared.errors import ConfigurationError, StoreUnavailable
from shared.event_loop import run_fast
from shared.store.protocol import Row
from shared.store.redis import RedisBackend
from tests.support.redis import RedisServer
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

TIMEOUT_S = 0.6


def row(version: int = 1, document: str = "document", job_id: str = "job_1", status: str = "pending") -> Row:
    return Row(job_id, version, status, created_at=1, due_at=5, expires_at=None, document=document)


@asynccontextmanager
async def opened(url: str, prefix: str = "sora:", timeout_s: float = 5.0) -> AsyncIterator[RedisBackend]:
    backend = RedisBackend(url, prefix, timeout_s=timeout_s)
    try:
        await backend.open()
        yield backend
    finally:
        await backend.close()


@asynccontextmanager
async def administrator(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url, decode_responses=True) as client:
        yield client


def test_on_uvloop_too_a_server_that_hangs_up_is_told_as_one_that_is_away() -> None:
    """There, a second write to a connection that was reset raises what no socket raises."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        writer.transport.abort()

    async def ask_again_and_again() -> set[type]:
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            backend = RedisBackend(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=TIMEOUT_S)
            try:
                asked = (backend.load("job_1") for _ in range(40))
                return {type(answer) for answer in await asyncio.gather(*asked, return_exceptions=True)}
            finally:
                await backend.close()

    assert run_fast(ask_again_and_again()) == {StoreUnavailable}


async def test_acknowledged_writes_survive_a_killed_server(own_redis_server: RedisServer) -> None:
    async with opened(own_redis_server.url, timeout_s=TIMEOUT_S) as backend:
        acknowledged: list[int] = []

        async def write() -> None:
            for n in range(100_000):
                assert await backend.insert(row(job_id=f"job_{n}"), f"t{n}")
                acknowledged.append(n)

        writing = asyncio.create_task(write())

        async def many_are_written() -> bool:
            return len(acknowledged) >= 100

        await eventually(many_are_written, "a hundred writes")
        await asyncio.to_thread(own_redis_server.kill)
        with pytest.raises(StoreUnavailable):
            await writing
        await asyncio.to_thread(own_redis_server.start)

        for n in acknowledged:
            assert await backend.load(f"job_{n}") == (1, "document")
        # The write in flight may be there as well; indexes and rows agree about it.
        assert (await backend.counts())["pending"] == len(await backend.due(5, 100_000))
        assert len(acknowledged) <= (await backend.counts())["pending"] <= len(acknowledged) + 1


async def test_a_frozen_server_is_unavailable_within_the_time_out(own_redis_server: RedisServer) -> None:
    async with opened(own_redis_server.url, timeout_s=TIMEOUT_S) as backend:
        assert await backend.insert(row(), "t1")
        own_redis_server.freeze()
        with pytest.raises(StoreUnavailable, match=r"no answer within 0\.6 s"):
            await backend.swap(row(2, "second", status="failed"), 1, "t2")
        own_redis_server.thaw()

        async def answers() -> bool:
            try:
                await backend.ping()
            except StoreUnavailable:
                return False
            return True

        await eventually(answers, "the thawed server answers")
        # Ambiguous, as the error says: all of it happened, or nothing. The same token makes it sure.
        assert await backend.load("job_1") in ((1, "document"), (2, "second"))
        assert await backend.swap(row(2, "second", status="failed"), 1, "t2")
        assert await backend.load("job_1") == (2, "second")
        assert await backend.counts() == {"failed": 1}


async def test_many_calls_on_a_frozen_server_all_end(own_redis_server: RedisServer) -> None:
    async with opened(own_redis_server.url, timeout_s=TIMEOUT_S) as backend:
        own_redis_server.freeze()
        answers = await asyncio.gather(*(backend.load(f"job_{n}") for n in range(60)), return_exceptions=True)
        own_redis_server.thaw()
        assert all(isinstance(answer, StoreUnavailable) for answer in answers)


async def test_no_server_at_all_names_address_and_setting(own_redis_server: RedisServer) -> None:
    own_redis_server.stop()
    with pytest.raises(StoreUnavailable, match=rf"127\.0\.0\.1:{own_redis_server.port}: .*check REDIS_URL"):
        async with opened(own_redis_server.url, timeout_s=TIMEOUT_S):
            pass


async def test_more_calls_than_connections_wait_instead_of_failing(redis_server: RedisServer, key_prefix: str) -> None:
    async with opened(redis_server.url, key_prefix) as backend:
        assert await asyncio.gather(*(backend.load(f"job_{n}") for n in range(300))) == [None] * 300


async def test_a_lost_answer_does_not_write_twice(redis_server: RedisServer, key_prefix: str) -> None:
    async with (
        TcpProxy(redis_server.port) as proxy,
        opened(f"redis://127.0.0.1:{proxy.port}/0", key_prefix) as backend,
    ):
        assert await backend.insert(row(), "t1")
        proxy.lose_answers(1)
        assert await backend.swap(row(2, "second"), 1, "t2"), "the repeated command knows its own write"
        assert await backend.load("job_1") == (2, "second")
        proxy.lose_answers(1)
        assert await backend.take("bucket", 2, 60_000, 1_000_000) == 0
        assert await backend.take("bucket", 2, 60_000, 1_000_000) == 0
        assert await backend.take("bucket", 2, 60_000, 1_000_000) > 0
        assert proxy.answers_lost == 2


async def test_a_cancelled_call_does_not_hand_its_answer_to_the_next(
    own_redis_server: RedisServer,
) -> None:
    async with opened(own_redis_server.url) as backend:
        for n in range(10):
            await backend.insert(row(job_id=f"job_{n}", document=f"document {n}"), f"t{n}")
        own_redis_server.freeze()
        calls = [asyncio.create_task(backend.load(f"job_{n}")) for n in range(10)]
        for _ in range(50):
            await asyncio.sleep(0)  # let the commands go out
        for call in calls:
            call.cancel()
        own_redis_server.thaw()
        await asyncio.gather(*calls, return_exceptions=True)
        for n in range(10):
            assert await backend.load(f"job_{n}") == (1, f"document {n}")


async def test_a_user_without_permission_is_named(own_redis_server: RedisServer) -> None:
    async with administrator(own_redis_server) as admin:
        await admin.acl_setuser("guest", enabled=True, passwords=["+word"], keys=["*"], commands=["+get", "+ping"])
    with pytest.raises(StoreUnavailable, match="allow this user"):
        async with opened(f"redis://guest:word@127.0.0.1:{own_redis_server.port}/0"):
            pass


async def test_scripts_forgotten_by_the_server_are_sent_again(own_redis_server: RedisServer) -> None:
    async with opened(own_redis_server.url) as backend, administrator(own_redis_server) as admin:
        assert await backend.insert(row(), "t1")
        await admin.script_flush()
        assert await backend.swap(row(2), 1, "t2")


async def test_a_server_without_memory_refuses_and_nothing_is_half_done(own_redis_server: RedisServer) -> None:
    async with opened(own_redis_server.url) as backend, administrator(own_redis_server) as admin:
        assert await backend.insert(row(), "t1")
        await admin.config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailable, match="free memory"):
            await backend.swap(row(2, "second", status="failed"), 1, "t2")
        with pytest.raises(StoreUnavailable, match="free memory"):
            await backend.ping()
        assert await backend.load("job_1") == (1, "document")
        assert await backend.counts() == {"pending": 1}
        await admin.config_set("maxmemory", "0")
        assert await backend.swap(row(2, "second", status="failed"), 1, "t2")


async def test_a_read_only_replica_is_named(own_redis_server: RedisServer) -> None:
    async with opened(own_redis_server.url) as backend, administrator(own_redis_server) as admin:
        await admin.replicaof("127.0.0.1", "1")
        with pytest.raises(StoreUnavailable, match="use the primary"):
            await backend.ping()


async def test_the_password_is_never_shown(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "--requirepass", "right")
    server.start()
    try:
        for credentials, advice in (("", "put the password"), (":top-secret@", "correct the password")):
            with pytest.raises(StoreUnavailable, match=advice) as caught:
                async with opened(f"redis://{credentials}127.0.0.1:{server.port}/0", timeout_s=TIMEOUT_S):
                    pass
            assert "top-secret" not in str(caught.value)
        async with opened(f"redis://:right@127.0.0.1:{server.port}/0") as backend:
            await backend.ping()
    finally:
        server.stop()


@pytest.mark.parametrize("url", ["", "http://host", "redis://:pass@host:port/0", "host:6379"])
def test_a_malformed_url_names_the_setting_and_not_itself(url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        RedisBackend(url)
    assert "pass" not in str(caught.value)


async def test_a_server_that_may_lose_or_evict_jobs_is_warned_of(
    own_redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(own_redis_server.url):
        assert not caplog.records
    async with administrator(own_redis_server) as admin:
        await admin.config_set("appendonly", "no")
        await admin.config_set("maxmemory-policy", "allkeys-lru")
    with caplog.at_level(logging.WARNING):
        async with opened(own_redis_server.url):
            pass
    assert "append-only" in caplog.text
    assert "noeviction" in caplog.text


async def test_a_book_remembers_its_tokens_as_long_as_is_asked_and_no_longer_than_it_lives(
    redis_server: RedisServer, key_prefix: str
) -> None:
    day_ms = 86_400_000
    async with opened(redis_server.url, key_prefix) as backend, administrator(redis_server) as client:
        for book, ttl_ms, kept in (("usual", 400, 45), ("asked", 400, 135), ("short", 2, 2)):
            asked = {"token_ttl_ms": 135 * day_ms} if book != "usual" else {}
            await backend.tally(book, {"a": 1}, {}, "t", ttl_ms * day_ms, **asked)
            left_ms = await client.pttl(f"{key_prefix}{{jobs}}:seen:{book}")
            assert left_ms == pytest.approx(kept * day_ms, abs=60_000)
