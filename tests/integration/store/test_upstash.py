"""The Upstash store when the REST API refuses, fails, hangs, or loses an answer."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.errors import ConfigurationError, StoreUnavailable
from shared.store.protocol import Row
from shared.store.redis import RedisBackend
from shared.store.upstash import UpstashBackend
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.upstash import Fault, UpstashTwin

TIMEOUT_S = 0.6


def row(version: int = 1, document: str = "document", status: str = "pending") -> Row:
    return Row("job_1", version, status, created_at=1, due_at=5, expires_at=None, document=document)


@pytest.fixture
async def backend(upstash_twin: UpstashTwin, key_prefix: str) -> AsyncIterator[UpstashBackend]:
    backend = UpstashBackend(upstash_twin.url, upstash_twin.token, key_prefix, timeout_s=TIMEOUT_S)
    await backend.open()
    yield backend
    await backend.close()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.UNAUTHORIZED, "correct UPSTASH_REDIS_REST_TOKEN"),
        (Fault.RATE_LIMITED, "quota"),
        (Fault.SERVER_ERROR, "Upstash console"),
        (Fault.BAD_GATEWAY_PAGE, "not that of the REST API"),
        (Fault.NO_ANSWER, r"no answer within 0\.6 s"),
    ],
)
async def test_a_fault_says_what_to_do_and_nothing_is_half_done(
    upstash_twin: UpstashTwin, backend: UpstashBackend, fault: Fault, words: str
) -> None:
    assert await backend.insert(row(), "t1")
    upstash_twin.fail(fault, times=2)
    with pytest.raises(StoreUnavailable, match=words) as caught:
        await backend.swap(row(2, "second", "failed"), 1, "t2")
    assert upstash_twin.token not in str(caught.value)
    upstash_twin.heal()
    assert await backend.load("job_1") == (1, "document")
    assert await backend.counts() == {"pending": 1}
    assert await backend.swap(row(2, "second", "failed"), 1, "t2")


async def test_a_single_broken_answer_is_asked_for_again(upstash_twin: UpstashTwin, backend: UpstashBackend) -> None:
    upstash_twin.fail(Fault.BAD_GATEWAY_PAGE)
    assert await backend.insert(row(), "t1")


async def test_a_lost_answer_does_not_write_twice(upstash_twin: UpstashTwin, backend: UpstashBackend) -> None:
    assert await backend.insert(row(), "t1")
    upstash_twin.fail(Fault.ANSWER_LOST)
    assert await backend.swap(row(2, "second"), 1, "t2"), "the repeated command knows its own write"
    assert await backend.load("job_1") == (2, "second")
    upstash_twin.fail(Fault.ANSWER_LOST)
    assert await backend.take("bucket", 2, 60_000, 1_000_000) == 0
    assert await backend.take("bucket", 2, 60_000, 1_000_000) == 0
    assert await backend.take("bucket", 2, 60_000, 1_000_000) > 0


async def test_a_write_whose_answers_are_all_lost_can_be_made_sure(
    upstash_twin: UpstashTwin, backend: UpstashBackend
) -> None:
    assert await backend.insert(row(), "t1")
    upstash_twin.fail(Fault.ANSWER_LOST, times=2)
    with pytest.raises(StoreUnavailable):
        await backend.swap(row(2, "second"), 1, "t2")
    assert await backend.load("job_1") == (2, "second")
    assert await backend.swap(row(2, "second"), 1, "t2")


async def test_a_wrong_token_is_refused_without_being_shown(upstash_twin: UpstashTwin) -> None:
    backend = UpstashBackend(upstash_twin.url, "top-secret", timeout_s=TIMEOUT_S)
    with pytest.raises(StoreUnavailable, match="correct UPSTASH_REDIS_REST_TOKEN") as caught:
        await backend.open()
    assert "top-secret" not in str(caught.value)
    await backend.close()


async def test_no_server_at_all_names_host_and_setting() -> None:
    backend = UpstashBackend(f"http://127.0.0.1:{free_port()}", "token", timeout_s=TIMEOUT_S)
    with pytest.raises(StoreUnavailable, match=r"Upstash at 127\.0\.0\.1: .*UPSTASH_REDIS_REST_URL"):
        await backend.open()
    await backend.close()


async def test_a_cancelled_call_does_not_hand_its_answer_to_the_next(
    upstash_twin: UpstashTwin, backend: UpstashBackend
) -> None:
    assert await backend.insert(row(), "t1")
    before = upstash_twin.requests
    upstash_twin.fail(Fault.NO_ANSWER)
    call = asyncio.create_task(backend.load("job_nobody"))
    while upstash_twin.requests == before:
        await asyncio.sleep(0.005)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert await backend.load("job_1") == (1, "document")


async def test_a_deployment_can_move_between_rest_and_tcp(
    redis_server: RedisServer, backend: UpstashBackend, key_prefix: str
) -> None:
    for n in range(3):
        await backend.insert(Row(f"job_{n}", 1, "pending", n, 5, None, f"document {n}"), f"t{n}")
    page = await backend.page(None, 2, None)
    over_tcp = RedisBackend(redis_server.url, key_prefix)
    await over_tcp.open()
    assert await over_tcp.load("job_1") == (1, "document 1")
    assert (await over_tcp.page(None, 2, page.cursor)).documents == ("document 0",)
    assert await over_tcp.swap(Row("job_1", 2, "failed", 1, None, 9, "moved"), 1, "t9")
    assert await backend.counts() == {"pending": 2, "failed": 1}
    await over_tcp.close()


@pytest.mark.parametrize(
    ("url", "token", "setting"),
    [
        ("", "token", "UPSTASH_REDIS_REST_URL"),
        ("redis://host:6379", "token", "UPSTASH_REDIS_REST_URL"),
        ("https://", "token", "UPSTASH_REDIS_REST_URL"),
        ("https://host:port", "token", "UPSTASH_REDIS_REST_URL"),
        ("https://host", "", "UPSTASH_REDIS_REST_TOKEN"),
        ("https://host", "two words", "UPSTASH_REDIS_REST_TOKEN"),
        ("https://host", "line\nbreak", "UPSTASH_REDIS_REST_TOKEN"),
    ],
)
def test_a_malformed_setting_is_named(url: str, token: str, setting: str) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        UpstashBackend(url, token)
