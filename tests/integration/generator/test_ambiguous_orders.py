"""Orders whose answer never came: not placed again while their callback can come, and never silently paid twice."""

import asyncio
from pathlib import Path

import pytest

from services.generator.provider.failures import error_of
from services.generator.provider.kie import KieProvider
from services.generator.provider.outcomes import CreateOutcome, Declined, ErrorCode, ModelInput, Taken
from shared.artifacts.protocol import ArtifactStat
from shared.events import EventName
from shared.job.clips import begin_order
from shared.job.control import retry
from shared.job.create import ClipWish, JobWish, new_job, new_job_id, new_task_id
from shared.job.model import AttemptState, ClipStatus, Job, JobStatus
from tests.support.commands import command
from tests.support.fixtures_world import OpenWorld
from tests.support.waiting import eventually
from tests.support.world import World

GENERATOR = ("generator",)


def fate(job: Job) -> AttemptState | None:
    attempt = job.clips[0].attempt
    return None if attempt is None else attempt.state


async def until_ambiguous(w: World, job_id: str) -> Job:
    return await w.until(job_id, lambda job: fate(job) is AttemptState.AMBIGUOUS, "the order's fate is unknown")


async def test_a_callback_brings_an_order_back_whose_answer_was_lost(open_world: OpenWorld) -> None:
    """Answers lost after the order was taken: reset, and cut off in the middle."""
    w = await open_world(services=GENERATOR)
    for fault in ("create=drop_after", "create=malformed"):
        job = await w.until_home(await w.submit(f"a boat [twin:{fault}]"))
        assert [attempt.state for attempt in job.clips[0].attempts] == [AttemptState.SUCCEEDED]
        assert any("nobody knows whether the provider took the order" in entry.what for entry in job.timeline)
        assert any("order of unknown fate found again" in entry.what for entry in job.timeline)
        assert len(await w.orders(fault)) == 1


async def test_an_order_that_was_never_taken_looks_the_same_and_is_not_placed_again(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR)
    for fault in ("create=drop_before", "create=html:502"):
        job = await until_ambiguous(w, await w.submit(f"a boat [twin:{fault}]"))
        w.clock.leap(60_000)
        await until_nudged(w, job.id)
        assert len(await w.kie.get(f"orders?prompt={fault}")) == 1


async def until_nudged(w: World, job_id: str) -> None:
    """Return once the reconciler has come by."""
    w.bus.published.clear()
    other = await w.submit("[twin:create=402] somebody else's")
    await w.until_finished(other)


async def test_without_answer_and_callback_the_job_fails_at_its_deadline_having_ordered_once(
    open_world: OpenWorld,
) -> None:
    w = await open_world(services=GENERATOR, job_timeout=60_000)
    job = await until_ambiguous(w, await w.submit("a boat [twin:create=drop_after,callback=lost]"))
    w.clock.leap(59_000)
    assert (await w.job(job.id)).status is JobStatus.GENERATING
    w.clock.leap(1_500)
    job = await w.until_finished(job.id)
    assert job.failure is not None
    assert (job.failure.code, job.failure.clip, job.failure.retryable) == ("ambiguous", 1, True)
    assert "may have been charged" in job.failure.message
    assert len(await w.orders()) == 1


async def called_back_after_the_end(w: World, faults: str) -> str:
    """Lose an order until its job is over, then have the provider call back; return the job's id."""
    job_id = await w.submit(f"a boat [twin:{faults}]")
    await until_ambiguous(w, job_id)
    w.clock.leap(61_000)
    await w.until_finished(job_id)
    [order] = await w.orders()
    await w.kie.wait_for(f"tasks/{order['task_id']}", lambda task: bool(task["state"] == "success"))
    await w.kie.post(f"tasks/{order['task_id']}/callback")
    return job_id


async def test_a_callback_after_the_deadline_still_brings_the_paid_clip_home(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR, job_timeout=60_000)
    job_id = await called_back_after_the_end(w, "create=drop_after,callback=lost")
    job = await w.until(job_id, lambda job: fate(job) is AttemptState.SUCCEEDED, "the clip is home")
    assert job.status is JobStatus.FAILED
    assert await w.artifacts.stat(f"jobs/{job_id}/clip-1.mp4") is not None


@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "being deleted"])
async def test_a_clip_put_after_its_job_was_purged_does_not_stay(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch, is_gone: bool
) -> None:
    w = await open_world(services=GENERATOR, job_timeout=60_000)
    put_file, delete, deleted = w.artifacts.put_file, w.artifacts.delete, asyncio.Event()

    async def put_late(key: str, path: Path) -> ArtifactStat:
        await w.store.update(key.split("/")[1], lambda job: job.but(purging=True))
        if is_gone:
            await w.store.delete(key.split("/")[1])
        return await put_file(key, path)

    async def delete_and_tell(key: str) -> None:
        await delete(key)
        deleted.set()

    monkeypatch.setattr(w.artifacts, "put_file", put_late)
    monkeypatch.setattr(w.artifacts, "delete", delete_and_tell)
    await called_back_after_the_end(w, "create=drop_after,callback=lost")
    async with asyncio.timeout(20):
        await deleted.wait()
    assert [stat.key async for stat in w.artifacts.list()] == []


async def test_a_callback_after_the_end_is_kept_while_the_provider_cannot_be_asked_about_it(
    open_world: OpenWorld,
) -> None:
    """It is the only trace of a paid order."""
    w = await open_world(services=GENERATOR, job_timeout=60_000, poll_every_ms=50)
    job_id = await called_back_after_the_end(w, "create=drop_after,callback=lost,info=500*2,info=null*1")
    await w.until(job_id, lambda job: fate(job) is AttemptState.SUCCEEDED, "the clip is home")


async def test_a_callback_after_the_end_about_a_task_that_nobody_knows_ends_among_the_dead_letters(
    open_world: OpenWorld,
) -> None:
    w = await open_world(services=GENERATOR, job_timeout=60_000, poll_every_ms=20)
    job_id = await w.submit("a boat [twin:create=drop_before]")
    await until_ambiguous(w, job_id)
    w.clock.leap(61_000)
    before = await w.until_finished(job_id)
    body = {"code": 200, "data": {"taskId": "f" * 32, "state": "success"}}
    assert (await w.http.post(w.callback_path(job_id), json=body)).status_code == 200

    async def is_dead() -> bool:
        return bool(await w.bus.dead_letters())

    await eventually(is_dead, "it was given up")
    assert await w.job(job_id) == before


async def test_a_callback_about_an_order_that_was_said_to_be_declined_brings_it_home(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider answered with an error although it had taken the order."""
    create = KieProvider.create

    async def denied(
        provider: KieProvider, model_slug: str, model_input: ModelInput, callback_url: str | None
    ) -> CreateOutcome:
        assert isinstance(await create(provider, model_slug, model_input, callback_url), Taken)
        return Declined(error_of(denial))

    monkeypatch.setattr(KieProvider, "create", denied)
    w = await open_world(services=GENERATOR, kie={"generating_ms": 200})
    denial = ErrorCode.CREDITS  # given up
    job_id = await w.submit("a boat")
    job = await w.until(job_id, lambda job: fate(job) is AttemptState.SUCCEEDED, "the clip is home")
    assert job.status is JobStatus.FAILED
    assert len(await w.orders("a boat")) == 1

    denial = ErrorCode.MAINTENANCE  # to be ordered again in a minute
    job = await w.until_home(await w.submit("a harbour"))
    assert [attempt.state for attempt in job.clips[0].attempts] == [AttemptState.SUCCEEDED]
    assert len(await w.orders("a harbour")) == 1


async def test_the_policy_fail_gives_the_clip_up_after_its_window(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR, ambiguous_policy="fail", ambiguous_window=20_000)
    job = await until_ambiguous(w, await w.submit("a boat [twin:create=drop_after,callback=lost]"))
    w.clock.leap(19_000)
    assert not (await w.job(job.id)).status.is_final
    w.clock.leap(1_500)
    job = await w.until_finished(job.id)
    assert job.failure is not None
    assert job.failure.code == "ambiguous"
    assert len(await w.orders()) == 1


async def test_a_callback_about_a_clip_that_was_given_up_brings_it_home(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR, ambiguous_policy="fail", ambiguous_window=20_000)
    job = await until_ambiguous(w, await w.submit("a boat [twin:create=drop_after,callback=lost]"))
    w.clock.leap(20_500)
    await w.until_finished(job.id)
    [order] = await w.orders()
    await w.kie.wait_for(f"tasks/{order['task_id']}", lambda task: bool(task["state"] == "success"))
    await w.kie.post(f"tasks/{order['task_id']}/callback")
    job = await w.until(job.id, lambda job: fate(job) is AttemptState.SUCCEEDED, "the clip is home")
    assert (job.status, job.clips[0].status) == (JobStatus.FAILED, ClipStatus.READY)
    job = await command(w, job.id, retry)
    assert job.status is JobStatus.PROCESSING
    assert len(await w.orders()) == 1


async def test_a_retry_orders_again_where_nobody_knows_and_says_so(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR, job_timeout=60_000)
    job_id = await w.submit("a boat [twin:create=drop_after*1,callback=lost*1]")
    await until_ambiguous(w, job_id)
    w.clock.leap(61_000)
    await w.until_finished(job_id)
    await command(w, job_id, retry)
    job = await w.until_home(job_id)
    assert [attempt.state for attempt in job.clips[0].attempts] == [AttemptState.AMBIGUOUS, AttemptState.SUCCEEDED]
    assert any("fate is unknown; ordered again because a retry was asked for" in entry.what for entry in job.timeline)
    assert len(await w.orders()) == 2


async def test_the_policy_resubmit_orders_again_after_its_window(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR, ambiguous_policy="resubmit", ambiguous_window=20_000)
    job = await until_ambiguous(w, await w.submit("a boat [twin:create=drop_after*1,callback=lost]"))
    w.clock.leap(20_500)
    job = await w.until_home(job.id)
    assert [attempt.state for attempt in job.clips[0].attempts] == [AttemptState.AMBIGUOUS, AttemptState.SUCCEEDED]
    assert len(await w.orders()) == 2


async def test_the_policy_resubmit_does_not_order_for_ever(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR, ambiguous_policy="resubmit", ambiguous_window=20_000, max_attempts=2)
    job_id = await w.submit("a boat [twin:create=drop_after,callback=lost]")
    job = await w.until_finished(job_id, leaping=True)
    assert job.failure is not None
    assert job.failure.code == "ambiguous"
    assert len(await w.orders()) == 2


async def test_a_callback_is_kept_while_the_provider_does_not_tell_whose_task_it_is(open_world: OpenWorld) -> None:
    """The callback is the only trace of the paid order: one bad answer to a question must not lose it."""
    w = await open_world(services=GENERATOR, poll_after_ms=100)
    for fault in ("info=null*2", "info=500*2"):
        marked = f"a boat [twin:create=drop_after,{fault}]"
        job = await w.until_home(await w.submit(marked))
        assert [attempt.state for attempt in job.clips[0].attempts] == [AttemptState.SUCCEEDED]
        assert len(await w.orders(fault)) == 1


async def test_a_callback_that_names_a_strangers_task_is_not_believed(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR)
    mine = await until_ambiguous(w, await w.submit("a boat [twin:create=drop_before]"))
    other = await w.until_home(await w.submit("a harbour"))
    attempt = other.clips[0].attempt
    assert attempt is not None
    body = {"code": 200, "data": {"taskId": attempt.task_id, "state": "success"}}
    assert (await w.http.post(w.callback_path(mine.id), json=body)).status_code == 200

    async def looked_at() -> bool:
        queue = next(q for q in (await w.bus.health()).queues if q.queue == "generator.video.callback")
        asked = [event for event in w.bus.published if event.subject == mine.id]
        return queue.ready == 0 and any(event.name is EventName.VIDEO_CALLBACK for event in asked)

    await eventually(looked_at, "the callback was looked into")
    await until_nudged(w, mine.id)
    assert fate(await w.job(mine.id)) is AttemptState.AMBIGUOUS
    assert await w.artifacts.stat(f"jobs/{mine.id}/clip-1.mp4") is None


async def test_an_order_whose_owner_disappeared_is_not_placed_again(open_world: OpenWorld) -> None:
    """The process died between writing the intent and hearing the answer."""
    w = await open_world(services=GENERATOR)
    now, policy = w.clock(), w.parts.context.policy
    job = new_job(new_job_id(now), [new_task_id()], JobWish(clips=(ClipWish("a boat"),)), now)
    await w.put(begin_order(job, 1, owner="the dead", provider="kie", model="m", now=now, policy=policy))
    w.clock.leap(policy.lease_ms)
    job = await until_ambiguous(w, job.id)
    assert "its owner disappeared" in job.timeline[-1].what
    assert await w.kie.get("orders") == []
