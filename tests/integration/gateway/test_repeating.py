"""Asking twice makes one job: by an idempotency key, and for a record that is being processed."""

import asyncio
from typing import Any

import httpx
import pytest

from services.gateway.errors import ApiError
from services.gateway.records import RecordReader
from shared.errors import StoreUnavailable
from shared.job.film import fail
from shared.job.model import Failure, Stage
from shared.store.protocol import Row
from tests.integration.gateway.answers import GOOD, error_of
from tests.support.fixtures_world import OpenWorld
from tests.support.waiting import eventually
from tests.support.world import World

BODY = {"clips": [{"prompt": "A boat on the sea"}]}
RECORD = "recSANDBOX0000001"


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """The gateway with its Airtable twin; its reconciler sleeps."""
    return await open_world(
        partners=("airtable",), services=(), nudge_after_ms=60_000, job_timeout=86_400_000, api_keys="one:k1,two:k2"
    )


async def post(w: World, path: str, body: Any, key: str | None = None, caller: str = "k1") -> httpx.Response:
    headers = {"X-API-Key": caller, **({"Idempotency-Key": key} if key is not None else {})}
    return await w.http.post(path, json=body, headers=headers)


def job_id(answer: httpx.Response, status: int = 202) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["data"]["jobId"])


async def count(w: World) -> int:
    return len((await w.store.page(limit=100))[0])


async def end(w: World, job: str) -> None:
    failure = Failure(stage=Stage.GENERATING, code="test", message="for the test")
    await w.store.update(job, lambda each: fail(each, failure=failure, now=w.clock()))


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/jobs", BODY), ("/api/generate-video", GOOD), ("/api/process-record", {"recordId": RECORD})],
)
async def test_the_same_key_and_body_are_the_same_job(w: World, path: str, body: dict[str, Any]) -> None:
    first = await post(w, path, body, "k")
    again = await post(w, path, body, "k")
    assert job_id(first) == job_id(again)
    assert again.json() == first.json()
    assert await count(w) == 1


async def test_once_the_job_is_over_a_repetition_is_answered_200(w: World) -> None:
    job = job_id(await post(w, "/api/jobs", BODY, "k"))
    await end(w, job)
    assert job_id(await post(w, "/api/jobs", BODY, "k"), 200) == job


async def test_the_same_key_with_another_body_is_refused(w: World) -> None:
    job_id(await post(w, "/api/jobs", BODY, "k"))
    other = {"clips": [{"prompt": "A harbour"}]}
    assert error_of(await post(w, "/api/jobs", other, "k"), 409)["code"] == "idempotency_conflict"
    assert error_of(await post(w, "/api/generate-video", GOOD, "k"), 409)["code"] == "idempotency_conflict"
    assert await count(w) == 1


async def test_a_key_belongs_to_its_caller(w: World) -> None:
    assert job_id(await post(w, "/api/jobs", BODY, "k")) != job_id(await post(w, "/api/jobs", BODY, "k", "k2"))


async def test_a_refused_request_leaves_its_key_free(w: World) -> None:
    error_of(await post(w, "/api/jobs", {**BODY, "model": "sora-2-text-to-video", "aspectRatio": "1:1"}, "k"))
    job_id(await post(w, "/api/jobs", BODY, "k"))


async def test_twenty_at_once_with_one_key_make_one_job(w: World) -> None:
    answers = await asyncio.gather(*(post(w, "/api/jobs", BODY, "k") for _ in range(20)))
    assert len({job_id(answer) for answer in answers}) == 1
    assert await count(w) == 1


async def test_a_crash_between_claim_and_job_heals_by_repeating(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    insert = w.backend.insert

    async def crash(row: Row, token: str) -> bool:
        raise StoreUnavailable("the process died here, for the test")

    monkeypatch.setattr(w.backend, "insert", crash)
    assert (await post(w, "/api/jobs", BODY, "k")).status_code == 503
    monkeypatch.setattr(w.backend, "insert", insert)
    assert await count(w) == 0
    job = job_id(await post(w, "/api/jobs", BODY, "k"))
    assert job_id(await post(w, "/api/jobs", BODY, "k")) == job


async def test_a_lost_answer_of_the_store_does_not_make_a_second_job(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    insert = w.backend.insert

    async def lose_the_answer(row: Row, token: str) -> bool:
        await insert(row, token)
        raise StoreUnavailable("no answer, for the test")

    monkeypatch.setattr(w.backend, "insert", lose_the_answer)
    assert (await post(w, "/api/jobs", BODY, "k")).status_code == 503
    monkeypatch.setattr(w.backend, "insert", insert)
    job_id(await post(w, "/api/jobs", BODY, "k"))
    assert await count(w) == 1


async def test_a_key_lives_as_long_as_its_job(w: World) -> None:
    job = job_id(await post(w, "/api/jobs", BODY, "k"))
    w.clock.leap(3_600_000)
    assert job_id(await post(w, "/api/jobs", BODY, "k")) == job
    await w.store.delete(job)
    other = {"clips": [{"prompt": "A harbour"}]}
    assert job_id(await post(w, "/api/jobs", other, "k")) != job


async def test_an_unusable_key_is_refused(w: World) -> None:
    error_of(await post(w, "/api/jobs", BODY, "x" * 256))
    assert await count(w) == 0


async def test_a_record_that_is_being_processed_is_that_job(w: World) -> None:
    first = await post(w, "/api/process-record", {"recordId": RECORD})
    again = await post(w, "/api/process-record", {"recordId": RECORD}, caller="k2")
    assert again.json() == first.json()
    assert await count(w) == 1


async def test_a_record_may_be_forced(w: World) -> None:
    first = job_id(await post(w, "/api/process-record", {"recordId": RECORD}))
    forced = job_id(await post(w, "/api/process-record", {"recordId": RECORD, "force": True}))
    assert forced != first
    assert job_id(await post(w, "/api/process-record", {"recordId": RECORD})) == forced


async def test_a_record_is_free_when_its_job_is_over_or_gone(w: World) -> None:
    first = job_id(await post(w, "/api/process-record", {"recordId": RECORD}))
    await end(w, first)
    second = job_id(await post(w, "/api/process-record", {"recordId": RECORD}))
    assert second != first
    w.clock.leap(3_600_000)
    await w.store.delete(second)
    assert job_id(await post(w, "/api/process-record", {"recordId": RECORD})) not in (first, second)


async def test_a_record_that_cannot_be_read_is_not_kept_from_others(w: World) -> None:
    await w.airtable.fault("get=401", times=1)
    error_of(await post(w, "/api/process-record", {"recordId": RECORD}), 502)
    job_id(await post(w, "/api/process-record", {"recordId": RECORD}))


async def test_a_refused_request_leaves_the_record_to_whoever_made_its_job_meanwhile(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two come at once; Airtable does not answer the first, under whose claim the second makes the job."""
    read, made = RecordReader.read, asyncio.Event()

    async def slow_once(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(RecordReader, "read", read)
        await made.wait()
        raise ApiError(503, "airtable_unavailable", "no answer, for the test")

    monkeypatch.setattr(RecordReader, "read", slow_once)
    refused = asyncio.create_task(post(w, "/api/process-record", {"recordId": RECORD}, "k"))

    async def reading() -> bool:
        return RecordReader.read is read

    await eventually(reading, "the first request reads the record")
    job = job_id(await post(w, "/api/process-record", {"recordId": RECORD}, "k"))
    made.set()
    error_of(await refused, 503)
    assert job_id(await post(w, "/api/process-record", {"recordId": RECORD}, "k")) == job
    assert job_id(await post(w, "/api/process-record", {"recordId": RECORD})) == job
    assert await count(w) == 1


async def test_a_refused_repetition_leaves_the_record_to_the_request_that_is_at_it(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, go_on, calls = RecordReader.read, asyncio.Event(), 0

    async def slow_then_refused(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise ApiError(503, "airtable_unavailable", "no answer, for the test")
        await go_on.wait()
        return await read(*args, **options)

    monkeypatch.setattr(RecordReader, "read", slow_then_refused)
    first = asyncio.create_task(post(w, "/api/process-record", {"recordId": RECORD}, "k"))

    async def reading() -> bool:
        return calls > 0

    await eventually(reading, "the first request reads the record")
    error_of(await post(w, "/api/process-record", {"recordId": RECORD}, "k"), 503)
    go_on.set()
    job = job_id(await first)
    monkeypatch.setattr(RecordReader, "read", read)
    assert job_id(await post(w, "/api/process-record", {"recordId": RECORD})) == job
    assert job_id(await post(w, "/api/process-record", {"recordId": RECORD}, "k")) == job
    assert await count(w) == 1


async def test_a_refused_force_leaves_the_record_to_its_unfinished_job(w: World) -> None:
    job = job_id(await post(w, "/api/process-record", {"recordId": RECORD}))
    await w.airtable.fault("get=401", times=1)
    error_of(await post(w, "/api/process-record", {"recordId": RECORD, "force": True}), 502)
    assert job_id(await post(w, "/api/process-record", {"recordId": RECORD})) == job
    assert await count(w) == 1


async def test_twenty_at_once_for_one_record_make_one_job(w: World) -> None:
    answers = await asyncio.gather(*(post(w, "/api/process-record", {"recordId": RECORD}) for _ in range(20)))
    assert len({job_id(answer) for answer in answers}) == 1
    assert await count(w) == 1


async def test_a_repetition_finds_the_job_that_the_record_had_then(w: World) -> None:
    first = job_id(await post(w, "/api/process-record", {"recordId": RECORD}))
    assert job_id(await post(w, "/api/process-record", {"recordId": RECORD}, "k")) == first
    await end(w, first)
    assert job_id(await post(w, "/api/process-record", {"recordId": RECORD}, "k"), 200) == first
