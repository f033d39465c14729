"""Telling the user's system over real HTTP: signed, tried again, given up, never in the way of anything else."""

import asyncio
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook as Verifier

from services.uploader import webhook_sender
from shared.job.create import ClipWish, JobWish, new_job, new_job_id
from shared.job.film import fail
from shared.job.mirror import is_settled
from shared.job.model import Failure, Job, JobStatus, Stage
from shared.job.webhook_model import Webhook, WebhookState
from shared.job.webhooks import GIVE_UP_MS, PAUSES_MS, replay_webhook
from shared.store.protocol import Row
from tests.support.fixtures_world import OpenWorld
from tests.support.scripted_partner import Reply, Request, ScriptedPartner
from tests.support.world import World

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BROKEN = Failure(stage=Stage.GENERATING, code="internal", message="it broke")


@pytest.fixture
def receiver() -> Iterator[ScriptedPartner]:
    """The user's system; takes everything unless told otherwise."""
    partner = ScriptedPartner()
    partner.says(Reply(204))
    yield partner
    partner.close()


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """The uploader alone."""
    return await open_world(partners=(), services=("uploader",), webhook_secret=SECRET)


def told(request: Request, secret: str = SECRET) -> dict[str, Any]:
    """Return what a request tells, verified as a receiver does it."""
    body: dict[str, Any] = Verifier(secret).verify(request.raw, request.headers)
    return body


def ids(receiver: ScriptedPartner) -> list[str]:
    return [request.headers["webhook-id"] for request in receiver.requests]


async def failed(w: World, url: str, **wishes: Any) -> Job:
    """Store a job that has failed just now, and announce it."""
    now = w.clock()
    wish = JobWish(clips=(ClipWish("a boat"),), webhook_url=url, **wishes)
    job = await w.put(fail(new_job(new_job_id(now), ["1" * 32], wish, now), failure=BROKEN, now=now))
    await w.parts.context.emitter.announce(job)
    return job


async def until(w: World, job: Job, state: WebhookState, *, leaping: bool = False) -> Webhook:
    """Return the job's only event once it is in this state."""
    found = await w.until(
        job.id, lambda job: job.webhooks[0].state is state, f"the webhook is {state}", leaping=leaping
    )
    return found.webhooks[0]


async def until_tried(w: World, job: Job, times: int, *, leaping: bool = False) -> Webhook:
    found = await w.until(job.id, lambda job: job.webhooks[0].tried >= times, f"{times} tries", leaping=leaping)
    return found.webhooks[0]


async def test_a_film_is_told_of_from_its_first_clip_to_its_end(
    open_world: OpenWorld, receiver: ScriptedPartner
) -> None:
    w = await open_world(webhook_secret=SECRET)
    now = w.clock()
    wish = JobWish(
        clips=(ClipWish("a boat"), ClipWish("a harbour")),
        webhook_url=f"{receiver.url}/hook?token=1",
        webhook_events=("video.ready",),
        metadata={"campaign": 7},
    )
    job = await w.put(new_job(new_job_id(now), ["1" * 32, "2" * 32], wish, now))
    await w.parts.context.emitter.announce(job)
    job = await w.until_settled(job.id)
    assert job.status is JobStatus.COMPLETED
    bodies = [told(request) for request in receiver.requests]
    assert sorted(body["type"] for body in bodies) == ["job.completed", "video.ready", "video.ready"]
    assert len(set(ids(receiver))) == 3
    assert {request.path for request in receiver.requests} == {"/hook?token=1"}
    done = next(body for body in bodies if body["type"] == "job.completed")
    assert done["data"]["jobId"] == job.id
    assert done["data"]["metadata"] == {"campaign": 7}
    assert done["data"]["status"] == "completed"
    film = await w.http.get(done["data"]["videoUrl"])
    assert len(film.content) == done["data"]["film"]["sizeBytes"]
    clip = next(body for body in bodies if body["type"] == "video.ready")["data"]["clip"]
    assert (await w.http.get(clip["url"])).status_code == 200


async def test_the_body_is_plain_json_as_airtables_webhook_trigger_takes_it(
    w: World, receiver: ScriptedPartner
) -> None:
    await until(w, await failed(w, receiver.url), WebhookState.DELIVERED)
    (request,) = receiver.requests
    assert request.method == "POST"
    assert request.headers["Content-Type"] == "application/json"
    assert request.body["type"] == "job.failed"
    assert request.body["data"]["error"] == "it broke"
    assert request.body.keys() == {"type", "timestamp", "data"}
    assert len(request.raw) < 2_000


async def test_while_the_secret_is_changed_both_verify(open_world: OpenWorld, receiver: ScriptedPartner) -> None:
    w = await open_world(partners=(), services=("uploader",), webhook_secret=f"{OTHER},{SECRET}")
    await until(w, await failed(w, receiver.url), WebhookState.DELIVERED)
    (request,) = receiver.requests
    assert told(request, SECRET) == told(request, OTHER)


async def test_without_a_secret_it_is_sent_unsigned(open_world: OpenWorld, receiver: ScriptedPartner) -> None:
    w = await open_world(partners=(), services=("uploader",))
    await until(w, await failed(w, receiver.url), WebhookState.DELIVERED)
    (request,) = receiver.requests
    assert "webhook-signature" not in request.headers
    assert "webhook-id" in request.headers


async def test_a_receiver_in_trouble_is_tried_again_under_the_same_id(w: World, receiver: ScriptedPartner) -> None:
    receiver.says(Reply(500), Reply(drop=True), Reply(404), Reply(200))
    webhook = await until(w, await failed(w, receiver.url), WebhookState.DELIVERED, leaping=True)
    assert len(receiver.requests) == 4
    assert set(ids(receiver)) == {webhook.id}
    assert [each.status for each in webhook.tries] == [500, None, 404, 200]
    assert webhook.tries[0].problem == "the receiver answered 500, an error"
    pauses = [later.at - earlier.at for earlier, later in zip(webhook.tries, webhook.tries[1:], strict=False)]
    assert all(pause >= wanted for pause, wanted in zip(pauses, PAUSES_MS, strict=False))


async def test_a_receiver_may_say_when_to_come_again(w: World, receiver: ScriptedPartner) -> None:
    receiver.says(Reply(503, headers={"Retry-After": "1200"}), Reply(200))
    webhook = await until_tried(w, await failed(w, receiver.url), 1)
    assert webhook.not_before >= webhook.tries[0].at + 1_200_000


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply(410), "wants no more"),
        (Reply(302, headers={"Location": "http://127.0.0.1:1/elsewhere"}), "a redirect, which is not followed"),
    ],
)
async def test_no_redirect_is_followed_and_410_ends_it(
    w: World, receiver: ScriptedPartner, reply: Reply, problem: str
) -> None:
    receiver.says(reply)
    webhook = await until_tried(w, await failed(w, receiver.url), 1)
    assert problem in (webhook.tries[0].problem or "")
    assert (webhook.state is WebhookState.GIVEN_UP) is (reply.status == 410)


async def test_private_addresses_are_refused_unless_allowed(open_world: OpenWorld, receiver: ScriptedPartner) -> None:
    w = await open_world(partners=(), services=("uploader",), fetch_allowed_hosts="films.example")
    for url in (receiver.url, "http://localhost:1/", "http://169.254.169.254/latest", "ftp://user.example/"):
        webhook = await until(w, await failed(w, url), WebhookState.GIVEN_UP)
        assert webhook.tried == 1
    assert receiver.requests == []


async def test_a_receiver_that_does_not_answer_is_left_after_a_while(
    w: World, receiver: ScriptedPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()
    monkeypatch.setattr(webhook_sender.WebhookSender, "send", _quick(webhook_sender.WebhookSender.send))
    receiver.says(Reply(200, held_by=held))
    webhook = await until_tried(w, await failed(w, receiver.url), 1)
    held.set()
    assert webhook.tries[0].problem == "no answer within 0.2 s"


def _quick(send: Any) -> Any:
    """Return `send` with less patience."""

    async def quick(self: webhook_sender.WebhookSender, url: str, webhook_id: str, body: bytes) -> Any:
        self._timeout_s = 0.2
        return await send(self, url, webhook_id, body)

    return quick


async def test_a_dead_receiver_is_given_up_after_a_day_and_holds_up_nothing(
    open_world: OpenWorld, receiver: ScriptedPartner
) -> None:
    w = await open_world(partners=("airtable",), services=("uploader",), job_timeout=600_000)
    receiver.says(Reply(500))
    record = await w.add_record(Name="film")
    job = await failed(w, receiver.url, record_id=record)
    job = await w.until(job.id, lambda job: job.mirror.written == len(job.passages), "the record says so")
    assert not is_settled(job)
    assert (await w.statuses(record))[-1] == "Failed"
    began = job.webhooks[0].since
    job = await w.until_settled(job.id, leaping=True)
    webhook = job.webhooks[0]
    assert webhook.state is WebhookState.GIVEN_UP
    assert webhook.tried == len(PAUSES_MS) + 1
    assert webhook.tries[-1].at - began <= GIVE_UP_MS
    assert "given up" in job.timeline[-1].what


async def test_slow_receivers_do_not_keep_the_record_waiting(open_world: OpenWorld, receiver: ScriptedPartner) -> None:
    w = await open_world(partners=("airtable",), services=("uploader",))
    held = threading.Event()
    receiver.says(Reply(200, held_by=held))
    jobs = []
    for number in range(5):
        record = await w.add_record(Name=f"film {number}")
        jobs.append(await failed(w, receiver.url, record_id=record))
    for job in jobs:
        await w.until(job.id, lambda job: job.mirror.written == len(job.passages), "the record says so")
    assert [(await w.job(job.id)).webhooks[0].state for job in jobs] == [WebhookState.PENDING] * 5
    held.set()
    for job in jobs:
        await w.until_settled(job.id)


async def test_every_event_twice_and_three_uploaders_tell_it_once(
    open_world: OpenWorld, receiver: ScriptedPartner
) -> None:
    w = await open_world(partners=(), services=("uploader",) * 3, bus={"duplicate_every": 1, "shuffle": 4711})
    jobs = await asyncio.gather(*(failed(w, receiver.url) for _ in range(10)))
    for job in jobs:
        await w.until_settled(job.id)
    assert sorted(ids(receiver)) == sorted(job.webhooks[0].id for job in jobs)


async def test_what_was_sent_but_not_written_down_is_sent_again_under_the_same_id(
    w: World, receiver: ScriptedPartner
) -> None:
    """The store takes no writes between the receiver's answer and our writing it down."""
    answered = threading.Event()
    refused: list[Row] = []

    def refuse(row: Row) -> bool:
        refused.append(row)
        return True

    receiver.says(Reply(200, held_by=answered), Reply(200))
    job = await failed(w, receiver.url)
    await w.until(job.id, lambda _: len(receiver.requests) == 1, "the first try")
    w.backend.fail_swap = refuse
    answered.set()
    await w.until(job.id, lambda _: bool(refused), "the store is missed")
    w.backend.fail_swap = None
    webhook = await until(w, job, WebhookState.DELIVERED)
    assert ids(receiver) == [webhook.id] * len(receiver.requests)
    assert len(receiver.requests) >= 2


async def test_an_event_is_replayed_on_request(w: World, receiver: ScriptedPartner) -> None:
    job = await failed(w, receiver.url)
    webhook = await until(w, job, WebhookState.DELIVERED)
    await w.store.update(job.id, partial(replay_webhook, webhook_id=webhook.id, now=w.clock()))
    again = await until_tried(w, job, 2)
    assert again.state is WebhookState.DELIVERED
    assert ids(receiver) == [webhook.id] * 2


async def test_tries_are_counted(w: World, receiver: ScriptedPartner) -> None:
    receiver.says(Reply(410), Reply(200))

    async def counted(outcome: str) -> float:
        text = (await w.http.get("/metrics")).text
        name = f'sora_webhooks_total{{event="job.failed",outcome="{outcome}"}} '
        lines = [line for line in text.splitlines() if line.startswith(name)]
        return float(lines[0].removeprefix(name)) if lines else 0.0

    before = [await counted(outcome) for outcome in ("given_up", "delivered")]
    await until(w, await failed(w, receiver.url), WebhookState.GIVEN_UP)
    await until(w, await failed(w, receiver.url), WebhookState.DELIVERED)
    assert [await counted(outcome) for outcome in ("given_up", "delivered")] == [count + 1 for count in before]


async def test_a_review_is_told_with_a_link_to_each_clip(open_world: OpenWorld, receiver: ScriptedPartner) -> None:
    w = await open_world(webhook_secret=SECRET)
    now = w.clock()
    wish = JobWish(clips=(ClipWish("a boat"), ClipWish("a harbour")), webhook_url=receiver.url, review=True)
    job = await w.put(new_job(new_job_id(now), ["1" * 32, "2" * 32], wish, now))
    await w.parts.context.emitter.announce(job)
    webhook = await w.until(job.id, lambda job: any(not each.is_pending for each in job.webhooks), "the review is told")
    assert webhook.status is JobStatus.REVIEW
    body = told(receiver.requests[0])
    assert body["type"] == "job.review"
    for clip in body["data"]["videos"]:
        answer: httpx.Response = await w.http.get(clip["url"])
        assert answer.headers["content-type"] == "video/mp4"
