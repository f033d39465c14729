"""Rates, queues and budgets: refused with what is left, exact under concurrency, and shared by replicas."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from services.gateway.budgets import Budgets, Cost
from services.gateway.caller import Access, Caller, RateLimit
from services.gateway.errors import ApiError
from shared.job.outstanding import due_at, expires_at
from shared.job.policy import Policy
from shared.limits import KeyLimits
from shared.store.jobs import JobStore
from tests.integration.gateway.answers import error_of
from tests.support.fixtures_store import Connect
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World

CLIP = {"prompt": "A boat on the sea", "model": "sora-2-text-to-video"}
"""30 credits."""
NOW = 1_800_000_000_000
KEYS = "one:k1,two:k2"


async def gateway(open_world: OpenWorld, **settings: Any) -> World:
    return await open_world(partners=(), services=(), nudge_after_ms=60_000, **settings)


async def post(w: World, clips: int = 1, caller: str = "k1", **more: Any) -> httpx.Response:
    return await w.http.post("/api/jobs", json={"clips": [CLIP] * clips, **more}, headers={"X-API-Key": caller})


async def test_requests_are_counted_by_key_with_the_standard_headers(open_world: OpenWorld) -> None:
    limits = json.dumps({"two": {"requestsPerMinute": 5}})
    w = await gateway(open_world, api_keys=KEYS, rate_limit_per_minute=2, key_limits=limits)
    w.clock.leap(60_000 - w.clock() % 60_000)  # to the beginning of a window
    for left in (1, 0):
        answer = await w.http.get("/api/jobs", headers={"X-API-Key": "k1"})
        assert answer.headers["ratelimit-policy"] == '"requests";q=2;w=60'
        assert answer.headers["ratelimit"].startswith(f'"requests";r={left};t=')
    refused = await w.http.get("/api/jobs", headers={"X-API-Key": "k1"})
    assert error_of(refused, 429)["code"] == "rate_limited"
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit"].startswith('"requests";r=0;t=')
    other = await w.http.get("/api/jobs", headers={"X-API-Key": "k2"})
    assert other.headers["ratelimit"].startswith('"requests";r=4;')
    missing = await w.http.get("/api/job/job_1", headers={"X-API-Key": "k2"})
    assert missing.headers["ratelimit"].startswith('"requests";r=3;'), "errors tell what is left, too"
    w.clock.leap(60_000)
    assert (await w.http.get("/api/jobs", headers={"X-API-Key": "k1"})).status_code == 200
    assert "ratelimit" not in (await w.http.get("/api/health")).headers


async def test_too_many_unfinished_jobs_are_refused(open_world: OpenWorld) -> None:
    w = await gateway(open_world, max_unfinished_jobs=3)
    answers = await asyncio.gather(*(post(w) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 7
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert error_of(refused, 429)["code"] == "queue_full"
    assert int(refused.headers["retry-after"]) > 0


async def test_a_job_that_is_too_dear_is_refused_with_what_is_allowed(open_world: OpenWorld) -> None:
    w = await gateway(open_world, max_credits_per_job=60)
    assert (await post(w, 2)).status_code == 202
    error = error_of(await post(w, 3), 402)
    assert error["code"] == "budget_exceeded"
    assert error["details"][0] | {"message": ""} == {
        "field": "credits",
        "message": "",
        "wanted": 90,
        "left": 60,
        "limit": 60,
    }
    assert error_of(await post(w, 3, dryRun=True), 402)["code"] == "budget_exceeded"


async def test_a_days_budget_is_never_passed_by_many_at_once(open_world: OpenWorld) -> None:
    w = await gateway(open_world, max_credits_per_day=100)
    answers = await asyncio.gather(*(post(w) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [402] * 7
    error = error_of(await post(w), 402)
    assert (error["details"][0]["left"], error["details"][0]["limit"]) == (10, 100)
    assert error_of(await post(w, dryRun=True), 402)["details"][0]["left"] == 10
    w.clock.leap(86_400_000)
    assert (await post(w)).status_code == 202


async def test_a_key_may_have_a_budget_of_its_own(open_world: OpenWorld) -> None:
    limits = json.dumps({"two": {"maxClipsPerDay": 2, "maxClipsPerJob": 1}})
    w = await gateway(open_world, api_keys=KEYS, key_limits=limits)
    assert [(await post(w, caller="k2")).status_code for _ in range(3)] == [202, 202, 402]
    assert "key two" in error_of(await post(w, 2, caller="k2"), 402)["error"]
    assert (await post(w, 5, caller="k1")).status_code == 202


async def test_a_repetition_does_not_spend_twice(open_world: OpenWorld) -> None:
    w = await gateway(open_world, max_clips_per_day=2)
    for _ in range(5):
        answer = await w.http.post("/api/jobs", json={"clips": [CLIP]}, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 202
    assert (await post(w)).status_code == 202
    assert (await post(w)).status_code == 402


@pytest.fixture
async def replicas(connect_store: Connect) -> list[JobStore]:
    """The stores of two replicas, on every backend."""
    policy = Policy()
    return [
        JobStore(
            await connect_store(),
            due_at=lambda job: due_at(job, policy),
            expires_at=lambda job: expires_at(job, policy),
            clock=lambda: NOW,
        )
        for _ in range(2)
    ]


async def test_replicas_share_a_rate(replicas: list[JobStore]) -> None:
    access = Access(everybody=KeyLimits.model_validate({"requestsPerMinute": 7}))
    limits = [RateLimit(store, access, lambda: NOW) for store in replicas]

    async def ask(number: int) -> bool:
        try:
            await limits[number % 2].count(Caller(address="10.0.0.1"))
        except ApiError:
            return False
        return True

    assert sum(await asyncio.gather(*(ask(number) for number in range(20)))) == 7


async def test_replicas_share_a_budget(replicas: list[JobStore]) -> None:
    access = Access(everybody=KeyLimits.model_validate({"maxCreditsPerDay": 100.5}))
    budgets = [Budgets(store, access, lambda: NOW, max_unfinished=None) for store in replicas]

    async def reserve(number: int) -> bool:
        try:
            await budgets[number % 2].reserve(f"job{number}", Caller(), Cost(1, 33.5))
        except ApiError:
            return False
        return True

    assert sum(await asyncio.gather(*(reserve(number) for number in range(20)))) == 3
