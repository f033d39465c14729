"""The full form: everything that may be asked for reaches the job, and what cannot be done is refused by name."""

from typing import Any

import pytest

from shared.job.model import AspectRatio, ClipRole
from shared.job.wishes import ClipFailurePolicy, Joint, Priority
from tests.integration.gateway.answers import error_of
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World

CLIP = {"prompt": "A boat on the sea"}
RECORD = "recSANDBOX0000001"
FILES = "http://127.0.0.1:9"
"""Allowed by the test's settings; nobody answers there."""


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """The gateway with its Airtable twin; its reconciler sleeps."""
    return await open_world(partners=("airtable",), services=(), nudge_after_ms=60_000)


async def refusal(w: World, **body: Any) -> tuple[str, str]:
    """Return the field that a request is refused for, and why."""
    error = error_of(await w.http.post("/api/jobs", json={"clips": [CLIP, CLIP], **body}))
    assert await w.store.page() == ([], None)
    detail = error["details"][0]
    return detail["field"], detail["message"]


async def test_everything_that_is_asked_for_is_kept_in_the_job(w: World) -> None:
    body = {
        "clips": [
            {"url": f"{FILES}/intro.mp4"},
            {**CLIP, "durationSeconds": 10, "seed": 42, "aspectRatio": "9:16"},
            {**CLIP, "model": "kling/v3-turbo-text-to-video"},
        ],
        "models": ["sora-2-text-to-video", "kling/v3-turbo-text-to-video"],
        "aspectRatio": "16:9",
        "resolution": "1080p",
        "fps": 29.97,
        "fit": "contain-blur",
        "codec": "hevc",
        "transitions": ["none", {"type": "fade", "seconds": 0.8}],
        "audio": {
            "crossfade": True,
            "exact": True,
            "loudness": -14,
            "soundtrack": {"url": f"{FILES}/m.mp3", "volume": 0.2, "duck": 12, "fade": 2},
        },
        "overlay": {"url": f"{FILES}/logo.png", "position": "top-right", "opacity": 0.7},
        "recordId": "recSANDBOX0000001",
        "fields": {"Reviewed": False},
        "metadata": {"campaign": "spring", "nested": [1, {"a": None}]},
        "webhookUrl": f"{FILES}/hook",
        "webhookEvents": ["video.ready"],
        "onClipFailure": "skip",
        "minClips": 2,
        "review": True,
        "priority": "high",
        "posterAtSeconds": 1.5,
    }
    answer = await w.http.post("/api/jobs", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.json()["data"].keys() == {"jobId", "taskId1", "taskId2", "taskId3", "statusUrl"}
    job = await w.job(answer.json()["data"]["jobId"])
    assert [clip.role for clip in job.clips] == [ClipRole.CLIP] * 3 + [ClipRole.SOUNDTRACK, ClipRole.OVERLAY]
    assert [clip.source for clip in job.clips] == [
        f"{FILES}/intro.mp4",
        None,
        None,
        f"{FILES}/m.mp3",
        f"{FILES}/logo.png",
    ]
    assert (job.clips[1].seed, job.clips[1].aspect_ratio) == (42, AspectRatio.PORTRAIT)
    wishes = job.wishes
    assert (wishes.size, wishes.fps, wishes.fit, wishes.codec) == ((1920, 1080), "30000/1001", "contain-blur", "hevc")
    assert wishes.joints == (Joint(kind="none"), Joint(kind="fade", seconds=0.8))
    assert (wishes.exact_audio, wishes.loudness_lufs, wishes.poster_at_s) == (True, -14, 1.5)
    assert wishes.soundtrack is not None
    assert (wishes.soundtrack.volume, wishes.soundtrack.duck, wishes.soundtrack.fade_s) == (0.2, 12, 2)
    assert wishes.overlay is not None
    assert (wishes.overlay.position, wishes.overlay.opacity) == ("top-right", 0.7)
    assert (job.on_clip_failure, job.min_clips, job.review) == (ClipFailurePolicy.SKIP, 2, True)
    assert (job.priority, job.webhook_events, job.fields) == (Priority.HIGH, ("video.ready",), {"Reviewed": False})
    view = await w.view(job.id)
    assert view["metadata"] == body["metadata"]
    assert len(view["clips"]) == 3
    assert (view["soundtrack"]["number"], view["overlay"]["number"]) == (4, 5)


async def test_a_transition_may_be_named_for_all_joints(w: World) -> None:
    answer = await w.http.post("/api/jobs", json={"clips": [CLIP, CLIP], "transition": "wipeleft"})
    job = await w.job(answer.json()["data"]["jobId"])
    assert (job.wishes.transition, job.wishes.joints) == (Joint(kind="wipeleft", seconds=0.5), ())


IMPOSSIBLE: list[tuple[dict[str, Any], str, str]] = [
    ({"clips": [{}]}, "clips.0.prompt", "is required"),
    ({"clips": [{**CLIP, "url": f"{FILES}/a"}]}, "clips.0.url", "cannot stand beside `prompt`"),
    ({"clips": [{"url": f"{FILES}/a", "durationSeconds": 5}]}, "clips.0.durationSeconds", "made of a prompt"),
    ({"clips": [{"url": "ftp://host/a"}]}, "clips.0.url", "https://host/path"),
    ({"clips": [{"url": "https://user:pass@host/a"}]}, "clips.0.url", "user name or password"),
    ({"clips": [{"url": "https://10.0.0.1/a"}]}, "clips.0.url", "not a public address"),
    ({"clips": [{"url": "https://localhost/a"}]}, "clips.0.url", "not a public address"),
    ({"webhookUrl": "http://169.254.169.254/latest"}, "webhookUrl", "not a public address"),
    ({"clips": [{"artifact": "../../etc/passwd"}]}, "clips.0.artifact", "jobs/<jobId>/<name>"),
    ({"clips": [{"artifact": "jobs/job_1/clip-1.mp4"}]}, "clips.0.artifact", "there is no"),
    ({"model": "no/such-model"}, "model", "is not a known model"),
    ({"model": "sora-2-text-to-video", "models": ["wan/3-0-video"]}, "models", "cannot stand beside"),
    ({"model": "sora-2-text-to-video", "aspectRatio": "square"}, "clips.0.prompt", "makes no square video"),
    ({"transition": "teleport"}, "transition.type", "is not a known transition"),
    ({"transition": {"type": "fade", "seconds": 12}}, "transition", "too short for 12 s"),
    ({"transitions": ["fade", "fade"]}, "transitions", "2 were given for 1 joints"),
    ({"transitions": ["fade"], "transition": "fade"}, "transitions", "cannot stand beside"),
    ({"audio": {"crossfade": True}}, "audio.crossfade", "give a `transition`"),
    ({"audio": {"crossfade": False}, "transition": "fade"}, "audio.crossfade", "cannot be false"),
    ({"audio": {"soundtrack": {}}}, "audio.soundtrack.url", "either `url` or `artifact`"),
    ({"audio": {"loudness": 0}}, "audio.loudness", "less than or equal to -5"),
    ({"audio": {"volume": 1}}, "audio.volume", "is not a known field"),
    ({"overlay": {"url": f"{FILES}/a", "position": "centre"}}, "overlay.position", "'top-left'"),
    ({"fps": 0}, "fps", "greater than or equal to 1"),
    ({"fields": {"a": 1}}, "fields", "needs a `recordId`"),
    ({"recordId": RECORD, "fields": {"Video": []}}, "fields.Video", "cannot be wished for"),
    ({"recordId": RECORD, "fields": {"Notes": "x", "status ": "Done"}}, "fields.status ", "cannot be wished for"),
    ({"recordId": RECORD, "fields": {"ERROR": None}}, "fields.ERROR", "cannot be wished for"),
    ({"webhookEvents": ["job.completed"]}, "webhookEvents", "needs a `webhookUrl`"),
    ({"minClips": 1}, "minClips", "`onClipFailure` `skip`"),
    ({"minClips": 3, "onClipFailure": "skip"}, "minClips", "more than the 2 clips"),
    ({"metadata": {"a": "x" * 20_000}}, "metadata", "at most 16384 are allowed"),
    ({"metadata": {"a": [[[[[[[[[1]]]]]]]]]}}, "metadata", "nested"),
    ({"metadata": {"a": "\x00"}}, "metadata", "NUL"),
]


async def test_what_cannot_be_done_is_refused_by_the_fields_name(w: World) -> None:
    for body, field, says in IMPOSSIBLE:
        name, message = await refusal(w, **body)
        assert (name, says in message) == (field, True), f"{body}: {name}: {message}"


async def test_a_dry_run_estimates_and_neither_stores_nor_announces(w: World) -> None:
    clips = [{**CLIP, "durationSeconds": 8}, {**CLIP, "model": "wan/2-7-text-to-video"}, {"url": f"{FILES}/a.mp4"}]
    answer = await w.http.post("/api/jobs", json={"clips": clips, "dryRun": True, "model": "sora-2-text-to-video"})
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert (data["dryRun"], data["clips"], data["seconds"]) == (True, 3, 20)
    assert data["credits"] == {"min": 90, "max": 90}
    assert data["models"] == ["sora-2-text-to-video", "wan/2-7-text-to-video"]
    warnings = "\n".join(data["warnings"])
    for says in ("makes 10 s, not 8 s", "price of wan/2-7", "existing films", "clips.2.url: cannot be reached"):
        assert says in warnings
    assert data["estimatedSeconds"] > 0
    assert await w.store.page() == ([], None)
    assert w.bus.published == []


async def test_a_dry_run_warns_of_models_that_are_out_of_order(w: World) -> None:
    await w.store.put_mark("model-down:sora-2-text-to-video", "model_paused", 60_000)
    body = {"clips": [CLIP], "dryRun": True, "model": "sora-2-text-to-video"}
    data = (await w.http.post("/api/jobs", json=body)).json()["data"]
    assert "no model takes orders for clip 1" in data["warnings"][0]


async def test_a_dry_run_refuses_what_the_job_would_be_refused_for(w: World) -> None:
    unknown = {"clips": [CLIP], "dryRun": True, "recordId": "recAAAAAAAAAAAAAA"}
    assert error_of(await w.http.post("/api/jobs", json=unknown), 404)["code"] == "record_not_found"
    square = {"clips": [CLIP], "dryRun": True, "aspectRatio": "square", "model": "sora-2-text-to-video"}
    assert "makes no square video" in error_of(await w.http.post("/api/jobs", json=square))["error"]
