"""Live pages: every change as it comes, resumed where it stopped, bounded in every way."""

import asyncio

import httpx
import pytest

from services.gateway.bootstrap import end_streams
from services.gateway.live import Live
from shared.events import JobProgress
from shared.job.film import fail
from shared.job.model import Failure, Job, Stage
from tests.integration.gateway.answers import error_of
from tests.support.fixtures_world import OpenWorld
from tests.support.sse import Reading, reading
from tests.support.waiting import eventually
from tests.support.world import World

BROKEN = Failure(stage=Stage.GENERATING, code="internal", message="it broke")


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """The gateway alone, which looks again sooner than usual at what it shows."""
    w = await open_world(partners=(), services=(), nudge_after_ms=600_000)
    live(w)._refresh_s = 0.3
    return w


def live(w: World) -> Live:
    found: Live = w.app.state.gateway.live
    return found


async def change(w: World, job_id: str, *, announced: bool = True) -> Job:
    """Change the job, as a service would."""
    job = await w.store.update(job_id, lambda job: job.but(nudges=job.nudges + 1))
    if announced:
        await w.parts.context.emitter.announce(job)
    return job


async def end(w: World, job_id: str) -> Job:
    job = await w.store.update(job_id, lambda job: fail(job, failure=BROKEN, now=w.clock()))
    await w.parts.context.emitter.ended(job)
    return job


def versions(found: Reading) -> list[int]:
    return [int(event.id or "0") for event in found.jobs]


@pytest.mark.parametrize("spelling", ["job", "jobs"])
async def test_a_stream_begins_with_the_state_and_ends_with_the_final_one(w: World, spelling: str) -> None:
    job_id = await w.submit("a boat", "a harbour")
    async with reading(w.http, f"/api/{spelling}/{job_id}/events") as stream:
        await stream.until(lambda s: bool(s.jobs), "the first event")
        first = stream.jobs[0]
        assert first.data["jobId"] == job_id
        assert first.data.keys() == (await w.view(job_id)).keys()
        changed = await change(w, job_id)
        await stream.until(lambda s: versions(s)[-1] == changed.version, "the change")
        ended = await end(w, job_id)
        await stream.until_ended()
    assert stream.statuses[-1] == "failed"
    assert versions(stream) == sorted(set(versions(stream)))
    assert versions(stream)[-1] == ended.version


async def test_what_no_event_told_of_is_seen_all_the_same(w: World) -> None:
    job_id = await w.submit("a boat")
    async with reading(w.http, f"/api/job/{job_id}/events") as stream:
        await stream.until(lambda s: bool(s.jobs), "the first event")
        changed = await change(w, job_id, announced=False)
        await stream.until(lambda s: versions(s)[-1] == changed.version, "the change")


async def test_a_stream_resumes_without_loss_or_repetition(w: World) -> None:
    job_id = await w.submit("a boat")
    async with reading(w.http, f"/api/job/{job_id}/events") as stream:
        await stream.until(lambda s: bool(s.jobs), "the first event")
    seen = stream.jobs[-1].id
    changed = await change(w, job_id)
    async with reading(w.http, f"/api/job/{job_id}/events", seen) as resumed:
        await resumed.until(lambda s: bool(s.jobs), "what happened meanwhile")
        assert versions(resumed) == [changed.version]
    async with reading(w.http, f"/api/job/{job_id}/events", str(changed.version)) as resumed:
        ended = await end(w, job_id)
        await resumed.until_ended()
    assert versions(resumed) == [ended.version]


async def test_who_has_seen_the_end_is_told_not_to_come_again(w: World) -> None:
    ended = await end(w, await w.submit("a boat"))
    answer = await w.http.get(f"/api/job/{ended.id}/events", headers={"Last-Event-ID": str(ended.version)})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("nonsense", ["", "-1", "abc", "999999", "²", "9" * 400])
async def test_an_event_id_that_is_none_of_ours_begins_anew(w: World, nonsense: str) -> None:
    job_id = (await end(w, await w.submit("a boat"))).id
    headers = {b"Last-Event-ID": nonsense.encode()}
    answer = await w.http.get(f"/api/job/{job_id}/events", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert b"event: job" in answer.content


async def test_progress_is_shown_without_an_id(w: World) -> None:
    job_id = await w.submit("a boat")
    job = await w.store.get(job_id)
    async with reading(w.http, f"/api/job/{job_id}/events") as stream, reading(w.http, "/api/events") as all_jobs:
        await stream.until(lambda s: bool(s.jobs), "the first event")
        await all_jobs.until(lambda s: bool(s.jobs), "the first event")
        progress = JobProgress(percent=42.5, stage="stitching", message="frame 100 of 240", eta_s=3)
        assert await w.parts.context.emitter.emit(job, progress, "1", transient=True)
        for each in (stream, all_jobs):
            await each.until(lambda s: s.events[-1].name == "progress", "the progress")
    assert stream.events[-1].id is None
    data = {"percent": 42.5, "stage": "stitching", "message": "frame 100 of 240", "etaSeconds": 3}
    assert stream.events[-1].data == data
    assert all_jobs.events[-1].data == {"jobId": job_id, **data}


async def test_all_jobs_are_followed_from_the_newest_ones_on(w: World) -> None:
    old = [await w.submit(f"boat {number}") for number in range(3)]
    async with reading(w.http, "/api/events") as stream:
        await stream.until(lambda s: len(s.jobs) == 3, "the jobs that are there")
        assert [event.data["jobId"] for event in stream.jobs] == old
        new = await w.submit("a harbour")
        await stream.until(lambda s: s.jobs[-1].data["jobId"] == new, "the new job")
        await end(w, old[0])
        await stream.until(lambda s: s.statuses[-1] == "failed", "the end of the old one")
        silent = await change(w, old[1], announced=False)
        await stream.until(lambda s: s.jobs[-1].data["jobId"] == silent.id, "what no event told of")
        assert {event.id for event in stream.events} == {None}


async def test_a_stream_survives_a_store_that_is_away(w: World) -> None:
    job_id = await w.submit("a boat")
    async with reading(w.http, f"/api/job/{job_id}/events") as stream:
        await stream.until(lambda s: bool(s.jobs), "the first event")
        w.backend.down = True
        job = await w.job(job_id)
        refusals = w.backend.refusals
        await w.parts.context.emitter.announce(job)

        async def tried() -> bool:
            return w.backend.refusals > refusals

        await eventually(tried, "the store was asked in vain")
        assert not stream.ended
        w.backend.down = False
        await end(w, job_id)
        await stream.until_ended()
    assert stream.statuses[-1] == "failed"


async def test_a_job_that_is_deleted_ends_its_stream(w: World) -> None:
    job_id = await w.submit("a boat")
    async with reading(w.http, f"/api/job/{job_id}/events") as stream:
        await stream.until(lambda s: bool(s.jobs), "the first event")
        await w.store.delete(job_id)
        await stream.until_ended()


async def test_an_unknown_job_and_a_wrong_key_are_refused_as_anywhere(open_world: OpenWorld) -> None:
    w = await open_world(partners=(), services=(), api_keys="key")
    for path in ("/api/job/job_1/events", "/api/events"):
        assert error_of(await w.http.get(path), 401)
    answer = await w.http.get("/api/job/job_1/events", headers={"X-API-Key": "key"})
    assert error_of(answer, 404)


async def test_a_process_serves_so_many_streams_and_no_more(open_world: OpenWorld) -> None:
    w = await open_world(partners=(), services=(), live_connections=2, nudge_after_ms=600_000)
    job_id = await w.submit("a boat")
    path = f"/api/job/{job_id}/events"
    async with reading(w.http, path) as one, reading(w.http, "/api/events") as two:
        for stream in (one, two):
            await stream.until(lambda s: bool(s.jobs), "the first event")
        answer = await w.http.get(path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["code"] == "too_many_streams"

    async def free() -> bool:
        return live(w).readers == 0

    await eventually(free, "the places are free again")
    async with reading(w.http, path) as again:
        await again.until(lambda s: bool(s.jobs), "the first event")


async def test_many_readers_of_one_job_read_the_store_once(w: World) -> None:
    job_id = await w.submit("a boat")
    async with asyncio.TaskGroup() as readers:
        opened: list[Reading] = []
        leave = asyncio.Event()

        async def read() -> None:
            async with reading(w.http, f"/api/job/{job_id}/events") as stream:
                opened.append(stream)
                await leave.wait()

        for _ in range(20):
            readers.create_task(read())

        async def all_open() -> bool:
            return len(opened) == 20 and all(stream.jobs for stream in opened)

        await eventually(all_open, "twenty readers")
        assert len(live(w)._feeds) == 1
        await end(w, job_id)
        for stream in opened:
            await stream.until_ended()
        leave.set()
    assert live(w)._feeds == {}


async def test_a_process_that_stops_ends_its_streams(w: World) -> None:
    job_id = await w.submit("a boat")
    async with reading(w.http, f"/api/job/{job_id}/events") as one, reading(w.http, "/api/events") as two:
        for stream in (one, two):
            await stream.until(lambda s: bool(s.jobs), "the first event")
        end_streams(w.app)
        await one.until_ended()
        await two.until_ended()
        assert (await w.http.get(f"/api/job/{job_id}/events")).status_code == 503


async def test_quiet_streams_are_kept_alive(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live(w), "_keep_alive_s", 0.05)
    job_id = await w.submit("a boat")
    async with reading(w.http, f"/api/job/{job_id}/events") as one, reading(w.http, "/api/events") as two:
        for stream in (one, two):
            await stream.until(lambda s: s.comments >= 2, "signs of life")


async def test_a_reader_that_hangs_up_leaves_nothing_behind(w: World) -> None:
    job_id = await w.submit("a boat")
    async with (
        httpx.AsyncClient(base_url=str(w.http.base_url), trust_env=False, verify=False) as http,
        reading(http, f"/api/job/{job_id}/events") as stream,
    ):
        await stream.until(lambda s: bool(s.jobs), "the first event")

    async def nothing_left() -> bool:
        return live(w).readers == 0 and not live(w)._feeds

    await eventually(nothing_left, "nobody is served any more")
