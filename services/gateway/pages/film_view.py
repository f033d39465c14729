"""One film as its page shows it. Pure but for the links."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.gateway.pages.films_view import Row, row_of
from services.gateway.pages.plan_view import PlanView, plan_view
from services.gateway.pages.site import Site
from services.gateway.pages.words import CLIP_TONES, CLIP_WORDS, WEBHOOK_TONES, WEBHOOK_WORDS
from shared.errors import Refused
from shared.job.control import approve, cancel, regenerate, retry
from shared.job.model import AttemptState, Clip, ClipRole, Film, Job, TimelineEntry
from shared.job.webhook_model import Webhook
from shared.job.wishes import Joint
from shared.tokens import MediaToken, Signer

HOUR_MS = 3_600_000
LINK_HOURS = 25
MOST_CHARS = 200
MOST_DATA = 10
"""Shown of the caller's own data: so many of its names, with so many characters of each value."""
MOST_ENTRIES = 200
"""Of the timeline; all of them are in the raw JSON."""
Links = Callable[[str], str]


def links_of(signer: Signer, now: int) -> Links:
    """Return what makes links to media: the same for an hour, so that a page which is drawn anew loads nothing anew."""
    expires_at = (now // HOUR_MS + LINK_HOURS) * HOUR_MS

    def link(key: str) -> str:
        return f"/media/{signer.media_token(MediaToken(key, expires_at))}/{key.rpartition('/')[2]}"

    return link


@dataclass(frozen=True, slots=True)
class ClipCard:
    """One clip.

    Attributes:
        version: of its film: changes with every take.
    """

    number: int
    role: str
    prompt: str
    source: str
    status: str
    word: str
    tone: str
    error: str
    model: str
    attempt: int
    attempts: Sequence[str]
    provider_task_id: str
    provider_state: str
    takes: int
    url: str
    version: str
    length_s: float | None
    size_bytes: int | None
    pixels: str
    can_be_remade: bool


@dataclass(frozen=True, slots=True)
class FilmCard:
    """The joined film."""

    url: str
    has_poster: bool
    size_bytes: int
    length_s: float | None
    pixels: str
    fps: str
    frames: int | None
    plan: PlanView | None


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """One event for the user's system."""

    id: str
    event: str
    at: int
    word: str
    tone: str
    tried: int
    last: str
    next_at: int | None


@dataclass(frozen=True, slots=True)
class FilmPage:
    """All of a film's page."""

    row: Row
    job_id: str
    version: int
    is_final: bool
    is_telling: bool
    """A webhook is on its way: it goes on after the job's end."""
    aspect: str
    asked: Sequence[tuple[str, str]]
    clips: Sequence[ClipCard]
    extras: Sequence[ClipCard]
    film: FilmCard | None
    timeline: Sequence[TimelineEntry]
    left_out: int
    webhooks: Sequence[WebhookRow]
    can_cancel: bool
    can_retry: bool
    can_approve: bool
    is_retryable: bool
    delivered_to: str


def film_page(job: Job, site: Site, links: Links, now: int) -> FilmPage:
    """Return the page of a job."""
    entries = job.timeline[-MOST_ENTRIES:]
    cards = [_clip_card(job, clip, links, now) for clip in job.clips]
    return FilmPage(
        row=row_of(job, site, now),
        job_id=job.id,
        version=job.version,
        is_final=job.status.is_final,
        is_telling=any(webhook.is_pending for webhook in job.webhooks),
        aspect=job.aspect_ratio,
        asked=_asked(job),
        clips=[card for card in cards if card.role == ClipRole.CLIP],
        extras=[card for card in cards if card.role != ClipRole.CLIP],
        film=_film_card(job.film, links) if job.film is not None else None,
        timeline=tuple(reversed(entries)),
        left_out=len(job.timeline) - len(entries),
        webhooks=[_webhook_row(webhook) for webhook in reversed(job.webhooks)],
        can_cancel=_changes(job, lambda each: cancel(each, now=now)),
        can_retry=_changes(job, lambda each: retry(each, now=now)),
        can_approve=_changes(job, lambda each: approve(each, now=now)),
        is_retryable=job.failure is not None and job.failure.retryable,
        delivered_to=job.delivery.filename if job.delivery is not None else "",
    )


def _changes(job: Job, transition: Callable[[Job], Job]) -> bool:
    """Whether the state machine would let a person do this now: the buttons ask the very code that decides."""
    try:
        return transition(job) is not job
    except Refused:
        return False


def _clip_card(job: Job, clip: Clip, links: Links, now: int) -> ClipCard:
    attempt, artifact = clip.attempt, clip.artifact
    return ClipCard(
        number=clip.number,
        role=clip.role,
        prompt=clip.prompt,
        source=clip.source or "",
        status=clip.status,
        word=CLIP_WORDS[clip.status],
        tone=CLIP_TONES.get(clip.status, "busy"),
        error=clip.failure.message if clip.failure is not None else "",
        model=attempt.model if attempt is not None else clip.model or "",
        attempt=attempt.number if attempt is not None else 0,
        attempts=[
            f"{each.number}: {each.model}, {_outcome(each.state)}"
            + (f" ({each.failure.message})" if each.failure is not None else "")
            for each in clip.attempts
        ],
        provider_task_id=(attempt.task_id or "") if attempt is not None else "",
        provider_state=(attempt.provider_state or "") if attempt is not None else "",
        takes=clip.takes,
        url=links(artifact.key) if artifact is not None else "",
        version=f"{clip.number}-{clip.takes}-{attempt.number if attempt is not None else 0}",
        length_s=artifact.duration_s if artifact is not None else None,
        size_bytes=artifact.size_bytes if artifact is not None else None,
        pixels=_pixels(artifact.width, artifact.height) if artifact is not None else "",
        can_be_remade=clip.source is None
        and clip.role is ClipRole.CLIP
        and _changes(job, lambda each: regenerate(each, clip.number, now=now)),
    )


def _outcome(state: AttemptState) -> str:
    return {
        AttemptState.SUBMITTING: "being ordered",
        AttemptState.AMBIGUOUS: "nobody knows whether the order was taken",
        AttemptState.GENERATING: "being made",
        AttemptState.SUCCEEDED: "made",
        AttemptState.FAILED: "failed",
        AttemptState.REFUSED: "refused",
    }[state]


def _film_card(film: Film, links: Links) -> FilmCard:
    return FilmCard(
        url=links(film.video.key),
        has_poster=film.poster is not None,
        size_bytes=film.video.size_bytes,
        length_s=film.video.duration_s,
        pixels=_pixels(film.video.width, film.video.height),
        fps=_rate(film.fps),
        frames=film.frames,
        plan=plan_view(film.plan),
    )


def _pixels(width: int | None, height: int | None) -> str:
    return f"{width} \u00d7 {height}" if width and height else ""


def _rate(fps: str | None) -> str:
    over, _, under = (fps or "").partition("/")
    try:
        return f"{float(over) / float(under or 1):.2f}".rstrip("0").rstrip(".")
    except (ValueError, ZeroDivisionError):
        return ""


def _webhook_row(webhook: Webhook) -> WebhookRow:
    last = webhook.tries[-1] if webhook.tries else None
    answer = ""
    if last is not None:
        answer = last.problem or (f"answered {last.status}" if last.status is not None else "")
    return WebhookRow(
        id=webhook.id,
        event=webhook.event + (f", clip {webhook.clip}" if webhook.clip is not None else ""),
        at=webhook.at,
        word=WEBHOOK_WORDS[webhook.state],
        tone=WEBHOOK_TONES[webhook.state],
        tried=webhook.tried,
        last=answer,
        next_at=webhook.not_before if webhook.is_pending and webhook.tried else None,
    )


def _asked(job: Job) -> list[tuple[str, str]]:
    """Return what was asked for beside the prompts, as far as it is not what everybody gets."""
    wishes = job.wishes
    found: dict[str, Any] = {
        "Shape": job.aspect_ratio.value,
        "Models": ", ".join(job.models),
        "Transitions" if wishes.joints else "Transition": "; ".join(map(_joint, wishes.joints or (wishes.transition,))),
        "Size": _pixels(*wishes.size) if wishes.size is not None else "",
        "Frames per second": _rate(wishes.fps),
        "Clips of another shape": wishes.fit if wishes.fit != "contain" else "",
        "Coded in": wishes.codec if wishes.codec != "h264" else "",
        "Sound": "placed to the sample" if wishes.exact_audio else "",
        "Music": "yes" if wishes.soundtrack is not None else "",
        "Logo": wishes.overlay.position if wishes.overlay is not None else "",
        "Loudness": f"{wishes.loudness_lufs:g} LUFS" if wishes.loudness_lufs is not None else "",
        "If a clip fails": job.on_clip_failure.value if job.on_clip_failure != "fail" else "",
        "Fewest clips": str(job.min_clips) if job.min_clips > 1 else "",
        "Priority": job.priority.value if job.priority != "normal" else "",
        "Review": "before joining" if job.review else "",
        "Made with key": job.key_name or "",
        "Retries": str(job.retries) if job.retries else "",
        "Fields of the record": ", ".join(job.fields),
        **{f"Data: {name}": _shown(value) for name, value in list(job.metadata.items())[:MOST_DATA]},
        "More data": f"and {len(job.metadata) - MOST_DATA} more" if len(job.metadata) > MOST_DATA else "",
    }
    return [(name, value) for name, value in found.items() if value]


def _shown(value: object) -> str:
    """Return what the caller gave as JSON has it; a text without its quotes."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_CHARS else f"{text[: MOST_CHARS - 1]}…"


def _joint(joint: Joint) -> str:
    return f"{joint.kind}, {joint.seconds:g} s" if joint.kind != "none" else "hard cut"


__all__ = ["FilmPage", "film_page", "links_of"]
