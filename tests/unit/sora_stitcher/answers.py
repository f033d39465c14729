"""Answers of the API as the gateway gives them, for tests."""

import json
from typing import Any

from tests.support.scripted_partner import Reply

JOB_ID = "job_1795370803233_f8ee81b7b5f9f5a0"
BEGAN = 1_795_370_803_233


def clip(number: int, status: str, **changes: Any) -> dict[str, Any]:
    attempt = {
        "number": 1,
        "provider": "kie",
        "model": "sora-2-text-to-video",
        "outcome": "succeeded" if status == "ready" else "generating",
        "startedAt": BEGAN + 100 * number,
    }
    if status in ("ready", "failed"):
        attempt["endedAt"] = BEGAN + 4000 + number
    attempts = [] if status == "pending" else [attempt]
    view = {"number": number, "taskId": f"task{number}", "prompt": f"prompt {number}", "status": status}
    return view | {"attempts": attempts, "model": "sora-2-text-to-video"} | changes


def entry(after_ms: int, stage: str, what: str, **more: Any) -> dict[str, Any]:
    return {"at": BEGAN + after_ms, "stage": stage, "what": what} | more


def job(status: str = "generating", **changes: Any) -> dict[str, Any]:
    """The `data` of `GET /api/job/{id}`."""
    view = {
        "jobId": JOB_ID,
        "status": status,
        "createdAt": BEGAN,
        "updatedAt": BEGAN + 5000,
        "progress": 24,
        "aspectRatio": "landscape",
        "video1Status": "pending",
        "clips": [clip(1, "generating"), clip(2, "pending")],
        "timeline": [entry(0, "accepting", "accepted with 2 clips")],
    }
    return view | changes


def completed(**changes: Any) -> dict[str, Any]:
    done = {
        "progress": 100,
        "completedAt": BEGAN + 8000,
        "recordId": "recSANDBOX0000001",
        "attachmentId": "att1",
        "clips": [clip(1, "ready"), clip(2, "ready")],
        "videoUrl": "http://localhost:3000/media/token/film.mp4",
        "film": {
            "sizeBytes": 370_000,
            "durationSeconds": 4.0,
            "width": 1280,
            "height": 720,
            "frames": 120,
            "fps": "30",
            "plan": {"explained": ["Film: 4.00 s"], "fallbacks": []},
        },
        "timeline": [
            entry(0, "accepting", "accepted with 2 clips"),
            entry(4001, "generating", "clip is home", clip=1, attempt=1),
            entry(5000, "stitching", "stitching 2 clips"),
            entry(6500, "stitching", "film of 370000 bytes"),
            entry(6500, "uploading", "delivering"),
            entry(8000, "uploading", "delivered to the record"),
        ],
    }
    return job("completed", **(done | changes))


def failed(**changes: Any) -> dict[str, Any]:
    gone = {
        "failedAt": BEGAN + 7000,
        "error": "Video 2 generation failed: Insufficient credits",
        "failure": {"stage": "generating", "code": "credits", "message": "Video 2 generation failed", "clip": 2},
        "clips": [clip(1, "generating"), clip(2, "failed", error="Insufficient credits")],
    }
    return job("failed", **(gone | changes))


def answered(data: dict[str, Any]) -> dict[str, Any]:
    return {"success": True, "data": data}


def accepted() -> dict[str, Any]:
    data = {"jobId": JOB_ID, "taskId1": "task1", "statusUrl": f"http://localhost:3000/api/job/{JOB_ID}"}
    return answered(data) | {"message": "Video generation started."}


def refused(code: str, message: str) -> dict[str, Any]:
    return {"success": False, "error": message, "code": code}


def stream(*frames: str) -> Reply:
    """A stream of events that ends."""
    return Reply(200, "retry: 2000\n\n" + "".join(frames), {"Content-Type": "text/event-stream"})


def frame(data: dict[str, Any], event_id: int | None = None, name: str = "job") -> str:
    head = f"id: {event_id}\n" if event_id is not None else ""
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n"


def streamed(*views: dict[str, Any]) -> list[Reply]:
    """Replies to whoever follows a job: one stream with all of this."""
    return [stream(*(frame(view, number) for number, view in enumerate(views, start=1)))]
