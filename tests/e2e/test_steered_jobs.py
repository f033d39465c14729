"""What people ask for and do to their jobs, over HTTP, through four real processes on RabbitMQ and Redis."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

from sandbox.serving import listen, origin_of, serving
from shared.film import ffmpeg_exe
from tests.support.media import Clip, make_clip
from tests.support.redis import RedisServer
from tests.support.system import System

View = dict[str, Any]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[str]:
    """The user's own web server, with a film, music and a logo."""
    folder = tmp_path / "site"
    folder.mkdir()
    make_clip(folder / "intro.mp4", Clip(number=7, frames=15, fps="30"))
    for name, source in (("song.mp3", "sine=frequency=440:duration=2"), ("logo.png", "color=red:size=64x32")):
        still = ["-frames:v", "1"] if name.endswith("png") else []
        command = [ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source, *still, str(folder / name)]
        subprocess.run(command, check=True)

    async def answer(request: Request) -> FileResponse:
        return FileResponse(folder / request.path_params["name"])

    with listen("127.0.0.1", 0) as sock:
        async with serving([(Starlette(routes=[Route("/{name}", answer)]), sock)]):
            yield origin_of(sock)


class User:
    """Somebody with a client."""

    def __init__(self, system: System, http: httpx.AsyncClient) -> None:
        self.system = system
        self.http = http

    async def post(self, path: str, body: View | None = None) -> View:
        answer = await self.http.post(path, json=body if body is not None else {})
        assert answer.status_code in (200, 202), answer.text
        data: View = answer.json()["data"]
        return data

    async def submit(self, *clips: View, **more: Any) -> str:
        return str((await self.post("/api/jobs", {"clips": list(clips), **more}))["jobId"])

    async def until(self, job_id: str, condition: Callable[[View], bool], what: str) -> View:
        deadline = time.monotonic() + 120
        while True:
            view: View = (await self.http.get(f"/api/job/{job_id}")).json()["data"]
            if condition(view):
                return view
            assert time.monotonic() < deadline, f"not within 120 s: {what}; {view}"
            await asyncio.sleep(0.1)

    async def until_status(self, job_id: str, *statuses: str) -> View:
        view = await self.until(job_id, lambda view: view["status"] in (*statuses, "failed"), f"the job is {statuses}")
        assert view["status"] in statuses, view.get("error")
        return view

    async def orders(self, part: str) -> int:
        orders = await self.system.kie.get("orders")
        return sum(bool(order["task_id"]) and part in order["prompt"] for order in orders)


def said(prompt: str, **more: Any) -> View:
    return {"prompt": prompt, **more}


async def everything_that_was_wished_for(user: User, site: str) -> None:
    await user.system.airtable.post("seed", {"records": [{"id": "recWISHES00000001", "fields": {}}]})
    job_id = await user.submit(
        {"url": f"{site}/intro.mp4"},
        said("wished first"),
        said("wished second"),
        recordId="recWISHES00000001",
        fields={"Name": "wished for"},
        transition={"type": "fade", "seconds": 0.2},
        audio={"soundtrack": {"url": f"{site}/song.mp3", "volume": 0.5, "duck": 6, "fade": 0.1}},
        overlay={"url": f"{site}/logo.png", "position": "top-left", "opacity": 0.9},
        priority="high",
        metadata={"campaign": 7},
    )
    view = await user.until_status(job_id, "completed")
    assert view["film"]["plan"]["mix"] is True
    assert view["film"]["durationSeconds"] == pytest.approx(0.5 + 1 + 1 - 2 * 0.2, abs=0.2)
    record = await user.system.airtable.get("records/recWISHES00000001")
    assert record["fields"]["Name"] == "wished for"
    assert len(record["attachments"]) == 1
    again = await user.submit({"artifact": f"jobs/{job_id}/film.mp4"})
    assert (await user.until_status(again, "completed"))["film"]["durationSeconds"] == pytest.approx(
        view["film"]["durationSeconds"], abs=0.1
    )


async def review_with_a_clip_made_anew(user: User) -> None:
    job_id = await user.submit(said("seen first"), said("seen second"), review=True)
    before = await user.until_status(job_id, "review")
    await user.post(f"/api/job/{job_id}/clips/2/regenerate", {"prompt": "seen anew"})
    after = await user.until(
        job_id,
        lambda view: view["status"] == "review" and view["clips"][1]["prompt"] == "seen anew",
        "the new clip waits for approval",
    )
    assert after["clips"][0]["sizeBytes"] == before["clips"][0]["sizeBytes"]
    await user.post(f"/api/job/{job_id}/approve")
    await user.until_status(job_id, "completed")
    assert [await user.orders(part) for part in ("seen first", "seen second", "seen anew")] == [1, 1, 1]


async def cancelled_while_its_clips_are_made(user: User) -> None:
    job_id = await user.submit(said("dropped [twin:task=slow:3000]"))
    await user.until(job_id, lambda view: "providerTaskId" in str(view["clips"]), "the clip is with the provider")
    await user.post(f"/api/job/{job_id}/cancel")
    view = await user.until_status(job_id, "cancelled")
    view = await user.until(job_id, lambda view: view["clips"][0]["status"] == "ready", "what is paid for is home")
    assert (view["status"], view.get("videoUrl")) == ("cancelled", None)


async def retried_for_the_missing_clip_only(user: User) -> None:
    job_id = await user.submit(said("kept"), said("missed [twin:fail=content*1]"))
    await user.until(job_id, lambda view: view["status"] == "failed", "the job fails")
    await user.post(f"/api/job/{job_id}/retry")
    await user.until_status(job_id, "completed", "generating")
    await user.until(job_id, lambda view: view["status"] == "completed", "the job is completed")
    assert (await user.orders("kept"), await user.orders("missed")) == (1, 2)


async def made_without_the_clip_that_failed(user: User) -> None:
    job_id = await user.submit(said("there"), said("absent [twin:fail=content]"), onClipFailure="skip", minClips=1)
    view = await user.until_status(job_id, "completed")
    assert view["film"]["durationSeconds"] == pytest.approx(1, abs=0.1)


@pytest.mark.timeout(300)
async def test_jobs_are_made_as_wished_for_and_steered(
    rabbit_url: str, own_redis_server: RedisServer, tmp_path: Path, site: str
) -> None:
    backing = {"RABBITMQ_URL": rabbit_url, "REDIS_URL": own_redis_server.url}
    async with System(tmp_path, backing, replicas={"generator": 2, "gateway": 1}) as system, system.client() as http:
        user = User(system, http)
        await asyncio.gather(
            everything_that_was_wished_for(user, site),
            review_with_a_clip_made_anew(user),
            cancelled_while_its_clips_are_made(user),
            retried_for_the_missing_clip_only(user),
            made_without_the_clip_that_failed(user),
        )
