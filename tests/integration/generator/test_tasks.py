"""Tasks that the provider gives up, never finishes, or does not know yet; and what becomes of their siblings."""

import pytest

from shared.job.model import AttemptState, ClipStatus, Failure, Job, JobStatus, Stage
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """Gateway and generator."""
    return await open_world(services=("generator",))


def reason(job: Job) -> Failure:
    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    return job.failure


async def test_a_prompt_that_the_provider_refuses_fails_at_once_with_its_words(w: World) -> None:
    for fault, words in (("content", "prohibited content"), ("guardrails", "third-party content")):
        job = await w.until_finished(await w.submit(f"a boat [twin:fail={fault}]"))
        failure = reason(job)
        assert (failure.code, failure.retryable, failure.clip) == ("content_policy", False, 1)
        assert failure.message.startswith("Video 1 generation failed: Content policy")
        assert words in failure.message
        assert len(await w.orders(fault)) == 1


async def test_a_task_that_failed_inside_is_ordered_anew_and_both_attempts_are_shown(w: World) -> None:
    for fault in ("internal", "timeout"):
        job = await w.until_home(await w.submit(f"a boat [twin:fail={fault}*1]"), leaping=True)
        assert [attempt.state for attempt in job.clips[0].attempts] == [AttemptState.FAILED, AttemptState.SUCCEEDED]
        view = await w.view(job.id)
        assert [attempt["outcome"] for attempt in view["clips"][0]["attempts"]] == ["failed", "succeeded"]
        assert len(await w.orders(fault)) == 2


async def test_a_task_that_always_fails_is_ordered_max_attempts_times(open_world: OpenWorld) -> None:
    w = await open_world(services=("generator",), max_attempts=2)
    job = await w.until_finished(await w.submit("a boat [twin:fail=internal]"), leaping=True)
    assert reason(job).retryable
    assert [attempt.state for attempt in job.clips[0].attempts] == [AttemptState.FAILED] * 2
    assert len(await w.orders()) == 2
    assert (await w.kie.get("state"))["credits"] == 1000


@pytest.mark.parametrize("how", ["stuck", "stuck_waiting"])
async def test_a_task_that_never_ends_times_out_and_says_what_it_waited_for(open_world: OpenWorld, how: str) -> None:
    w = await open_world(services=("generator",), job_timeout=60_000, poll_after_ms=30_000)
    job_id = await w.submit(f"a boat [twin:task={how}]")
    await w.until(job_id, lambda job: job.clips[0].status is ClipStatus.GENERATING, "it was ordered")
    failure = reason(await w.until_finished(job_id, leaping=True))
    assert (failure.code, failure.stage, failure.clip) == ("timeout", Stage.GENERATING, 1)
    assert "video 1 is generating" in failure.message
    assert len(await w.orders()) == 1


async def test_a_task_that_the_provider_does_not_know_yet_is_asked_for_again(open_world: OpenWorld) -> None:
    w = await open_world(services=("generator",), kie={"invisible_ms": 1_200}, poll_after_ms=100)
    job = await w.until_home(await w.submit("a boat"))
    assert len(job.clips[0].attempts) == 1
    assert job.clips[0].polls > 0


async def test_a_provider_that_cannot_be_asked_for_a_while_is_asked_again(w: World) -> None:
    for fault in ("info=500*2", "info=429*1", "info=401*1", "info=html:502*1"):
        job = await w.until_home(await w.submit(f"a boat [twin:{fault}]"), leaping=True)
        assert [attempt.state for attempt in job.clips[0].attempts] == [AttemptState.SUCCEEDED], fault


async def test_a_lost_clip_does_not_waste_its_sibling_and_the_first_reason_is_kept(w: World) -> None:
    job_id = await w.submit("a boat [twin:fail=content]", "a harbour [twin:task=slow:400]")
    failing = await w.until(job_id, lambda job: job.failure is not None, "the first clip is lost")
    assert failing.status is JobStatus.GENERATING
    assert failing.clip(2).status is ClipStatus.GENERATING
    job = await w.until_finished(job_id)
    assert (reason(job).code, reason(job).clip) == ("content_policy", 1)
    assert (job.clip(1).status, job.clip(2).status) == (ClipStatus.FAILED, ClipStatus.READY)
    assert await w.artifacts.stat(f"jobs/{job_id}/clip-2.mp4") is not None
    view = await w.view(job_id)
    assert view["video2Url"].endswith("/clip-2.mp4")
    assert (await w.http.get(view["video2Url"])).status_code == 200


async def test_of_two_lost_clips_the_first_lost_gives_the_reason(w: World) -> None:
    job_id = await w.submit("a boat [twin:fail=guardrails,task=slow:300]", "a harbour [twin:fail=content]")
    job = await w.until_finished(job_id)
    assert reason(job).clip == 2
    assert {clip.status for clip in job.clips} == {ClipStatus.FAILED}


async def test_a_clip_that_was_not_ordered_yet_is_not_bought_for_a_job_that_fails(w: World) -> None:
    job_id = await w.submit("a boat [twin:create=402]", "a harbour [twin:create=429]")
    job = await w.until_finished(job_id)
    assert reason(job).code == "credits"
    w.clock.leap(20_000)
    last = await w.until_home(await w.submit("a lighthouse"))
    assert [order["prompt"] for order in await w.orders()] == [last.clips[0].prompt]
