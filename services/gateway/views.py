"""The job document in the words of the HTTP API. Pure but for the links it makes."""

from typing import Any

from shared.job.model import Attempt, Clip, ClipRole, ClipStatus, Film, Job, JobStatus
from shared.job.webhook_model import Webhook
from shared.job.wishes import FilmWishes
from shared.media_links import MediaLinks

LINK_TTL_MS = 86_400_000
TITLE_LIMIT = 120
"""Characters of the first prompt that a list shows."""

_WITHOUT_CLIPS = {
    JobStatus.REVIEW: 80,
    JobStatus.PROCESSING: 80,
    JobStatus.STITCHING: 85,
    JobStatus.UPLOADING: 95,
    JobStatus.COMPLETED: 100,
}


def accepted_view(job: Job, base_url: str) -> dict[str, Any]:
    """Return the `data` of a 202 answer."""
    tasks = {f"taskId{clip.number}": clip.task_id for clip in job.shots}
    return {"jobId": job.id, **tasks, "statusUrl": f"{base_url}/api/job/{job.id}"}


def job_view(job: Job, links: MediaLinks) -> dict[str, Any]:
    """Return the job as `GET /api/job/{id}` shows it: the original's fields and ours."""
    view: dict[str, Any] = {
        "jobId": job.id,
        "status": job.status,
        "createdAt": job.created_at,
        "updatedAt": job.updated_at,
        "progress": progress_percent(job),
        "aspectRatio": job.aspect_ratio,
    }
    if job.record_id is not None:
        view["recordId"] = job.record_id
    for clip in job.shots:
        settled = clip.status in (ClipStatus.READY, ClipStatus.FAILED)
        view[f"video{clip.number}Status"] = clip.status if settled else ClipStatus.PENDING
        if clip.artifact is not None:
            view[f"video{clip.number}Url"] = links.url(clip.artifact.key, LINK_TTL_MS)
    view |= _ending_view(job)
    if job.film is not None:
        view |= _film_view(job.film, links)
    if job.delivery is not None:
        view["attachmentId"] = job.delivery.attachment_id
    view |= _asked_view(job)
    view["clips"] = [_clip_view(clip, links) for clip in job.shots]
    for clip in job.clips:
        if clip.role is not ClipRole.CLIP:
            view[clip.role.value] = _clip_view(clip, links)
    if job.webhooks:
        view["webhooks"] = [webhook_view(webhook) for webhook in job.webhooks]
    view["timeline"] = [entry.model_dump(exclude_none=True) for entry in job.timeline]
    return view


def _title(job: Job) -> str:
    prompt = next((clip.prompt for clip in job.shots if clip.prompt), "existing films")
    return prompt if len(prompt) <= TITLE_LIMIT else prompt[: TITLE_LIMIT - 1].rstrip() + "…"


def job_summary(job: Job) -> dict[str, Any]:
    """Return the job as a list shows it."""
    summary: dict[str, Any] = {
        "jobId": job.id,
        "status": job.status,
        "createdAt": job.created_at,
        "updatedAt": job.updated_at,
        "progress": progress_percent(job),
        "title": _title(job),
        "clips": len(job.shots),
        "clipsReady": sum(clip.status is ClipStatus.READY for clip in job.shots),
    }
    if job.metadata:
        summary["metadata"] = job.metadata
    if job.record_id is not None:
        summary["recordId"] = job.record_id
    if job.failure is not None:
        summary["error"] = job.failure.message
    return summary


def progress_percent(job: Job) -> int:
    """Return how far the job is: clips count for 0 to 80, joining and delivery for the rest."""
    if job.status is JobStatus.STITCHING and job.film is not None:
        return 90
    if job.status in _WITHOUT_CLIPS:
        return _WITHOUT_CLIPS[job.status]
    weight = {ClipStatus.READY: 1.0, ClipStatus.GENERATING: 0.3, ClipStatus.SUBMITTING: 0.1}
    return round(80 * sum(weight.get(clip.status, 0.0) for clip in job.shots) / len(job.shots))


def _ending_view(job: Job) -> dict[str, Any]:
    view: dict[str, Any] = {}
    if job.status is JobStatus.COMPLETED:
        view["completedAt"] = job.finished_at
    if job.failure is not None:
        view["error"] = job.failure.message
        view["failure"] = job.failure.model_dump(exclude_none=True)
    if job.status is JobStatus.FAILED:
        view["failedAt"] = job.finished_at
    if job.status is JobStatus.CANCELLED:
        view["cancelledAt"] = job.finished_at
    if job.approved_at is not None:
        view["approvedAt"] = job.approved_at
    return view


def _asked_view(job: Job) -> dict[str, Any]:
    """Return what was asked for, as far as it is not what everybody gets."""
    view: dict[str, Any] = {"metadata": job.metadata, "priority": job.priority}
    optional: dict[str, Any] = {
        "models": list(job.models),
        "resolution": job.resolution,
        "keyName": job.key_name,
        "review": job.review,
        "fields": job.fields,
        "retries": job.retries,
        "webhookUrl": job.webhook_url,
    }
    if job.wishes != FilmWishes():
        optional["wishes"] = job.wishes.model_dump(mode="json")
    if job.on_clip_failure != "fail":
        view |= {"onClipFailure": job.on_clip_failure, "minClips": job.min_clips}
    return view | {name: value for name, value in optional.items() if value}


def webhook_view(webhook: Webhook) -> dict[str, Any]:
    """Return one event and the log of telling it. Not the address: it may hold a secret of the receiver's."""
    view: dict[str, Any] = {
        "id": webhook.id,
        "event": webhook.event,
        "at": webhook.at,
        "state": webhook.state,
        "tried": webhook.tried,
        "tries": [each.model_dump(exclude_none=True) for each in webhook.tries],
    }
    if webhook.clip is not None:
        view["clip"] = webhook.clip
    return view


def _film_view(film: Film, links: MediaLinks) -> dict[str, Any]:
    view: dict[str, Any] = {"videoUrl": links.url(film.video.key, LINK_TTL_MS)}
    if film.poster is not None:
        view["posterUrl"] = links.url(film.poster.key, LINK_TTL_MS)
    view["film"] = {
        "artifact": film.video.key,
        "sizeBytes": film.video.size_bytes,
        "durationSeconds": film.video.duration_s,
        "width": film.video.width,
        "height": film.video.height,
        "frames": film.frames,
        "fps": film.fps,
        "plan": film.plan,
    }
    return view


def _clip_view(clip: Clip, links: MediaLinks) -> dict[str, Any]:
    view: dict[str, Any] = {
        "number": clip.number,
        "taskId": clip.task_id,
        "prompt": clip.prompt,
        "status": clip.status,
        "attempts": [_attempt_view(attempt) for attempt in clip.attempts],
    }
    if clip.attempt is not None:
        view["model"] = clip.attempt.model
    if clip.source is not None:
        view["source"] = clip.source
    if clip.takes:
        view["takes"] = clip.takes
    if clip.duration_s is not None:
        view["requestedDurationSeconds"] = clip.duration_s
    if clip.failure is not None:
        view["error"] = clip.failure.message
    if clip.artifact is not None:
        view["url"] = links.url(clip.artifact.key, LINK_TTL_MS)
        view["artifact"] = clip.artifact.key
        view["sizeBytes"] = clip.artifact.size_bytes
        view["durationSeconds"] = clip.artifact.duration_s
        view["width"], view["height"] = clip.artifact.width, clip.artifact.height
    return view


def _attempt_view(attempt: Attempt) -> dict[str, Any]:
    view: dict[str, Any] = {
        "number": attempt.number,
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.state,
        "startedAt": attempt.started_at,
    }
    optional = {
        "providerTaskId": attempt.task_id,
        "submittedAt": attempt.submitted_at,
        "endedAt": attempt.ended_at,
        "providerState": attempt.provider_state,
        "credits": attempt.credits,
        "error": attempt.failure.message if attempt.failure is not None else None,
        "code": attempt.failure.code if attempt.failure is not None else None,
    }
    return view | {name: value for name, value in optional.items() if value is not None}
