"""Records become jobs, and reviews go on, by what people write into the table: each once, whatever fails meanwhile."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from services.gateway.accepting import Order
from services.gateway.airtable_watch import APPROVAL_EVERY_MAX_S, Watching, WatchPlan, approval_every_s
from shared.airtable.protocol import Record
from shared.job.create import ClipWish, JobWish, new_job, new_job_id
from shared.job.film import fail
from shared.job.mirror import is_settled
from shared.job.model import Artifact, ClipStatus, Failure, Job, JobStatus, Stage
from tests.integration.gateway.answers import error_of
from tests.support.fixtures_world import OpenWorld
from tests.support.waiting import eventually
from tests.support.world import World

BROKEN = Failure(stage=Stage.GENERATING, code="internal", message="it broke")
FIELDS = {"Prompt 1": "a boat", "Prompt 2": "a harbour"}


def watching(w: World) -> Watching:
    found: Watching = w.app.state.gateway.watching
    return found


async def opened(open_world: OpenWorld, *, services: tuple[str, ...] = ("uploader",), **settings: Any) -> World:
    w = await open_world(partners=("airtable",), services=services, **settings)
    watching(w)._tick_s = 0.05
    watching(w).wake()
    return w


async def person_writes(w: World, record: str, **fields: Any) -> None:
    await w.airtable.post("edit", {"id": record, "fields": fields})


async def jobs_of(w: World, record: str) -> list[Job]:
    jobs, _ = await w.store.page(limit=200)
    return [job for job in jobs if job.record_id == record]


async def until_jobs(w: World, record: str, count: int) -> list[Job]:
    async def enough() -> bool:
        return len(await jobs_of(w, record)) >= count

    await eventually(enough, f"{count} jobs of {record}", 20)
    return await jobs_of(w, record)


async def until_hooked(w: World) -> None:
    async def hooked() -> bool:
        return await watching(w).hook.kept() is not None

    await eventually(hooked, "the webhook is made", 20)


async def ends(w: World, job: Job) -> Job:
    """Let the job fail, and return it once its record has been told."""
    ended = await w.store.update(job.id, partial(fail, failure=BROKEN, now=w.clock()))
    await w.parts.context.emitter.ended(ended)
    return await w.until(job.id, is_settled, "the record has been told")


async def looks(w: World, count: int = 1) -> None:
    """Return after so many more looks at the table."""

    async def calls() -> int:
        return sum(request["route"] == "list" for request in await w.airtable.get("requests"))

    before = await calls()

    async def looked() -> bool:
        w.clock.leap(1_000)
        return await calls() >= before + count

    await eventually(looked, f"{count} more looks", 20)


async def test_a_record_that_a_person_queues_becomes_one_job_by_airtables_webhook(open_world: OpenWorld) -> None:
    w = await opened(open_world, airtable_trigger="webhook")
    record = await w.add_record(**FIELDS)
    await until_hooked(w)
    await person_writes(w, record, Status="Queued")
    (job,) = await until_jobs(w, record, 1)
    assert [clip.prompt for clip in job.clips] == ["a boat", "a harbour"]
    await w.until(job.id, lambda job: job.mirror.written >= 1, "the record has left the queue")
    # Another change of the same record, and our own writes, make no other job.
    await person_writes(w, record, Name="changed")
    other = await w.add_record(**FIELDS)
    await person_writes(w, other, Status="Queued")
    await until_jobs(w, other, 1)
    assert len(await jobs_of(w, record)) == 1


async def test_a_queued_record_becomes_one_job_by_looking_now_and_then(open_world: OpenWorld) -> None:
    w = await opened(open_world, airtable_trigger="poll", airtable_trigger_poll_s=1)
    records = [await w.add_record(**FIELDS, Status="Queued") for _ in range(3)]
    for record in records:
        await until_jobs(w, record, 1)
    await looks(w, 2)
    assert [len(await jobs_of(w, record)) for record in records] == [1, 1, 1]


async def test_a_record_whose_status_cannot_be_written_is_not_made_again_and_again(open_world: OpenWorld) -> None:
    """Nobody mirrors the Status here, so the record stays queued for ever; and the job is long over."""
    w = await opened(open_world, services=(), airtable_trigger="poll", airtable_trigger_poll_s=1)
    record = await w.add_record(**FIELDS, Status="Queued")
    (job,) = await until_jobs(w, record, 1)
    await w.store.update(job.id, partial(fail, failure=BROKEN, now=w.clock()))
    await looks(w, 3)
    assert len(await jobs_of(w, record)) == 1


async def test_a_record_whose_status_takes_none_of_our_words_is_not_made_again_and_again(open_world: OpenWorld) -> None:
    """The token may add no options, so the record stays queued although everything else is written into it."""
    editor = "patSANDBOX0000001.editor"
    w = await opened(open_world, airtable_trigger="poll", airtable_trigger_poll_s=1, airtable_api_key=editor)
    await w.airtable.post("fields", {"options": {"Status": ["Queued"]}})
    record = await w.add_record(**FIELDS, Status="Queued")
    (job,) = await until_jobs(w, record, 1)
    await ends(w, job)
    await looks(w, 3)
    assert len(await jobs_of(w, record)) == 1


@pytest.mark.parametrize("moved", [True, None], ids=["noted", "of the time before it was noted"])
async def test_a_record_that_is_queued_again_after_its_job_becomes_another(
    open_world: OpenWorld, moved: bool | None
) -> None:
    w = await opened(open_world, airtable_trigger="poll", airtable_trigger_poll_s=1)
    record = await w.add_record(**FIELDS, Status="Queued")
    (job,) = await until_jobs(w, record, 1)
    assert (await ends(w, job)).mirror.moved is True
    assert (await w.statuses(record))[-1] == "Failed"
    await w.store.update(job.id, lambda each: each.but(mirror=each.mirror.but(moved=moved)))
    await person_writes(w, record, Status="Queued")
    await until_jobs(w, record, 2)
    await looks(w, 2)
    assert len(await jobs_of(w, record)) == 2


async def test_replicas_that_look_at_once_make_one_job(open_world: OpenWorld) -> None:
    w = await open_world(partners=("airtable",), services=(), airtable_trigger="poll", airtable_trigger_poll_s=1)
    records = [await w.add_record(**FIELDS, Status="Queued") for _ in range(5)]
    replicas = []
    for number in range(4):
        replica = Watching.__new__(Watching)
        replica.__dict__.update(watching(w).__dict__)
        replica._context = replace(w.parts.context, process=f"gateway-{number}")
        replica._tick_s = 0.05
        replicas.append(replica)
    # With and without the lock: a process may be frozen for longer than it holds it.
    await asyncio.gather(*(replica.round() for replica in replicas), *(replica._look() for replica in replicas))
    for record in records:
        await until_jobs(w, record, 1)
        assert len(await jobs_of(w, record)) == 1


async def test_a_record_that_cannot_be_made_says_why(open_world: OpenWorld) -> None:
    w = await opened(open_world, airtable_trigger="poll", airtable_trigger_poll_s=1)
    record = await w.add_record(Name="no prompts", Status="Queued")

    async def said() -> bool:
        return (await w.statuses(record))[-1:] == ["Failed"]

    await eventually(said, "the record says Failed", 20)
    fields = (await w.airtable.get(f"records/{record}"))["fields"]
    assert "no prompts" in fields["Error"]
    assert await jobs_of(w, record) == []


async def test_a_record_that_fails_unexpectedly_does_not_hold_up_the_others(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = await open_world(partners=("airtable",), services=(), airtable_trigger="poll", airtable_trigger_poll_s=1)
    odd, good = [await w.add_record(**FIELDS, Status="Queued") for _ in range(2)]
    accepting = watching(w)._accepting
    accept = accepting.accept

    async def fails_for_one(order: Order) -> Job:
        if order.record_id == odd:
            raise KeyError("what nobody thought of")
        return await accept(order)

    monkeypatch.setattr(accepting, "accept", fails_for_one)
    await watching(w)._look()
    assert [len(await jobs_of(w, record)) for record in (odd, good)] == [0, 1]
    monkeypatch.setattr(accepting, "accept", accept)
    await watching(w)._look()
    assert len(await jobs_of(w, odd)) == 1, "it is tried again"


async def test_watching_goes_on_after_what_nobody_thought_of(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = await opened(open_world, airtable_trigger="poll", airtable_trigger_poll_s=1)
    failed = asyncio.Event()
    usual = watching(w).round

    async def fails_once() -> None:
        if failed.is_set():
            return await usual()
        failed.set()
        raise KeyError("what nobody thought of")

    monkeypatch.setattr(watching(w), "round", fails_once)
    await failed.wait()
    record = await w.add_record(**FIELDS, Status="Queued")
    await until_jobs(w, record, 1)


async def test_pings_are_verified(open_world: OpenWorld) -> None:
    w = await opened(open_world, airtable_trigger="webhook")
    await until_hooked(w)
    for headers in ({}, {"X-Airtable-Content-MAC": "hmac-sha256=00"}):
        answer = await w.http.post("/api/callback/airtable", content=b"{}", headers=headers)
        assert error_of(answer, 401)["code"] == "bad_signature"


async def test_without_the_trigger_there_is_nobody_to_ping(open_world: OpenWorld) -> None:
    w = await open_world(partners=("airtable",), services=())
    error_of(await w.http.post("/api/callback/airtable", content=b"{}"), 404)


async def test_the_webhook_is_refreshed_in_time_and_made_anew_when_it_is_gone(open_world: OpenWorld) -> None:
    w = await opened(open_world, airtable_trigger="webhook")
    await until_hooked(w)
    kept = await watching(w).hook.kept()
    assert kept is not None
    w.clock.leap(4 * 86_400_000)

    async def refreshed() -> bool:
        now = await watching(w).hook.kept()
        return now is not None and now.id == kept.id and now.expires_at > kept.expires_at

    await eventually(refreshed, "the webhook lives on", 20)
    await w.airtable.post("reset", {})  # all webhooks are forgotten
    w.clock.leap(86_400_000)

    async def renewed() -> bool:
        now = await watching(w).hook.kept()
        return now is not None and now.id != kept.id

    await eventually(renewed, "another webhook", 20)
    record = await w.add_record(**FIELDS)
    await person_writes(w, record, Status="Queued")
    await until_jobs(w, record, 1)


async def in_review(w: World, record: str) -> Job:
    now = w.clock()
    job = new_job(new_job_id(now), ["1" * 32], JobWish(clips=(ClipWish("a boat"),), record_id=record, review=True), now)
    clip = job.clips[0].but(status=ClipStatus.READY, artifact=Artifact(key=f"jobs/{job.id}/clip-1.mp4", size_bytes=1))
    job = job.but(clips=(clip,))
    passage = job.passages[0].but(status=JobStatus.REVIEW)
    job = await w.put(job.but(status=JobStatus.REVIEW, passages=(*job.passages, passage)))
    await w.parts.context.emitter.announce(job)
    return job


@pytest.mark.parametrize("trigger", ["off", "webhook"])
async def test_a_person_approves_in_the_table(open_world: OpenWorld, trigger: str) -> None:
    w = await opened(open_world, airtable_trigger=trigger, airtable_approval_poll_s=1)
    if trigger == "webhook":
        await until_hooked(w)
    await w.airtable.post("fields", {"add": [{"name": "Clip Links", "type": "multilineText"}]})
    record = await w.add_record(**FIELDS)
    job = await in_review(w, record)
    await w.until(job.id, lambda job: job.mirror.written >= 2, "the record says Review")
    assert (await w.statuses(record))[-1] == "Review"
    assert "/media/" in (await w.airtable.get(f"records/{record}"))["fields"]["Clip Links"]
    await person_writes(w, record, Status="Approved")
    job = await w.until(job.id, lambda job: job.status is JobStatus.PROCESSING, "the job goes on")
    assert "approved" in job.timeline[-1].what


def test_a_long_review_is_looked_at_more_and_more_rarely() -> None:
    now, calls = 0.0, 0
    while now < 7 * 86_400:
        now += approval_every_s(now, 60)
        calls += 1
    assert calls < 250
    assert approval_every_s(0, 60) == 60
    assert approval_every_s(7 * 86_400, 60) == APPROVAL_EVERY_MAX_S


async def test_a_view_can_be_watched_instead_of_the_status(open_world: OpenWorld) -> None:
    """The view shows everything here, and yet no record is made twice, whatever its Status says."""
    w = await opened(open_world, airtable_trigger="poll", airtable_trigger_poll_s=1, airtable_trigger_view="Grid view")
    record = await w.add_record(**FIELDS)
    (job,) = await until_jobs(w, record, 1)
    await w.until(job.id, lambda job: job.mirror.written >= 1, "the record says Generating")
    await looks(w, 3)
    assert len(await jobs_of(w, record)) == 1
    await ends(w, job)
    for _ in range(3):  # longer in all than a mark lives
        w.clock.leap(60 * 86_400_000)
        await looks(w, 2)
    assert {each.id for each in await jobs_of(w, record)} <= {job.id}
    assert await w.store.get_mark(f"airtable:made:{record}") == job.id


@pytest.mark.parametrize(
    ("status", "is_wish"),
    [("Queued", True), (None, True), (["Queued"], True), ("Completed", False), (["Failed"], False), ("Failed\n", False),
     ({"odd": 1}, False)],
)  # fmt: skip
def test_only_a_status_that_somebody_else_has_written_is_a_new_wish(status: Any, is_wish: bool) -> None:
    watching = Watching.__new__(Watching)
    watching._plan = WatchPlan()
    assert watching._is_wish(Record("rec1", {"Status": status}, "2026-01-01T00:00:00.000Z")) is is_wish


async def test_a_record_in_a_view_is_a_new_wish_once_somebody_has_written_its_status(open_world: OpenWorld) -> None:
    w = await opened(open_world, airtable_trigger="poll", airtable_trigger_poll_s=1, airtable_trigger_view="Grid view")
    record = await w.add_record(**FIELDS)
    (job,) = await until_jobs(w, record, 1)
    await ends(w, job)
    await looks(w, 3)
    assert len(await jobs_of(w, record)) == 1
    await person_writes(w, record, Status="Queued")
    await until_jobs(w, record, 2)
