"""Cancelling, retrying, approving and making clips anew, while the generator is at work."""

import json
from collections.abc import Callable

import pytest

from services.generator import clip_check
from shared import service
from shared.film import FfmpegMissing, check_clip
from shared.job.control import approve, cancel, regenerate, retry
from shared.job.create import ClipWish
from shared.job.files import files_of
from shared.job.model import ClipStatus, Job, JobStatus
from shared.job.wishes import ClipFailurePolicy, Priority
from tests.support.commands import command, files, order
from tests.support.fixtures_world import OpenWorld

GENERATOR = ("generator",)


def statuses(job: Job) -> list[str]:
    return [str(clip.status) for clip in job.clips]


def in_status(*statuses: JobStatus) -> Callable[[Job], bool]:
    return lambda job: job.status in statuses


async def test_a_cancelled_job_orders_nothing_more_and_brings_home_what_is_paid_for(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR, kie={"generating_ms": 400}, provider_orders_per_10s=1)
    job_id = await order(w, "first", "second")
    await w.until(job_id, lambda job: "generating" in statuses(job), "one clip is with the provider")
    job = await command(w, job_id, cancel, by="a test")
    assert job.status is JobStatus.CANCELLED
    job = await w.until(job_id, lambda job: "ready" in statuses(job), "the paid clip is home")
    assert sorted(statuses(job)) == ["pending", "ready"]
    assert job.status is JobStatus.CANCELLED
    w.clock.leap(60_000)
    await command(w, job_id, lambda job, now: job.but(nudges=job.nudges))
    assert len(await w.orders()) == 1
    assert await files(w, job_id) == files_of(job)


async def test_a_retry_orders_only_the_missing_clip(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR)
    await w.kie.fault("fail=content", match="bad")
    job_id = await order(w, "good one", "bad one", "good two")
    job = await w.until_finished(job_id)
    assert job.status is JobStatus.FAILED
    await w.kie.clear_faults()
    await command(w, job_id, retry)
    job = await w.until(job_id, in_status(JobStatus.PROCESSING, JobStatus.FAILED), "all clips are home")
    assert job.status is JobStatus.PROCESSING
    assert {prompt: len(await w.orders(prompt)) for prompt in ("good one", "bad one", "good two")} == {
        "good one": 1,
        "bad one": 2,
        "good two": 1,
    }
    assert await files(w, job_id) == files_of(job)


async def test_clips_wait_for_approval_and_one_is_made_anew(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR)
    job_id = await order(w, "a boat", "a harbour", review=True)
    before = await w.until(job_id, in_status(JobStatus.REVIEW), "the clips wait for approval")
    await command(w, job_id, regenerate, number=2, prompt="a lighthouse", request_id="r1")
    job = await w.until(job_id, in_status(JobStatus.REVIEW), "the new clip waits for approval")
    old, new = before.clip(2).artifact, job.clip(2).artifact
    assert old is not None
    assert new is not None
    assert old.key != new.key
    assert job.clip(1) == before.clip(1)
    assert job.discarded == ()
    assert await files(w, job_id) == files_of(job)
    assert [len(await w.orders(prompt)) for prompt in ("boat", "harbour", "lighthouse")] == [1, 1, 1]
    assert (await command(w, job_id, approve)).status is JobStatus.PROCESSING


async def test_a_clip_that_fails_is_left_out_if_that_was_wished_for(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR)
    await w.kie.fault("fail=content", match="bad")
    job_id = await order(w, "good one", "bad one", on_clip_failure=ClipFailurePolicy.SKIP)
    job = await w.until(job_id, in_status(JobStatus.PROCESSING, JobStatus.FAILED), "all is home")
    assert (job.status, statuses(job)) == (JobStatus.PROCESSING, ["ready", "failed"])


async def test_a_clip_that_fails_is_begun_anew_once_if_that_was_wished_for(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR)
    await w.kie.fault("fail=content", match="bad", times=1)
    job_id = await order(w, "bad one", on_clip_failure=ClipFailurePolicy.RETRY)
    job = await w.until(job_id, in_status(JobStatus.PROCESSING, JobStatus.FAILED), "the clip is home", leaping=True)
    assert job.status is JobStatus.PROCESSING
    assert len(await w.orders()) == 2


async def test_a_key_that_the_provider_rejects_later_is_the_reason_of_the_failure(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR, kie={"generating_ms": 60_000}, job_timeout=5_000)
    job_id = await order(w, "a boat")
    await w.until(job_id, lambda job: job.clip(1).status is ClipStatus.GENERATING, "it is being made")
    await w.kie.fault("info=401")
    job = await w.until_finished(job_id, leaping=True)
    assert job.failure is not None
    assert (job.failure.code, job.failure.retryable) == ("auth", True)


async def test_a_missing_ffmpeg_gives_no_paid_clip_up(open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "DEPENDENCY_PAUSE_S", 0.05)
    calls = 0

    async def missing_at_first(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls <= 7:
            raise FfmpegMissing("no ffmpeg binary was found")
        return await check_clip(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(clip_check, "check_clip", missing_at_first)
    w = await open_world(services=GENERATOR)
    job_id = await order(w, "a boat")
    job = await w.until(job_id, in_status(JobStatus.PROCESSING, JobStatus.FAILED), "it is home")
    assert (job.status, calls, len(await w.orders())) == (JobStatus.PROCESSING, 8, 1)


async def test_what_is_less_urgent_leaves_room_for_what_is_more(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR, provider_orders_per_10s=4)
    low = await order(w, "low 1", "low 2", "low 3", priority=Priority.LOW)
    await w.until(low, lambda job: any("waits" in entry.what for entry in job.timeline), "the third waits")
    high = await order(w, "high 1", "high 2", priority=Priority.HIGH)
    await w.until(high, in_status(JobStatus.PROCESSING), "the urgent job has its clips")
    assert (len(await w.orders("low")), len(await w.orders("high"))) == (2, 2)


async def test_the_job_s_own_models_resolution_and_seed_are_asked_for(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR)
    job_id = await order(w, ClipWish("a boat", seed=7), models=("wan/2-7-text-to-video",), resolution="1080p")
    job = await w.until(job_id, in_status(JobStatus.PROCESSING, JobStatus.FAILED), "it is home")
    assert job.status is JobStatus.PROCESSING, job.failure
    (made,) = await w.kie.get("tasks")
    asked = json.loads(json.loads(made["param"])["input"])
    assert (made["model"], asked["resolution"], asked["seed"]) == ("wan/2-7-text-to-video", "1080p", 7)
