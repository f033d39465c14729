"""How every operation answers, for the OpenAPI pages: models, descriptions, examples."""

from typing import Annotated, Any

from fastapi import Body as JsonBody
from fastapi import Path

from services.gateway.answer_models import (
    JOB_ID,
    AcceptedAnswer,
    AliveAnswer,
    BatchAnswer,
    CallbackAnswer,
    ErrorAnswer,
    EstimateAnswer,
    HealthAnswer,
    JobAnswer,
    JobsAnswer,
    ReadyAnswer,
    UsageAnswer,
)

JobId = Annotated[str, Path(description="`jobId` of the answer that accepted it.", examples=[JOB_ID], min_length=1)]

Responses = dict[int | str, dict[str, Any]]

_DESCRIPTIONS = {
    400: "The request cannot be understood or done; names every field",
    401: "No API key, or a wrong one",
    402: "The budget does not allow it; says what is left",
    403: "The link is not ours, was altered, or has expired",
    404: "There is no such thing (any more)",
    409: "Not possible now, or the idempotency key was used for something else",
    413: "The body is too large",
    429: "Too many requests, or too many unfinished jobs; `Retry-After` says when",
    502: "Airtable does not accept our token",
    503: "Something we depend on does not answer; `Retry-After` says when to try again",
}


def errors(*statuses: int) -> Responses:
    """Return these errors as an operation's answers."""
    return {status: {"model": ErrorAnswer, "description": _DESCRIPTIONS[status]} for status in statuses}


def _example(**values: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"example": values}}}


_ERROR_EXAMPLE = {"success": False, "error": f"Job not found: {JOB_ID}", "code": "job_not_found"}
_ASKING = errors(400, 401, 429, 503)
_JOB_EXAMPLE = {
    "jobId": JOB_ID,
    "status": "generating",
    "createdAt": 1704067200000,
    "updatedAt": 1704067250000,
    "progress": 52,
    "aspectRatio": "landscape",
    "video1Status": "ready",
    "video1Url": "https://video.example.com/media/…/clip-1.mp4",
    "video2Status": "pending",
    "metadata": {},
    "clips": [],
    "timeline": [{"at": 1704067200000, "stage": "accepting", "what": "accepted with 2 clips"}],
}
_ACCEPTED_EXAMPLE = {
    "success": True,
    "message": "Video generation started. Use the jobId to check status.",
    "data": {
        "jobId": JOB_ID,
        "taskId1": "281e5b0c1d2f4a6b8c9d0e1f2a3b4c5d",
        "taskId2": "281e5b0c1d2f4a6b8c9d0e1f2a3b4c5e",
        "statusUrl": f"https://video.example.com/api/job/{JOB_ID}",
    },
}

ACCEPTED: Responses = {
    **errors(400, 401, 402, 404, 409, 413, 429, 502, 503),
    202: {"model": AcceptedAnswer, "description": "The job will be done", **_example(**_ACCEPTED_EXAMPLE)},
    200: {
        "model": AcceptedAnswer,
        "description": "A repetition; the job is over already",
        **_example(**_ACCEPTED_EXAMPLE),
    },
}
ESTIMATED: Responses = {
    200: {
        "model": EstimateAnswer | AcceptedAnswer,
        "description": "With `dryRun`: what the job would come to. Else a repetition, and the job is over already",
        **_example(
            success=True,
            data={
                "dryRun": True,
                "clips": 2,
                "seconds": 20,
                "credits": {"min": 60, "max": 120},
                "estimatedSeconds": 194,
                "warnings": [],
                "models": ["sora-2-text-to-video"],
            },
        ),
    }
}
SHOWN: Responses = {
    **_ASKING,
    404: {"model": ErrorAnswer, "description": _DESCRIPTIONS[404], **_example(**_ERROR_EXAMPLE)},
    200: {"model": JobAnswer, "description": "How the job stands", **_example(success=True, data=_JOB_EXAMPLE)},
}
CHANGED: Responses = {**SHOWN, **errors(402, 409, 413)}
LISTED: Responses = {
    **_ASKING,
    200: {
        "model": JobsAnswer,
        "description": "A page of jobs",
        **_example(
            success=True,
            data=[
                {
                    "jobId": JOB_ID,
                    "status": "completed",
                    "createdAt": 1704067200000,
                    "updatedAt": 1704067500000,
                    "progress": 100,
                    "title": "A chef cooking pasta in a kitchen",
                    "clips": 2,
                    "clipsReady": 2,
                }
            ],
            nextCursor=None,
        ),
    },
}
USED: Responses = {
    **_ASKING,
    200: {
        "model": UsageAnswer,
        "description": "What was used",
        **_example(
            success=True,
            data={
                "days": 30,
                "total": {"clips": 12, "seconds": 120, "credits": 360},
                "usage": [
                    {
                        "day": "2026-01-31",
                        "key": "airtable",
                        "model": "sora-2-text-to-video",
                        "clips": 12,
                        "seconds": 120,
                        "credits": 360,
                    }
                ],
            },
        ),
    },
}
BATCH: Responses = {
    **_ASKING,
    **errors(413),
    200: {
        "model": BatchAnswer,
        "description": "What became of every item",
        **_example(
            success=False,
            data={
                "accepted": 1,
                "refused": 1,
                "items": [
                    {"index": 0, "status": 202, **_ACCEPTED_EXAMPLE["data"]},  # type: ignore[dict-item]
                    {
                        "index": 1,
                        "status": 400,
                        "error": "clips.0.prompt: must not be empty or blank",
                        "code": "invalid_request",
                        "details": [{"field": "clips.0.prompt", "message": "must not be empty or blank"}],
                    },
                ],
            },
        ),
    },
}
_BATCH_ITEM = {"clips": [{"prompt": "A boat on the sea"}], "metadata": {"row": 1}}
BATCH_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "array",
                    "items": {"description": "A job as `POST /api/jobs` takes it; a bad one is refused by itself."},
                    "minItems": 1,
                    "maxItems": 1000,
                },
                "example": [_BATCH_ITEM, {"clips": [{"prompt": ""}]}],
            },
            "application/x-ndjson": {
                "schema": {"description": "One job a line."},
                "example": '{"clips": [{"prompt": "A boat on the sea"}]}\n{"clips": [{"prompt": "A harbour"}]}\n',
            },
        },
    }
}
CALLBACK_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "description": "As kie.ai sends it. Only read as a hint to go and look."},
                "example": {"code": 200, "data": {"taskId": "281e5b0c1d2f", "state": "success"}, "msg": "success"},
            }
        },
    }
}
HEALTHY: Responses = {200: {"model": HealthAnswer, "description": "The API is running"}}
ALIVE: Responses = {200: {"model": AliveAnswer, "description": "Alive"}}
READY: Responses = {
    200: {"model": ReadyAnswer, "description": "Ready"},
    503: {"model": ReadyAnswer, "description": "Not ready; says what is missing"},
}
CALLED_BACK: Responses = {
    **errors(400, 401, 413, 503),
    200: {"model": CallbackAnswer, "description": "Queued"},
}
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_FILES = {"video/mp4": _BYTES, "image/jpeg": _BYTES, "application/octet-stream": _BYTES}
FILE: Responses = {
    **errors(403, 404, 503),
    200: {"description": "The file", "content": _FILES},
    206: {"description": "A part of the file", "content": _FILES},
    304: {"description": "The caller has it already"},
    307: {"description": "The artifact store has it, under the address in `Location`"},
    416: {"model": ErrorAnswer, "description": "The file has no such part"},
}

JOB_EXAMPLES = JsonBody(
    openapi_examples={
        "two clips": {"value": {"clips": [{"prompt": "A chef cooking pasta"}, {"prompt": "Plating the dish"}]}},
        "everything": {
            "value": {
                "clips": [
                    {"url": "https://example.com/intro.mp4"},
                    {"prompt": "A chef cooking pasta", "durationSeconds": 10, "seed": 42},
                    {"prompt": "Plating the dish", "model": "kling/v3-turbo-text-to-video"},
                ],
                "models": ["sora-2-text-to-video", "kling/v3-turbo-text-to-video"],
                "aspectRatio": "16:9",
                "resolution": "1080p",
                "fps": 30,
                "fit": "contain-blur",
                "transitions": ["none", {"type": "fade", "seconds": 0.8}],
                "audio": {
                    "loudness": -14,
                    "soundtrack": {"url": "https://example.com/music.mp3", "volume": 0.2, "duck": 12, "fade": 2},
                },
                "overlay": {"url": "https://example.com/logo.png", "position": "top-right", "opacity": 0.7},
                "recordId": "recXXXXXXXXXXXXXX",
                "fields": {"Reviewed": False},
                "metadata": {"campaign": "spring"},
                "webhookUrl": "https://example.com/hooks/films",
                "webhookEvents": ["video.ready"],
                "onClipFailure": "skip",
                "minClips": 2,
                "review": True,
                "priority": "high",
            }
        },
    }
)
