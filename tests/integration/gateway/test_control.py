"""Cancel, retry, approve and regenerate over HTTP: announced at once, safe to repeat, refused with a reason."""

from typing import Any

import httpx
import pytest

from shared.events import EventName
from shared.job.model import ClipStatus, Job, JobStatus
from tests.integration.gateway.answers import error_of
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World

SORA = "sora-2-text-to-video"


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """Gateway and generator; a reconciler that sleeps, so that only announcements move jobs."""
    return await open_world(services=("generator",), nudge_after_ms=60_000)


async def control(w: World, job_id: str, verb: str, status: int = 200, spelling: str = "job", **more: Any) -> Any:
    answer: httpx.Response = await w.http.post(f"/api/{spelling}/{job_id}/{verb}", **more)
    if status != 200:
        return error_of(answer, status)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def in_status(status: JobStatus) -> Any:
    return lambda job: job.status is status


async def in_review(w: World, *prompts: str) -> Job:
    return await w.until(await w.submit(*prompts, review=True), in_status(JobStatus.REVIEW), "the clips wait")


async def test_a_job_is_cancelled_once_and_stays_so(w: World) -> None:
    job = await in_review(w, "a boat")
    for spelling in ("job", "jobs"):
        view = await control(w, job.id, "cancel", spelling=spelling)
        assert (view["status"], view["cancelledAt"] > 0) == ("cancelled", True)
    assert [event.name for event in w.bus.published].count(EventName.JOB_CANCELLED) == 1
    for verb in ("approve", "retry", "clips/1/regenerate"):
        assert (await control(w, job.id, verb, 409))["code"] in ("not_in_review", "not_failed", "too_late")


async def test_approved_clips_go_on_to_be_joined(w: World) -> None:
    job = await in_review(w, "a boat")
    view = await control(w, job.id, "approve")
    assert view["status"] == "processing"
    assert view["approvedAt"] > 0
    assert (await control(w, job.id, "approve"))["status"] == "processing"


async def test_a_clip_is_made_anew_of_another_prompt_and_waits_for_review_again(w: World) -> None:
    job = await in_review(w, "a boat", "a harbour")
    view = await control(w, job.id, "clips/2/regenerate", json={"prompt": "a lighthouse"})
    assert [clip["status"] for clip in view["clips"]] == ["ready", "pending"]
    again = await w.until(
        job.id,
        lambda each: each.status is JobStatus.REVIEW and each.clips[1].status is ClipStatus.READY,
        "the new clip waits for review",
    )
    assert again.clips[1].prompt == "a lighthouse"
    assert len(await w.orders("a lighthouse")) == 1
    assert len(await w.orders("a boat")) == 1


async def test_a_clip_is_made_anew_once_for_an_idempotency_key(w: World) -> None:
    job = await in_review(w, "a boat")
    for _ in range(2):
        await control(w, job.id, "clips/1/regenerate", headers={"Idempotency-Key": "again-1"})
        await w.until(job.id, in_status(JobStatus.REVIEW), "the clip waits for review")
    assert len(await w.orders("a boat")) == 2


async def test_a_key_that_was_used_with_another_prompt_makes_no_take(w: World) -> None:
    job = await in_review(w, "a boat")
    for prompt in ("a red boat", "a blue boat"):
        key = {"Idempotency-Key": prompt.replace(" ", "-")}
        await control(w, job.id, "clips/1/regenerate", json={"prompt": prompt}, headers=key)
        await w.until(job.id, in_status(JobStatus.REVIEW), "the clip waits for review")
    late = {"Idempotency-Key": "a-red-boat"}
    await control(w, job.id, "clips/1/regenerate", json={"prompt": "a red boat"}, headers=late)
    refused = await control(w, job.id, "clips/1/regenerate", 409, json={"prompt": "a green boat"}, headers=late)
    assert refused["code"] == "idempotency_conflict"
    assert len(await w.orders()) == 3


async def test_a_clip_is_not_thrown_away_for_a_prompt_that_no_model_takes(w: World) -> None:
    wish = {"clips": [{"prompt": "a boat", "model": "kling-2.6/text-to-video"}], "review": True}
    taken = await w.http.post("/api/jobs", json=wish)
    job_id = taken.json()["data"]["jobId"]
    job = await w.until(job_id, in_status(JobStatus.REVIEW), "the clip waits")
    refused = await control(w, job.id, "clips/1/regenerate", 400, json={"prompt": "long " * 1000})
    assert refused["code"] == "invalid_request"
    assert refused["details"][0]["field"] == "prompt"
    assert await w.store.get(job.id) == job, "nothing was changed"


async def test_a_failed_job_goes_on_with_what_is_missing(w: World) -> None:
    await w.kie.fault("create=402", match="harbour")
    job = await w.until_finished(await w.submit("a boat", "a harbour"))
    assert job.status is JobStatus.FAILED
    await w.kie.clear_faults()
    view = await control(w, job.id, "retry")
    assert (view["status"], view["retries"]) == ("generating", 1)
    assert (await w.until_home(job.id)).status is JobStatus.PROCESSING
    assert len(await w.orders("a boat")) == 1


async def test_what_does_not_exist_is_404(w: World) -> None:
    for verb in ("cancel", "retry", "approve", "clips/1/regenerate"):
        assert (await control(w, "job_1_2", verb, 404))["code"] == "job_not_found"
    job = await in_review(w, "a boat")
    assert (await control(w, job.id, "clips/2/regenerate", 404))["code"] == "clip_not_found"
    assert (await control(w, job.id, "clips/0/regenerate", 400))["code"] == "invalid_request"


async def test_a_clip_that_may_not_be_paid_for_is_not_made_anew(open_world: OpenWorld) -> None:
    w = await open_world(services=("generator",), max_clips_per_day=1)
    job = await in_review(w, "a boat")
    assert (await control(w, job.id, "clips/1/regenerate", 402))["code"] == "budget_exceeded"


async def test_all_that_a_failed_job_orders_again_is_reserved_whichever_way_it_goes_on(open_world: OpenWorld) -> None:
    w = await open_world(services=("generator",), max_clips_per_day=3)
    await w.kie.fault("create=402")
    job = await w.until_finished(await w.submit("a boat", "a harbour"))
    assert job.status is JobStatus.FAILED
    for verb in ("clips/1/regenerate", "retry"):
        assert (await control(w, job.id, verb, 402))["code"] == "budget_exceeded"


async def test_usage_counts_every_clip_once(w: World) -> None:
    job = await in_review(w, "a boat", "a harbour")
    expected = sum(clip.attempts[-1].credits or 0 for clip in job.clips)
    await control(w, job.id, "cancel")
    used = (await w.http.get("/api/usage?days=1")).json()["data"]
    assert used["total"]["clips"] == 2
    assert used["total"]["credits"] == (expected or 60)
    assert used["total"]["seconds"] > 0
    [row] = used["usage"]
    assert (row["model"], row["key"], row["clips"]) == (SORA, "anonymous", 2)
    await w.store.delete(job.id)
    assert (await w.http.get("/api/usage?days=1")).json()["data"] == used
    assert (await w.http.get("/api/usage?days=1&key=other")).json()["data"]["usage"] == []


async def test_usage_survives_a_count_that_failed(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tally = w.backend.tally

    async def down(*_args: Any) -> Any:
        w.backend.down = True
        try:
            w.backend._require_up()
        finally:
            w.backend.down = False

    monkeypatch.setattr(w.backend, "tally", down)
    job = await in_review(w, "a boat")
    monkeypatch.setattr(w.backend, "tally", tally)
    assert (await w.http.get("/api/usage")).json()["data"]["total"]["clips"] == 0
    await w.store.delete(job.id)
    assert (await w.http.get("/api/usage")).json()["data"]["total"]["clips"] == 1
