"""The client and the real gateway: every operation, over real HTTP, with the whole system behind it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from services.gateway.bootstrap import end_streams
from sora_stitcher.client import (
    AsyncClient,
    Client,
    ClipWish,
    Conflict,
    FilmWish,
    InvalidRequest,
    Job,
    NotFound,
    Progress,
    Repeating,
    TransitionWish,
    Unauthorized,
)
from tests.support.fixtures_world import OpenWorld
from tests.support.media import watch
from tests.support.scripted_partner import Reply, ScriptedPartner
from tests.support.world import FIRST_RECORD, World

BOTH = {"partners": ("kie", "airtable")}


def client_of(w: World, **options: object) -> AsyncClient:
    return AsyncClient(str(w.http.base_url), **options)  # type: ignore[arg-type]


async def test_a_film_is_ordered_reviewed_mended_approved_and_brought_home(
    open_world: OpenWorld, tmp_path: Path
) -> None:
    w = await open_world(**BOTH)
    async with client_of(w) as client:
        wish = FilmWish(
            ["a red boat", ClipWish("a harbour", seed=7)],
            transition=TransitionWish("fade", 0.2),
            record_id=FIRST_RECORD,
            metadata={"campaign": "spring"},
            review=True,
        )
        accepted = await client.create(wish)
        waiting = await client.wait(accepted.job_id, until=("review",))
        assert (waiting.status, waiting.metadata) == ("review", {"campaign": "spring"})
        assert waiting.clips[0].url is not None
        assert await client.download(waiting.clips[0].url, tmp_path / "clip.mp4") == waiting.clips[0].size_bytes

        again = await client.regenerate(accepted.job_id, 2, prompt="a storm at sea", idempotency_key="take-2")
        assert (again.status, again.clips[1].prompt) == ("generating", "a storm at sea")
        await client.wait(accepted.job_id, until=("review",))
        repeated = await client.regenerate(accepted.job_id, 2, prompt="a storm at sea", idempotency_key="take-2")
        assert repeated.status == "review", "the same take is not made twice"

        approved = await client.approve(accepted.job_id)
        assert approved.approved_at is not None
        seen = [event async for event in client.events(accepted.job_id)]
        job = seen[-1].data
        assert isinstance(job, Job)
        assert (job.status, job.attachment_id is not None) == ("completed", True)
        assert job.video_url is not None
        assert job.film is not None
        size = await client.download(job.video_url, tmp_path / "film.mp4")
        assert size == job.film.size_bytes
        assert [event async for event in client.events(accepted.job_id, last_event_id=seen[-1].id)] == []
    assert watch(tmp_path / "film.mp4").complaints == ""
    assert len(await w.orders()) == 3


async def test_the_blocking_client_makes_a_film_too(open_world: OpenWorld, tmp_path: Path) -> None:
    w = await open_world()

    def make() -> tuple[Job, int, list[str]]:
        with Client(str(w.http.base_url)) as client:
            accepted = client.generate_video("a red boat", "a harbour", aspect_ratio="9:16")
            jobs = list(client.watch(accepted.job_id))
            assert jobs[-1].video_url is not None
            size = client.download(jobs[-1].video_url, tmp_path / "film.mp4")
            return jobs[-1], size, [summary.job_id for summary in client.all_jobs(page_size=1)]

    job, size, listed = await asyncio.to_thread(make)
    assert (job.status, job.aspect_ratio) == ("completed", "portrait")
    assert job.film is not None
    assert size == job.film.size_bytes
    assert listed == [job.job_id]


class LosesAnswers(httpx.AsyncHTTPTransport):
    """A network on which the answers to the first orders get lost; the orders arrive."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if request.method == "POST" and self.left:
            self.left -= 1
            await response.aclose()
            raise httpx.ReadError("the connection broke")
        return response


Order = Callable[[AsyncClient], object]


async def test_a_lost_answer_makes_no_second_film(open_world: OpenWorld) -> None:
    w = await open_world(**BOTH)
    quick = Repeating(pause_s=0.01)
    async with client_of(w, transport=LosesAnswers(2), repeating=quick) as client:
        taken = await client.create(["a red boat"])
        assert [each.job_id async for each in client.all_jobs()] == [taken.job_id]
        assert (await client.wait(taken.job_id)).status == "completed"
    async with client_of(w, transport=LosesAnswers(2), repeating=quick) as client:
        batch = await client.batch([["one"], FilmWish(["two"]), {"clips": [{"prompt": " "}]}])
        assert (batch.accepted, batch.refused) == (2, 1)
        assert batch.items[2].error is not None
        assert len([each async for each in client.all_jobs()]) == 3
        for item in batch.items[:2]:
            assert item.job_id is not None
            assert (await client.wait(item.job_id)).status == "completed"
    async with client_of(w, transport=LosesAnswers(2), repeating=quick) as client:
        first = await client.process_record(FIRST_RECORD)
        second = await client.process_record(FIRST_RECORD)
        assert first.job_id == second.job_id, "a film is being made for the record already"
        assert (await client.wait(first.job_id)).status == "completed"


async def test_the_same_key_is_the_same_film_and_no_other(open_world: OpenWorld) -> None:
    w = await open_world()
    async with client_of(w) as client:
        first = await client.create(["a red boat"], idempotency_key="once")
        assert (await client.create(["a red boat"], idempotency_key="once")).job_id == first.job_id
        with pytest.raises(Conflict) as caught:
            await client.create(["a blue boat"], idempotency_key="once")
        assert caught.value.code == "idempotency_conflict"
        await client.wait(first.job_id)


async def test_a_film_that_fails_is_mended_and_goes_on(open_world: OpenWorld) -> None:
    w = await open_world()
    async with client_of(w) as client:
        taken = await client.create(["a red boat", "a fish [twin:fail=content]"])
        failed = await client.wait(taken.job_id)
        assert (failed.status, failed.failure is not None) == ("failed", True)
        with pytest.raises(Conflict):
            await client.approve(taken.job_id)
        assert (await client.retry(taken.job_id)).status == "generating"
        assert (await client.wait(taken.job_id)).status == "failed"
        await client.regenerate(taken.job_id, 2, prompt="a bird")
        assert (await client.wait(taken.job_id)).status == "completed"
        with pytest.raises(Conflict):
            await client.retry(taken.job_id)
    assert len(await w.orders("a red boat")) == 1, "what was home is not ordered again"


async def test_a_film_is_cancelled_once_and_for_all(open_world: OpenWorld) -> None:
    w = await open_world()
    async with client_of(w) as client:
        taken = await client.create(["slow [twin:task=slow:60000]"])
        cancelled = await client.cancel(taken.job_id)
        assert (cancelled.status, cancelled.is_final) == ("cancelled", True)
        assert (await client.cancel(taken.job_id)).cancelled_at == cancelled.cancelled_at
        assert (await client.wait(taken.job_id)).ended_at == cancelled.cancelled_at


async def test_a_dry_run_spends_nothing_and_usage_tells_what_was_spent(open_world: OpenWorld) -> None:
    w = await open_world()
    async with client_of(w) as client:
        estimate = await client.dry_run(FilmWish(["a red boat", "a harbour"], models=["sora-2-text-to-video"]))
        assert estimate.clips == 2
        assert 0 < estimate.credits.min <= estimate.credits.max
        assert (await client.jobs()).jobs == ()
        taken = await client.create(FilmWish(["a red boat", "a harbour"]))
        await client.wait(taken.job_id)
        usage = await client.usage(days=1)
    assert usage.total.clips == 2
    assert usage.usage[0].model == "sora-2-text-to-video"
    assert usage.usage[0].credits == usage.total.credits


async def test_webhooks_are_seen_and_told_again(open_world: OpenWorld) -> None:
    w = await open_world()
    receiver = ScriptedPartner()
    try:
        receiver.says(Reply(200, "ok"))
        async with client_of(w) as client:
            taken = await client.create(FilmWish(["a red boat"], webhook_url=f"{receiver.url}/hook"))
            await client.wait(taken.job_id)
            await w.until_settled(taken.job_id)
            (webhook,) = (await client.job(taken.job_id)).webhooks
            assert (webhook.event, webhook.state, webhook.tried) == ("job.completed", "delivered", 1)
            assert (await client.replay_webhook(taken.job_id, webhook.id)).id == webhook.id
            await w.until(taken.job_id, lambda job: job.webhooks[0].tried == 2, "it was told again")
            with pytest.raises(NotFound):
                await client.replay_webhook(taken.job_id, "unknown")
    finally:
        receiver.close()
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


async def test_a_job_is_followed_though_the_gateway_ends_its_streams(open_world: OpenWorld) -> None:
    w = await open_world()
    async with client_of(w) as client:
        taken = await client.create(FilmWish(["a red boat"], review=True))
        statuses = []
        async for job in client.watch(taken.job_id, every_s=0.05):
            statuses.append(job.status)
            if job.status == "review":
                end_streams(w.app)
                await client.approve(taken.job_id)
    assert statuses[-1] == "completed"
    assert statuses.index("review") < len(statuses) - 1


async def test_the_progress_of_the_work_is_heard(open_world: OpenWorld) -> None:
    w = await open_world()
    async with client_of(w) as client:
        taken = await client.create(FilmWish(["a red boat", "a harbour"], transition="fade"))
        events = [event.data async for event in client.events(taken.job_id)]
    progress = [data for data in events if isinstance(data, Progress)]
    assert all(0 <= data.percent <= 100 and data.stage for data in progress)
    assert isinstance(events[-1], Job)


async def test_what_the_gateway_refuses_is_typed(open_world: OpenWorld) -> None:
    w = await open_world(api_keys="a-secret-key")
    async with client_of(w) as stranger:
        with pytest.raises(Unauthorized):
            await stranger.jobs()
        with pytest.raises(Unauthorized):
            await stranger.wait("job_1")
    async with client_of(w, api_key="a-secret-key") as client:
        with pytest.raises(NotFound) as not_found:
            await client.wait("job_unknown")
        assert not_found.value.code == "job_not_found"
        with pytest.raises(InvalidRequest) as invalid:
            await client.create(FilmWish(["ok", " "], transition="nonsense", fps=1000))
        assert {detail["field"] for detail in invalid.value.details} >= {"clips.1.prompt", "transition.type", "fps"}
