"""Finished tasks whose file is gone, broken, something else, or somewhere it must not be fetched from."""

import asyncio
import errno
from dataclasses import replace

import pytest

from services.generator.bringing_home import MAX_FETCHES
from services.generator.file_sink import FileSink
from services.generator.provider.kie import KieProvider
from services.generator.provider.outcomes import LookOutcome, TaskFailed, TaskSucceeded
from shared import service
from shared.events import EventName
from shared.film import Probe
from shared.job.control import retry
from shared.job.lease import Lease
from shared.job.model import AttemptState, ClipStatus, Failure, Job, JobStatus
from tests.support.commands import command
from tests.support.fixtures_world import OpenWorld
from tests.support.waiting import eventually

GENERATOR = ("generator",)
MENDED = (
    "file=link_only",
    "file=403*1",
    "file=link_only,link=500*2",
    "file=link_only,link=429*2",
    "file=truncated*1",
    "file=broken*1",
    "file=drop*1",
    "result=object",
    "result=watermark_only",
    "seconds=0.4",
)
"""Troubles that end well."""
LOST = {
    "file=404": "expired",
    "file=html": "not_video",
    "file=not_video": "not_video",
    "file=endless": "too_large",
    "file=private_redirect": "private_address",
    "file=truncated": "truncated",
    "result=private_url": "private_address",
    "result=no_urls": "no_result",
    "seconds=4": "too_long",
}
"""Troubles that no waiting mends, and the code they end with."""
WAITING = {
    "file=endless": "too_large",
    "file=redirect_loop": "too_many_redirects",
    "file=private_redirect": "private_address",
    "result=private_url": "private_address",
    "file=link_only,link=401*2": "expired",
    "file=link_only,link=402*2": "expired",
}
"""Troubles that end badly with a result that is there, and the code they end with."""
MENDED_SINCE = ("file=link_only,link=401*2", "file=link_only,link=402*2")


def reason(job: Job) -> Failure:
    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    return job.failure


async def test_a_result_that_can_be_had_in_the_end_is_brought_home_and_ordered_once(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR)

    async def make(how: str) -> None:
        job = await w.until_home(await w.submit(f"a boat [twin:{how}]"), leaping=True)
        [clip] = job.clips
        assert [attempt.state for attempt in clip.attempts] == [AttemptState.SUCCEEDED], how
        assert clip.attempts[0].credits == 30
        assert clip.artifact is not None
        stored = await w.artifacts.stat(clip.artifact.key)
        assert stored is not None
        assert stored.size_bytes == clip.artifact.size_bytes
        assert (clip.artifact.width, clip.artifact.height) == (320, 180)
        async with w.artifacts.local_path(clip.artifact.key) as path:
            assert path is not None
            assert clip.artifact.probe is not None
            assert Probe.unpacked(clip.artifact.probe, path).is_of(path)
        assert len(await w.orders(f"[twin:{how}]")) == 1

    for how in MENDED:  # one after the other: they share the clock that leaps
        await make(how)
    assert w.work_files() == []


async def test_a_result_that_cannot_be_used_fails_the_clip_with_its_code_and_is_not_bought_again(
    open_world: OpenWorld,
) -> None:
    w = await open_world(services=GENERATOR, max_clip_bytes=400_000, max_clip_seconds=3)
    for how, code in LOST.items():
        job = await w.until_finished(await w.submit(f"a boat [twin:{how}]"), leaping=True)
        assert (reason(job).code, reason(job).clip) == (code, 1), how
        assert reason(job).message.startswith("Video 1 generation failed: ")
        assert job.clips[0].attempts[-1].credits == 30, how
        assert len(await w.orders(f"[twin:{how}]")) == 1, how
        assert await w.artifacts.stat(f"jobs/{job.id}/clip-1.mp4") is None
    assert w.work_files() == []


async def test_a_paid_result_that_is_still_there_is_fetched_by_a_retry_and_not_bought_again(
    open_world: OpenWorld,
) -> None:
    """Each was refused by a setting of ours, or for want of a key that works: somebody may have changed that."""
    w = await open_world(services=GENERATOR, max_clip_bytes=400_000)
    for how, code in WAITING.items():
        job_id = await w.submit(f"a boat [twin:{how}]")
        job = await w.until_finished(job_id)
        assert (reason(job).code, reason(job).retryable) == (code, True), how
        await command(w, job_id, retry)
        if how in MENDED_SINCE:
            job = await w.until_home(job_id)
            assert [attempt.state for attempt in job.clips[0].attempts] == [AttemptState.SUCCEEDED], how
        else:
            job = await w.until_finished(job_id)
            assert reason(job).code == code, how
        assert len(await w.orders(f"[twin:{how}]")) == 1, how


async def test_a_result_that_is_gone_or_useless_is_ordered_anew_when_somebody_asks_for_a_retry(
    open_world: OpenWorld,
) -> None:
    w = await open_world(services=GENERATOR, max_clip_seconds=3)
    for how in ("file=404", "file=html", "result=no_urls", "seconds=4"):
        job_id = await w.submit(f"a boat [twin:{how}]")
        await w.until_finished(job_id)
        await command(w, job_id, retry)
        await w.until_finished(job_id)
        assert len(await w.orders(f"[twin:{how}]")) == 2, how


async def test_a_task_that_ended_well_without_a_film_is_not_bought_again_though_its_price_is_not_told(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = await open_world(services=GENERATOR)
    look = KieProvider.look

    async def without_price(provider: KieProvider, task_id: str) -> LookOutcome:
        outcome = await look(provider, task_id)
        return replace(outcome, credits=None) if isinstance(outcome, TaskSucceeded | TaskFailed) else outcome

    monkeypatch.setattr(KieProvider, "look", without_price)
    for how, code in (("result=no_urls", "no_result"), ("file=html", "not_video")):
        for policy in ("fail", "retry"):
            prompt = f"{policy} [twin:{how}]"
            job = await w.until_finished(await w.submit(prompt, onClipFailure=policy))
            assert reason(job).code == code
            assert [attempt.billed for attempt in job.clips[0].attempts] == [True]
            assert len(await w.orders(prompt)) == 1


async def test_a_download_that_fails_again_and_again_is_tried_so_often_and_no_more(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR)
    job = await w.until_finished(await w.submit("a boat [twin:file=500]"), leaping=True)
    assert (reason(job).code, reason(job).retryable) == ("http_status", True)
    tries = [entry for entry in job.timeline if "clip not brought home yet" in entry.what]
    assert len(tries) == MAX_FETCHES - 1


async def test_a_result_that_is_not_written_down_yet_is_waited_for(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR, job_timeout=60_000, poll_after_ms=20_000)
    for how in ("null", "blank", "absent", "invalid"):
        job = await w.until_finished(await w.submit(f"a boat [twin:result={how}]"), leaping=True)
        assert reason(job).code == "timeout", how
        assert len(await w.orders(how)) == 1


async def test_a_full_disk_is_waited_out(open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the artifact store has no room, then the work folder."""
    monkeypatch.setattr(service, "DEPENDENCY_PAUSE_S", 0.05)
    w = await open_world(services=GENERATOR)
    w.artifacts.full = True
    job_id = await w.submit("a boat")
    await w.until(job_id, lambda job: job.version > 8 and job.clips[0].lease is None, "it was tried more than once")
    w.artifacts.full = False
    assert (await w.until_home(job_id)).clips[0].fetches == 0

    tries = 0
    write = FileSink.write

    async def no_room(sink: FileSink, data: bytes) -> None:
        nonlocal tries
        tries += 1
        if tries <= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        await write(sink, data)

    monkeypatch.setattr(FileSink, "write", no_room)
    job = await w.until_home(await w.submit("a harbour"))
    assert tries > 3
    assert job.clips[0].fetches == 0
    assert w.work_files() == []


async def test_a_download_that_is_drained_is_handed_back_and_done_again(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR)
    job_id = await w.submit("a boat [twin:file=slow:8000*1]")
    await w.until(job_id, lambda job: job.clips[0].lease is not None and bool(w.work_files()), "the download runs")
    await w.bus.drain(0)
    job = await w.job(job_id)
    assert (job.clips[0].status, job.clips[0].lease) == (ClipStatus.GENERATING, None)
    assert w.work_files() == []
    await w.join("generator")
    job = await w.until_home(job_id)
    assert (job.clips[0].fetches, len(job.clips[0].attempts)) == (0, 1)


async def test_whoever_lost_the_lease_while_downloading_changes_nothing(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR, lease_ms=600, poll_after_ms=60_000)
    job_id = await w.submit("a boat [twin:file=slow:8000*1]")
    await w.until(job_id, lambda job: bool(w.work_files()), "the download runs")

    def taken_over(job: Job) -> Job:
        [clip] = job.clips
        return job.but(clips=(clip.but(lease=Lease(owner="another", expires_at=w.clock() + 60_000)),))

    await w.store.update(job_id, taken_over)

    async def stopped() -> bool:
        return not w.work_files()

    await eventually(stopped, "the old owner has stopped")
    job = await w.job(job_id)
    assert job.clips[0].lease is not None
    assert (job.clips[0].status, job.clips[0].lease.owner) == (ClipStatus.GENERATING, "another")
    assert await w.artifacts.stat(f"jobs/{job_id}/clip-1.mp4") is None
    w.clock.leap(61_000)
    assert (await w.until_home(job_id)).clips[0].fetches == 1


async def test_a_crowd_of_nudges_brings_a_clip_home_once(open_world: OpenWorld) -> None:
    w = await open_world(services=GENERATOR)
    job_id = await w.submit("a boat [twin:task=slow:200]")
    job = await w.until(job_id, lambda job: job.clips[0].status is ClipStatus.GENERATING, "it was ordered")
    assert job.clips[0].attempt is not None
    body = {"code": 200, "data": {"taskId": job.clips[0].attempt.task_id, "state": "success"}}

    async def nudge() -> None:
        assert (await w.http.post(w.callback_path(job_id), json=body)).status_code == 200

    await asyncio.gather(*(nudge() for _ in range(10)))
    await w.kie.wait_for("tasks", lambda tasks: bool(tasks[0]["state"] == "success"))
    await asyncio.gather(*(nudge() for _ in range(10)))
    job = await w.until_home(job_id)
    assert [entry.what for entry in job.timeline].count("all clips are home") == 1
    ready = [event for event in w.bus.published if event.name is EventName.VIDEO_READY]
    assert len({event.id for event in ready}) <= 2
