"""The job document in the words of the HTTP API. Pure but for the links it makes."""

from typing import Any

from shared.job.model import Attempt, Clip, ClipStatus, Film, Job, JobStatus
from shared.media_links import MediaLinks

LINK_TTL_MS = 86_400_000

_WITHOUT_CLIPS = {
    JobStatus.PROCESSING: 80,
    JobStatus.STITCHING: 85,
    JobStatus.UPLOADING: 95,
    JobStatus.COMPLETED: 100,
}


def accepted_view(job: Job, base_url: str) -> dict[str, Any]:
    """Return the `data` of a 202 answer."""
    tasks = {f"taskId{clip.number}": clip.task_id for clip in job.clips}
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
    for clip in job.clips:
        settled = clip.status in (ClipStatus.READY, ClipStatus.FAILED)
        view[f"video{clip.number}Status"] = clip.status if settled else ClipStatus.PENDING
        if clip.artifact is not None:
            view[f"video{clip.number}Url"] = links.url(clip.artifact.key, LINK_TTL_MS)
    if job.status is JobStatus.COMPLETED:
        view["completedAt"] = job.finished_at
    if job.failure is not None:
        view["error"] = job.failure.message
        view["failure"] = job.failure.model_dump(exclude_none=True)
    if job.status is JobStatus.FAILED:
        view["failedAt"] = job.finished_at
    if job.film is not None:
        view |= _film_view(job.film, links)
    if job.delivery is not None:
        view["attachmentId"] = job.delivery.attachment_id
    view["clips"] = [_clip_view(clip, links) for clip in job.clips]
    view["timeline"] = [entry.model_dump(exclude_none=True) for entry in job.timeline]
    return view


def job_summary(job: Job) -> dict[str, Any]:
    """Return the job as a list shows it."""
    summary: dict[str, Any] = {
        "jobId": job.id,
        "status": job.status,
        "createdAt": job.created_at,
        "updatedAt": job.updated_at,
        "progress": progress_percent(job),
        "title": job.clips[0].prompt[:120],
        "clips": len(job.clips),
        "clipsReady": sum(clip.status is ClipStatus.READY for clip in job.clips),
    }
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
    return round(80 * sum(weight.get(clip.status, 0.0) for clip in job.clips) / len(job.clips))


def _film_view(film: Film, links: MediaLinks) -> dict[str, Any]:
    view: dict[str, Any] = {"videoUrl": links.url(film.video.key, LINK_TTL_MS)}
    if film.poster is not None:
        view["posterUrl"] = links.url(film.poster.key, LINK_TTL_MS)
    view["film"] = {
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
    if clip.duration_s is not None:
        view["requestedDurationSeconds"] = clip.duration_s
    if clip.failure is not None:
        view["error"] = clip.failure.message
    if clip.artifact is not None:
        view["url"] = links.url(clip.artifact.key, LINK_TTL_MS)
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
