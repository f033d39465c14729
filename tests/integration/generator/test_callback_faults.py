"""Callbacks that are early, late, lost, repeated, out of order, old-fashioned or lying: one order, one clip."""

import asyncio

import pytest

from shared.job.model import AttemptState, JobStatus
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World

ODD_CALLBACKS = (
    "early",
    "late:200",
    "lost",
    "duplicate:3",
    "progress",
    "old_names",
    "malformed",
    "lying",
    "contradict",
    "early,create=drop_after",
    "early,create=late:300",
)


async def test_however_a_callback_comes_each_clip_is_ordered_once_and_brought_home_once(
    open_world: OpenWorld,
) -> None:
    w = await open_world(services=("generator",))

    async def make(how: str) -> None:
        job = await w.until_home(await w.submit(f"a boat [twin:callback={how}]"))
        assert [attempt.state for attempt in job.clips[0].attempts] == [AttemptState.SUCCEEDED], how
        assert job.clips[0].fetches == 0, how
        assert len(await w.orders(f"callback={how}]")) == 1, how
        assert len([entry for entry in job.timeline if "clip is home" in entry.what]) == 1, how

    await asyncio.gather(*(make(how) for how in ODD_CALLBACKS))
    assert w.work_files() == []


@pytest.mark.parametrize("how", ["barrier", "reordered"])
async def test_callbacks_in_the_same_millisecond_or_the_wrong_order_complete_every_job(
    open_world: OpenWorld, how: str
) -> None:
    """What the original lost jobs to."""
    w = await open_world(services=("generator",))
    await w.kie.fault(f"callback={how}:2", group=r"pair \d+")
    job_ids = [await w.submit(f"a boat [twin:pair {n}]", f"a harbour [twin:pair {n}]") for n in range(3)]
    for job_id in job_ids:
        job = await w.until_home(job_id)
        assert [len(clip.attempts) for clip in job.clips] == [1, 1]
        assert [entry.what for entry in job.timeline].count("all clips are home") == 1
    assert len(await w.orders()) == 6


async def test_signed_callbacks_are_let_in_and_wrongly_signed_ones_are_made_up_for(open_world: OpenWorld) -> None:
    key = "webhook-hmac-key"
    w = await open_world(
        services=("generator",),
        kie={"webhook_hmac_key": key, "callback_retries": 0},
        sora_webhook_hmac_key=key,
        poll_after_ms=60_000,
    )
    await w.until_home(await w.submit("a boat"))
    job_id = await w.submit("a boat [twin:callback=bad_signature]")
    deliveries = await w.kie.wait_for("callbacks", lambda sent: len(sent) == 2 and sent[1]["status"] is not None)
    assert [delivery["status"] for delivery in deliveries] == [200, 401]
    w.clock.leap(60_000)
    await w.until_home(job_id)


async def test_a_callback_replayed_after_the_clip_is_home_changes_nothing(open_world: OpenWorld) -> None:
    w = await open_world(services=("generator",))
    before = await w.until_home(await w.submit("a boat"))
    [order] = await w.orders()
    looks = len([e for e in w.bus.published if e.name == "video.callback"])
    for overrides in ({}, {"state": "fail", "failCode": "500", "failMsg": "broken"}, {"taskId": "f" * 32}):
        answer = await w.kie.post(f"tasks/{order['task_id']}/callback", {"overrides": overrides})
        assert answer["status"] == 200
    await _until_idle(w)
    assert len([e for e in w.bus.published if e.name == "video.callback"]) == looks + 3
    after = await w.job(before.id)
    assert (after.clips, after.timeline) == (before.clips, before.timeline)


async def test_a_callback_that_claims_failure_is_not_believed(open_world: OpenWorld) -> None:
    w = await open_world(services=("generator",), poll_after_ms=60_000)
    job_id = await w.submit("a boat [twin:task=slow:400]")
    job = await w.until(job_id, lambda job: bool(job.clips[0].attempt and job.clips[0].attempt.task_id), "ordered")
    attempt = job.clips[0].attempt
    assert attempt is not None
    body = {"code": 501, "msg": "failed", "data": {"taskId": attempt.task_id, "state": "fail", "failCode": "500"}}
    assert (await w.http.post(w.callback_path(job_id), json=body)).status_code == 200
    job = await w.until_home(job_id)
    assert len(job.clips[0].attempts) == 1


async def test_callbacks_about_jobs_and_clips_that_are_gone_are_quietly_dropped(open_world: OpenWorld) -> None:
    w = await open_world(services=("generator",))
    body = {"code": 200, "data": {"taskId": "f" * 32, "state": "success"}}
    assert (await w.http.post(w.callback_path("job_0_gone"), json=body)).status_code == 200
    job = await w.until_finished(await w.submit("a boat [twin:fail=content]"))
    assert job.status is JobStatus.FAILED
    assert (await w.http.post(w.callback_path(job.id, attempt=1), json=body)).status_code == 200
    assert (await w.http.post(w.callback_path(job.id, attempt=7), json=body)).status_code == 200
    await _until_idle(w)
    assert await w.job(job.id) == job
    assert await w.bus.dead_letters() == []


async def _until_idle(w: World) -> None:
    """Return once everything that was published before has been handled."""
    await w.until_finished(await w.submit("[twin:create=402] the last one"))
    await w.bus.drain(10)
