"""What the provider may say to an order, and what becomes of the clip: through kie.ai's twin."""

import itertools

import pytest

from shared.job.create import ClipWish, JobWish, new_job, new_job_id, new_task_id
from shared.job.model import AttemptState, Clip, ClipStatus, Job, JobStatus, Stage
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World

SORA, KLING = "sora-2-text-to-video", "kling/v3-turbo-text-to-video"


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """Gateway and generator; the clips stay where they are."""
    return await open_world(services=("generator",))


def models(clip: Clip) -> list[tuple[str, AttemptState]]:
    return [(attempt.model, attempt.state) for attempt in clip.attempts]


def codes(job: Job) -> list[str]:
    return [attempt.failure.code for attempt in job.clips[0].attempts if attempt.failure is not None]


async def test_without_credits_the_job_fails_in_the_originals_words(open_world: OpenWorld) -> None:
    w = await open_world(services=("generator",), kie={"credits": 29})
    job = await w.until_finished(await w.submit("a boat", "a harbour"))
    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    assert (job.failure.code, job.failure.stage, job.failure.retryable) == ("credits", Stage.GENERATING, True)
    assert job.failure.message == f"Video {job.failure.clip} generation failed: Insufficient credits"
    view = await w.view(job.id)
    assert view["error"] == job.failure.message
    assert await w.orders() == []


@pytest.mark.parametrize(
    ("code", "expected", "says"),
    [
        (401, "auth", "API key"),
        (402, "credits", "Insufficient credits"),
        (422, "invalid_input", "Validation error"),
        (433, "key_limit", "usage limit"),
    ],
)
async def test_what_only_a_person_can_mend_fails_at_once_with_the_reason(
    w: World, code: int, expected: str, says: str
) -> None:
    job = await w.until_finished(await w.submit(f"a boat [twin:create={code}]"))
    assert job.failure is not None
    assert (job.failure.code, job.failure.clip) == (expected, 1)
    assert says in job.failure.message
    assert len(await w.kie.get("orders")) == 1
    assert job.clips[0].status is ClipStatus.FAILED


@pytest.mark.parametrize(("code", "wait_ms"), [(429, 10_000), (455, 60_000)])
async def test_a_provider_that_asks_to_wait_is_left_alone_by_everybody_and_then_asked_again(
    w: World, code: int, wait_ms: int
) -> None:
    await w.kie.fault(f"create={code}", times=1)
    first = await w.submit("a boat")
    await w.until(first, lambda job: job.clips[0].not_before > w.clock(), "the clip waits")
    second = await w.submit("a harbour")
    await w.until(second, lambda job: job.clips[0].not_before > w.clock(), "another job's clip waits too")
    assert len(await w.kie.get("orders")) == 1
    w.clock.leap(wait_ms)
    for job_id in (first, second):
        await w.until_home(job_id)
    orders = await w.orders()
    assert [order["prompt"] for order in orders] in (["a boat", "a harbour"], ["a harbour", "a boat"])
    assert codes(await w.job(first)) == ["rate_limited" if code == 429 else "maintenance"]


async def test_orders_are_placed_no_faster_than_the_provider_allows(open_world: OpenWorld) -> None:
    w = await open_world(services=("generator",), provider_orders_per_10s=2)
    job_id = await w.submit("a boat", "a harbour", "a lighthouse")
    waiting = await w.until(
        job_id, lambda job: any(clip.not_before > w.clock() for clip in job.clips), "one clip stands in line"
    )
    assert any("rate limit" in entry.what for entry in waiting.timeline)
    assert len(await w.kie.get("orders")) == 2
    w.clock.leap(10_000)
    await w.until_home(job_id)
    assert len(await w.kie.get("orders")) == 3


async def test_a_provider_in_trouble_is_asked_again_until_it_takes_the_order_once(w: World) -> None:
    job = await w.until_home(await w.submit("a boat [twin:create=500*3]"), leaping=True)
    assert models(job.clips[0]) == [(SORA, AttemptState.REFUSED)] * 3 + [(SORA, AttemptState.SUCCEEDED)]
    assert codes(job) == ["server"] * 3
    starts = [attempt.started_at for attempt in job.clips[0].attempts]
    pauses = [later - sooner for sooner, later in itertools.pairwise(starts)]
    assert pauses == sorted(pauses), "the pauses do not grow"
    assert len(await w.orders()) == 1


async def test_a_paused_model_makes_way_for_the_next_and_is_not_asked_again(open_world: OpenWorld) -> None:
    w = await open_world(services=("generator",), kie={"paused_models": (SORA,)})
    first = await w.until_home(await w.submit("a boat"))
    assert models(first.clips[0]) == [(SORA, AttemptState.REFUSED), (KLING, AttemptState.SUCCEEDED)]
    view = await w.view(first.id)
    assert view["clips"][0]["model"] == KLING
    assert [attempt["model"] for attempt in view["clips"][0]["attempts"]] == [SORA, KLING]
    second = await w.until_home(await w.submit("a harbour"))
    assert models(second.clips[0]) == [(KLING, AttemptState.SUCCEEDED)]
    assert [order["model"] for order in await w.kie.get("orders")] == [SORA, KLING, KLING]


async def test_a_paused_model_is_tried_again_after_ten_minutes(open_world: OpenWorld) -> None:
    w = await open_world(services=("generator",), kie={"paused_models": (SORA,)})
    await w.until_home(await w.submit("a boat"))
    await w.kie.settings(paused_models=[])
    w.clock.leap(600_000)
    job = await w.until_home(await w.submit("a harbour"))
    assert models(job.clips[0]) == [(SORA, AttemptState.SUCCEEDED)]


async def test_a_model_that_the_provider_does_not_know_makes_way_for_the_next(w: World) -> None:
    job = await w.until_home(await w.submit("a boat [twin:create=unknown_model*1]"))
    assert models(job.clips[0]) == [(SORA, AttemptState.REFUSED), (KLING, AttemptState.SUCCEEDED)]
    assert codes(job) == ["model_unknown"]


async def test_when_every_model_is_down_the_failure_names_them(open_world: OpenWorld) -> None:
    w = await open_world(services=("generator",), kie={"paused_models": ("*",)})
    job = await w.until_finished(await w.submit("a boat"))
    assert job.failure is not None
    assert job.failure.code == "no_model"
    assert SORA in job.failure.message
    assert KLING in job.failure.message
    assert job.failure.retryable
    assert await w.orders() == []


async def test_a_model_that_was_asked_for_by_name_is_not_replaced(open_world: OpenWorld) -> None:
    w = await open_world(services=("generator",), kie={"paused_models": (KLING,)})
    answer = await w.http.post("/api/jobs", json={"clips": [{"prompt": "a boat", "model": KLING}]})
    job = await w.until_finished(answer.json()["data"]["jobId"])
    assert job.failure is not None
    assert (job.failure.code, SORA in job.failure.message) == ("no_model", False)


async def test_a_clip_that_no_model_can_make_fails_with_the_models_reasons(w: World) -> None:
    """The gateway refuses such a job; another version of it may have known the model."""
    wish = JobWish(clips=(ClipWish("a boat", model="no/such-model"),))
    stored = await w.put(new_job(new_job_id(w.clock()), [new_task_id()], wish, w.clock()))
    job = await w.until_finished(stored.id)
    assert job.failure is not None
    assert job.failure.code == "model_unknown"
    assert "no/such-model" in job.failure.message
    assert await w.kie.get("orders") == []


async def test_the_answer_to_an_order_is_not_lost_with_a_store_that_is_away_for_a_moment(w: World) -> None:
    """Nobody calls back here, so only our own memory of the task can bring the clip home."""
    refused = 0

    def fail_twice(row: object) -> bool:
        nonlocal refused
        job = Job.model_validate_json(row.document)  # type: ignore[attr-defined]
        attempt = job.clips[0].attempt
        if attempt is None or attempt.state is not AttemptState.GENERATING or refused == 2:
            return False
        refused += 1
        return True

    w.backend.fail_swap = fail_twice
    job = await w.until_home(await w.submit("a boat [twin:callback=lost]"))
    assert refused == 2
    assert models(job.clips[0]) == [(SORA, AttemptState.SUCCEEDED)]
    assert not any("unknown fate" in entry.what for entry in job.timeline)
