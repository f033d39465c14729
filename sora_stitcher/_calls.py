"""What can be asked of the API, as values without a connection. Pure, but for the keys that are drawn by lot."""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from sora_stitcher.models import Accepted, BatchItem, BatchResult, Estimate, Job, JobPage, Usage, Webhook
from sora_stitcher.wishes import Film, film_body

T = TypeVar("T")

BATCH_SIZE = 100
"""Jobs of one request; the API takes 1000, but whoever asks for so many wants an answer before the time is up."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and how its answer is read.

    Attributes:
        is_repeatable: whether asking twice does nothing twice.
        idempotency_key: what makes it so, where something does; for whoever has to repeat it by hand.
    """

    method: str
    path: str
    read: Callable[[Any], T]
    params: dict[str, str | int] = field(default_factory=dict)
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    is_repeatable: bool = False
    idempotency_key: str | None = None


def new_key() -> str:
    """Return an idempotency key that nobody has used."""
    return secrets.token_hex(16)


def create(film: Film | Mapping[str, Any], idempotency_key: str | None = None) -> Call[Accepted]:
    """Make a film."""
    return _order("/api/jobs", film_body(film), idempotency_key)


def generate_video(
    prompt1: str,
    prompt2: str,
    record_id: str | None = None,
    aspect_ratio: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Accepted]:
    """Make a film of two prompts, as the original API did."""
    body = {"prompt1": prompt1, "prompt2": prompt2, "recordId": record_id, "aspectRatio": aspect_ratio}
    return _order("/api/generate-video", _known(body), idempotency_key)


def process_record(
    record_id: str, aspect_ratio: str | None = None, *, force: bool = False, idempotency_key: str | None = None
) -> Call[Accepted]:
    """Make a film of the prompts in an Airtable record."""
    body = {"recordId": record_id, "aspectRatio": aspect_ratio, "force": True if force else None}
    return _order("/api/process-record", _known(body), idempotency_key)


def dry_run(film: Film | Mapping[str, Any]) -> Call[Estimate]:
    """Check a film and estimate it."""
    body = {**film_body(film), "dryRun": True}
    return Call("POST", "/api/jobs", lambda answer: Estimate.model_validate(answer["data"]), body=body)


def batches(
    films: Iterable[Film | Mapping[str, Any]], idempotency_key: str | None = None, size: int = BATCH_SIZE
) -> list[Call[BatchResult]]:
    """Make many films: one call for every `size` of them, whose items are numbered through."""
    key = idempotency_key or new_key()
    bodies = [film_body(film) for film in films]
    return [_batch(bodies[start : start + size], start, key) for start in range(0, len(bodies), size)]


def _batch(bodies: list[dict[str, Any]], start: int, key: str) -> Call[BatchResult]:
    def read(answer: Any) -> BatchResult:
        result = BatchResult.model_validate(answer["data"])
        items = tuple(item.model_copy(update={"index": start + item.index}) for item in result.items)
        return result.model_copy(update={"items": items})

    headers = {"Idempotency-Key": f"{key}.{start}"}
    return Call("POST", "/api/jobs:batch", read, body=bodies, headers=headers, is_repeatable=True, idempotency_key=key)


def merged(results: Iterable[BatchResult]) -> BatchResult:
    """Return the results of several calls as one."""
    items: list[BatchItem] = [item for result in results for item in result.items]
    refused = sum(item.error is not None for item in items)
    return BatchResult(accepted=len(items) - refused, refused=refused, items=tuple(items))


def get_job(job_id: str) -> Call[Job]:
    """Ask how a job stands."""
    return Call("GET", _job_path(job_id), _job)


def list_jobs(status: str | None = None, limit: int = 50, cursor: str | None = None) -> Call[JobPage]:
    """List jobs, newest first."""
    params = _known({"status": status, "limit": limit, "cursor": cursor})
    return Call("GET", "/api/jobs", JobPage.model_validate, params=params)


def follow(job_id: str, last_event_id: str | None = None) -> Call[None]:
    """Follow a job's events, from the beginning or after one that was seen."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    return Call("GET", f"{_job_path(job_id)}/events", lambda _answer: None, headers=headers)


def control(job_id: str, verb: str) -> Call[Job]:
    """Cancel, retry or approve a job."""
    return Call("POST", f"{_job_path(job_id)}/{verb}", _job, is_repeatable=True)


def regenerate(job_id: str, number: int, prompt: str | None = None, idempotency_key: str | None = None) -> Call[Job]:
    """Have a clip made anew."""
    key = idempotency_key or new_key()
    return Call(
        "POST",
        f"{_job_path(job_id)}/clips/{number}/regenerate",
        _job,
        body=_known({"prompt": prompt}),
        headers={"Idempotency-Key": key},
        is_repeatable=True,
        idempotency_key=key,
    )


def replay_webhook(job_id: str, webhook_id: str) -> Call[Webhook]:
    """Tell the user's system an event again."""
    path = f"{_job_path(job_id)}/webhooks/{quote(webhook_id, safe='', errors='replace')}/replay"
    return Call("POST", path, lambda answer: Webhook.model_validate(answer["data"]), is_repeatable=True)


def usage(days: int = 30, key: str | None = None) -> Call[Usage]:
    """Ask what was used of the provider."""
    params = _known({"days": days, "key": key})
    return Call("GET", "/api/usage", lambda answer: Usage.model_validate(answer["data"]), params=params)


def _order(path: str, body: dict[str, Any], idempotency_key: str | None) -> Call[Accepted]:
    key = idempotency_key or new_key()
    return Call(
        "POST",
        path,
        lambda answer: Accepted.model_validate(answer["data"]),
        body=body,
        headers={"Idempotency-Key": key},
        is_repeatable=True,
        idempotency_key=key,
    )


def _job_path(job_id: str) -> str:
    return f"/api/job/{quote(job_id, safe='', errors='replace')}"


def _job(answer: Any) -> Job:
    return Job.model_validate(answer["data"])


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
