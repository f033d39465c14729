"""What the user's system is told: small, and enough to go on with. Pure but for the links it makes."""

from typing import Any

from pydantic_core import to_json

from shared.clock import iso
from shared.job.model import Artifact, Clip, ClipRole, Job, JobStatus
from shared.job.webhook_model import Webhook
from shared.media_links import MediaLinks

LINK_TTL_MS = 7 * 86_400_000
"""Links given away in a webhook may be looked at days later."""


def payload(job: Job, webhook: Webhook, links: MediaLinks) -> bytes:
    """Return the body of one event as JSON: `type`, `timestamp` (of the event) and `data` (the job as it stands)."""
    body = {"type": webhook.event, "timestamp": iso(webhook.at), "data": _data(job, webhook, links)}
    return to_json(body)


def _data(job: Job, webhook: Webhook, links: MediaLinks) -> dict[str, Any]:
    data: dict[str, Any] = {
        "jobId": job.id,
        "status": job.status,
        "createdAt": job.created_at,
        "updatedAt": job.updated_at,
        "clips": len(job.shots),
        "metadata": job.metadata,
    }
    if job.record_id is not None:
        data["recordId"] = job.record_id
    if job.finished_at is not None and job.status.is_final:
        data["finishedAt"] = job.finished_at
    if job.failure is not None:
        data["error"] = job.failure.message
        data["failure"] = job.failure.model_dump(exclude_none=True)
    if job.status is JobStatus.COMPLETED and job.film is not None:
        data["videoUrl"] = links.url(job.film.video.key, LINK_TTL_MS)
        if job.film.poster is not None:
            data["posterUrl"] = links.url(job.film.poster.key, LINK_TTL_MS)
        data["film"] = _media(job.film.video)
    if job.delivery is not None:
        data["attachmentId"] = job.delivery.attachment_id
    if webhook.clip is not None:
        data["clip"] = _clip(job.clip(webhook.clip), links)
    elif job.status is JobStatus.REVIEW:
        data["videos"] = [_clip(clip, links) for clip in job.clips if clip.role is ClipRole.CLIP]
    return data


def _clip(clip: Clip, links: MediaLinks) -> dict[str, Any]:
    view: dict[str, Any] = {"number": clip.number, "status": clip.status}
    if clip.artifact is not None:
        view |= {"url": links.url(clip.artifact.key, LINK_TTL_MS), **_media(clip.artifact)}
    return view


def _media(artifact: Artifact) -> dict[str, Any]:
    return {
        "sizeBytes": artifact.size_bytes,
        "durationSeconds": artifact.duration_s,
        "width": artifact.width,
        "height": artifact.height,
    }
