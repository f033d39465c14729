"""Jobs are accepted, and shown, in the original's words."""

import re
from typing import Any

import pytest

from shared.events import EventName
from shared.job.model import AspectRatio, JobStatus
from tests.integration.gateway.answers import GOOD
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """The gateway alone; its reconciler sleeps."""
    return await open_world(partners=(), services=(), nudge_after_ms=60_000, provider_orders_per_10s=1)


async def test_two_prompts_are_answered_as_the_original_answers(w: World) -> None:
    answer = await w.http.post("/api/generate-video", json=GOOD)
    assert answer.status_code == 202
    body = answer.json()
    assert body.keys() == {"success", "message", "data"}
    assert body["success"] is True
    assert body["message"] == "Video generation started. Use the jobId to check status."
    data = body["data"]
    assert data.keys() == {"jobId", "taskId1", "taskId2", "statusUrl"}
    assert re.fullmatch(r"job_\d{13}_[0-9a-f]{16}", data["jobId"])
    assert re.fullmatch(r"[0-9a-f]{32}", data["taskId1"])
    assert data["taskId1"] != data["taskId2"]
    assert data["statusUrl"] == f"{w.parts.settings.base_url}/api/job/{data['jobId']}"
    assert (await w.http.get(data["statusUrl"])).json()["data"]["status"] == "pending"


async def test_an_accepted_job_is_stored_before_it_is_announced_once(w: World) -> None:
    job_id = await w.submit("a", "b")
    assert (await w.job(job_id)).status is JobStatus.PENDING
    assert [(event.name, event.subject) for event in w.bus.published] == [(EventName.JOB_CREATED, job_id)]


async def test_a_new_job_is_shown_with_the_originals_fields(w: World) -> None:
    view = await w.view(await w.submit("a", "b"))
    expected = {"jobId", "status", "createdAt", "updatedAt", "video1Status", "video2Status"}
    assert expected <= view.keys()
    assert not view.keys() & {"completedAt", "failedAt", "error", "recordId", "video1Url", "videoUrl"}
    assert (view["status"], view["video1Status"], view["video2Status"]) == ("pending", "pending", "pending")
    assert isinstance(view["createdAt"], int)


@pytest.mark.parametrize("path", ["/api/generate-video", "/api/jobs"])
async def test_the_shape_may_be_named_in_the_ways_people_name_it(w: World, path: str) -> None:
    base: dict[str, Any] = GOOD if path.endswith("video") else {"clips": [{"prompt": "a"}]}
    names = {
        "landscape": AspectRatio.LANDSCAPE,
        " Portrait ": AspectRatio.PORTRAIT,
        "9:16": AspectRatio.PORTRAIT,
        "1:1": AspectRatio.SQUARE,
        None: AspectRatio.LANDSCAPE,
    }
    for name, shape in names.items():
        answer = await w.http.post(path, json={**base, "aspectRatio": name, "recordId": None})
        assert answer.status_code == 202, answer.text
        assert (await w.job(answer.json()["data"]["jobId"])).aspect_ratio is shape


async def test_a_prompt_is_kept_as_it_was_given_but_for_blanks_around_it(w: World) -> None:
    job = await w.job(await w.submit('  Ünïcode "quoted"\nsecond line 🎬  '))
    assert job.clips[0].prompt == 'Ünïcode "quoted"\nsecond line 🎬'


async def test_the_full_form_takes_one_clip_or_many_with_their_own_wishes(w: World) -> None:
    body = {"clips": [{"prompt": "a boat", "durationSeconds": 5, "model": "bytedance/seedance-2"}, {"prompt": "b"}]}
    answer = await w.http.post("/api/jobs", json=body)
    job = await w.job(answer.json()["data"]["jobId"])
    assert [(clip.prompt, clip.duration_s, clip.model) for clip in job.clips] == [
        ("a boat", 5, "bytedance/seedance-2"),
        ("b", None, None),
    ]


async def test_a_callers_trace_goes_with_the_job(w: World) -> None:
    answer = await w.http.post("/api/jobs", json={"clips": [{"prompt": "a"}]}, headers={"traceparent": TRACEPARENT})
    job = await w.job(answer.json()["data"]["jobId"])
    assert (job.traceparent or "")[:36] == TRACEPARENT[:36]
    assert (w.bus.published[0].traceparent or "")[:36] == TRACEPARENT[:36]
    answer = await w.http.post("/api/jobs", json={"clips": [{"prompt": "a"}]}, headers={"traceparent": "nonsense"})
    made = (await w.job(answer.json()["data"]["jobId"])).traceparent
    assert made is not None
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", made)


async def test_jobs_are_listed_newest_first_page_by_page_and_by_status(w: World) -> None:
    ids = []
    for number in range(5):
        ids.append(await w.submit(f"film {number}"))
        w.clock.leap(1000)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query: dict[str, Any] = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await w.http.get("/api/jobs", params=query)).json()
        seen += [job["jobId"] for job in page["data"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]
    assert (await w.http.get("/api/jobs?status=completed")).json() == {"success": True, "data": [], "nextCursor": None}
    [newest, *_] = (await w.http.get("/api/jobs?status=pending")).json()["data"]
    assert (newest["title"], newest["clips"], newest["clipsReady"]) == ("film 4", 1, 0)


async def test_the_api_describes_itself(w: World) -> None:
    described = (await w.http.get("/openapi.json")).json()
    assert {"/api/generate-video", "/api/process-record", "/api/job/{job_id}"} <= described["paths"].keys()
    example = described["components"]["schemas"]["GenerateVideo"]["properties"]
    assert example.keys() == {"prompt1", "prompt2", "recordId", "aspectRatio"}
    assert "/api/generate-video" in (await w.http.get("/docs")).text
