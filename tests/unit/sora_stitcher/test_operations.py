"""What the client sends for each operation, and how it reads the answer; both clients alike."""

from collections.abc import Callable
from typing import Any

import pytest

import sora_stitcher
from sora_stitcher._calls import batches
from sora_stitcher.client import (
    AsyncClient,
    AudioWish,
    Client,
    ClipWish,
    FilmWish,
    OverlayWish,
    RateLimited,
    SoundtrackWish,
    TransitionWish,
)
from sora_stitcher.wishes import existing_film, film_body
from tests.support.scripted_partner import Reply, ScriptedPartner
from tests.unit.sora_stitcher.answers import BEGAN, JOB_ID, accepted, answered, job, refused

WEBHOOK = {
    "id": "wh/1",
    "event": "job.completed",
    "at": BEGAN,
    "state": "pending",
    "tried": 2,
    "tries": [{"at": BEGAN}],
}
USAGE = {
    "days": 7,
    "total": {"clips": 3, "seconds": 30, "credits": 90},
    "usage": [{"day": "2026-01-31", "key": "airtable", "model": "m", "clips": 3, "seconds": 30, "credits": 90}],
}
ESTIMATE = {
    "dryRun": True,
    "clips": 1,
    "seconds": 10,
    "credits": {"min": 30, "max": 60},
    "estimatedSeconds": 190,
    "warnings": ["dear"],
    "models": ["m"],
}
Ask = Callable[[Any], Any]
OPERATIONS: list[tuple[str, Ask, str, Any, dict[str, Any]]] = [
    ("cancel", lambda c: c.cancel(JOB_ID), f"POST /api/job/{JOB_ID}/cancel", None, job("cancelled")),
    ("retry", lambda c: c.retry(JOB_ID), f"POST /api/job/{JOB_ID}/retry", None, job()),
    ("approve", lambda c: c.approve(JOB_ID), f"POST /api/job/{JOB_ID}/approve", None, job("processing")),
    (
        "regenerate",
        lambda c: c.regenerate(JOB_ID, 2, prompt="better"),
        f"POST /api/job/{JOB_ID}/clips/2/regenerate",
        {"prompt": "better"},
        job(),
    ),
    (
        "replay_webhook",
        lambda c: c.replay_webhook(JOB_ID, "wh/1"),
        f"POST /api/job/{JOB_ID}/webhooks/wh%2F1/replay",
        None,
        WEBHOOK,
    ),
    ("usage", lambda c: c.usage(days=7, key="airtable"), "GET /api/usage?days=7&key=airtable", None, USAGE),
    (
        "dry_run",
        lambda c: c.dry_run(["one"]),
        "POST /api/jobs",
        {"clips": [{"prompt": "one"}], "dryRun": True},
        ESTIMATE,
    ),
    (
        "generate_video",
        lambda c: c.generate_video("one", "two", aspect_ratio="square"),
        "POST /api/generate-video",
        {"prompt1": "one", "prompt2": "two", "aspectRatio": "square"},
        accepted()["data"],
    ),
    (
        "process_record",
        lambda c: c.process_record("recSANDBOX0000001", force=True),
        "POST /api/process-record",
        {"recordId": "recSANDBOX0000001", "force": True},
        accepted()["data"],
    ),
]
parametrized = pytest.mark.parametrize(
    ("ask", "line", "body", "data"), [each[1:] for each in OPERATIONS], ids=[each[0] for each in OPERATIONS]
)


@parametrized
def test_an_operation_is_asked_for_and_its_answer_kept_whole(
    gateway: ScriptedPartner, ask: Ask, line: str, body: Any, data: dict[str, Any]
) -> None:
    gateway.script = [Reply(200, answered(data))]
    with Client(gateway.url) as client:
        assert ask(client).as_json() == data
    assert gateway.lines() == [line]
    assert gateway.requests[0].body == body


@parametrized
async def test_the_async_client_asks_for_the_same(
    gateway: ScriptedPartner, ask: Ask, line: str, body: Any, data: dict[str, Any]
) -> None:
    gateway.script = [Reply(200, answered(data))]
    async with AsyncClient(gateway.url) as client:
        assert (await ask(client)).as_json() == data
    assert gateway.lines() == [line]
    assert gateway.requests[0].body == body


def item(index: int, **changes: Any) -> dict[str, Any]:
    return {"index": index, "status": 202, "jobId": f"job_{index}", "statusUrl": "http://x"} | changes


async def test_a_large_batch_goes_in_several_requests_and_is_numbered_through(gateway: ScriptedPartner) -> None:
    bad = {"index": 1, "status": 400, "error": "no", "code": "invalid_request"}
    script = [
        Reply(200, answered({"accepted": 100, "refused": 0, "items": [item(number) for number in range(100)]})),
        Reply(200, answered({"accepted": 1, "refused": 1, "items": [item(0), bad]})),
    ]
    films: list[Any] = [["one"], *[FilmWish(["two"])] * 100, {"clips": []}]
    gateway.script = list(script)
    with Client(gateway.url) as client:
        result = client.batch(films, idempotency_key="mine")
    assert (result.accepted, result.refused) == (101, 1)
    assert [each.index for each in result.items] == list(range(102))
    assert (result.items[101].code, result.items[101].job_id) == ("invalid_request", None)
    assert [request.headers["Idempotency-Key"] for request in gateway.requests] == ["mine.0", "mine.100"]
    assert [len(request.body) for request in gateway.requests] == [100, 2]
    gateway.script = script
    async with AsyncClient(gateway.url) as client_:
        assert await client_.batch(films, idempotency_key="mine") == result


async def test_a_batch_that_ends_early_names_the_key_of_the_films_that_were_taken(gateway: ScriptedPartner) -> None:
    taken = Reply(200, answered({"accepted": 100, "refused": 0, "items": [item(number) for number in range(100)]}))
    limited = Reply(429, refused("rate_limited", "too many"), {"Retry-After": "60"})
    films: list[Any] = [["one"]] * 101
    gateway.script = [taken, limited]
    with Client(gateway.url) as client, pytest.raises(RateLimited) as caught:
        client.batch(films, idempotency_key="mine")
    assert caught.value.idempotency_key == "mine"
    gateway.script = [taken, limited]
    async with AsyncClient(gateway.url) as client_:
        with pytest.raises(RateLimited) as caught:
            await client_.batch(films)
    assert gateway.requests[-1].headers["Idempotency-Key"] == f"{caught.value.idempotency_key}.100"
    gateway.script = [limited]
    with Client(gateway.url) as client, pytest.raises(RateLimited) as caught:
        client.batch(films)
    assert caught.value.idempotency_key is None, "nothing was taken"


def test_a_batch_without_a_key_gets_one_for_all_of_its_requests() -> None:
    keys = {call.idempotency_key for call in batches([["one"]] * 3, size=1)}
    assert len(keys) == 1


async def test_all_jobs_are_listed_page_by_page(gateway: ScriptedPartner) -> None:
    def page(number: int, cursor: str | None) -> Reply:
        summary = {"jobId": f"job_{number}", "status": "failed", "createdAt": BEGAN, "updatedAt": BEGAN}
        return Reply(200, {"success": True, "data": [summary], "nextCursor": cursor})

    gateway.script = [page(1, "c2"), page(2, None)]
    with Client(gateway.url) as client:
        assert [each.job_id for each in client.all_jobs(status="failed", page_size=1)] == ["job_1", "job_2"]
    assert gateway.lines()[1] == "GET /api/jobs?status=failed&limit=1&cursor=c2"
    gateway.script = [page(1, "c2"), page(2, None)]
    async with AsyncClient(gateway.url) as client_:
        assert [each.job_id async for each in client_.all_jobs()] == ["job_1", "job_2"]


def test_the_full_form_is_sent_in_the_apis_own_names() -> None:
    film = FilmWish(
        clips=[
            ClipWish(url="https://example.com/intro.mp4"),
            "a boat",
            ClipWish("a storm", duration_seconds=10, model="m", aspect_ratio="9:16", seed=7),
            ClipWish(artifact="jobs/job_1/clip-1.mp4"),
        ],
        models=("a", "b"),
        resolution="1080p",
        fps=29.97,
        fit="contain-blur",
        codec="av1",
        transitions=["fade", TransitionWish("wipeleft", 0.3), "none"],
        audio=AudioWish(loudness=-14, soundtrack=SoundtrackWish(url="https://example.com/song.mp3", duck=12)),
        overlay=OverlayWish(url="https://example.com/logo.png", position="top-left"),
        poster_at_seconds=1.5,
        fields={"Reviewed": False},
        metadata={"snake_case": {"stays_as": None}},
        webhook_url="https://example.com/hook",
        webhook_events=["video.ready"],
        on_clip_failure="skip",
        min_clips=2,
        review=True,
        priority="high",
    )
    assert film_body(film) == {
        "clips": [
            {"url": "https://example.com/intro.mp4"},
            {"prompt": "a boat"},
            {"prompt": "a storm", "durationSeconds": 10, "model": "m", "aspectRatio": "9:16", "seed": 7},
            {"artifact": "jobs/job_1/clip-1.mp4"},
        ],
        "models": ["a", "b"],
        "resolution": "1080p",
        "fps": 29.97,
        "fit": "contain-blur",
        "codec": "av1",
        "transitions": ["fade", {"type": "wipeleft", "seconds": 0.3}, "none"],
        "audio": {"loudness": -14, "soundtrack": {"url": "https://example.com/song.mp3", "duck": 12}},
        "overlay": {"url": "https://example.com/logo.png", "position": "top-left"},
        "posterAtSeconds": 1.5,
        "fields": {"Reviewed": False},
        "metadata": {"snake_case": {"stays_as": None}},
        "webhookUrl": "https://example.com/hook",
        "webhookEvents": ["video.ready"],
        "onClipFailure": "skip",
        "minClips": 2,
        "review": True,
        "priority": "high",
    }


def test_every_field_of_the_api_can_be_asked_for() -> None:
    """The client's wishes and the gateway's body are two homes of one contract; this holds them together."""
    from dataclasses import fields

    from services.gateway import bodies
    from services.gateway.fields import TransitionBody
    from sora_stitcher.wishes import _camel

    for ours, theirs in (
        (FilmWish, bodies.CreateJob),
        (ClipWish, bodies.ClipBody),
        (AudioWish, bodies.AudioBody),
        (SoundtrackWish, bodies.SoundtrackBody),
        (OverlayWish, bodies.OverlayBody),
        (TransitionWish, TransitionBody),
    ):
        known = {_camel(field.name) for field in fields(ours)}
        taken = {field.alias for field in theirs.model_fields.values()} - {"dryRun"}
        assert known == taken, ours


@pytest.mark.parametrize(
    ("text", "clip"),
    [
        ("https://example.com/a.mp4", ClipWish(url="https://example.com/a.mp4")),
        ("jobs/job_1/film.mp4", ClipWish(artifact="jobs/job_1/film.mp4")),
        ("https://example.com is a site", None),
        ("jobs are done", None),
        ("a boat", None),
    ],
)
def test_an_existing_film_is_told_from_a_prompt(text: str, clip: ClipWish | None) -> None:
    assert existing_film(text) == clip


def test_the_library_is_reached_by_the_packages_name() -> None:
    assert sora_stitcher.Client is Client
    with pytest.raises(AttributeError, match="nonsense"):
        sora_stitcher.nonsense  # noqa: B018
