"""A joined film in the job document's words, and in numbers for the metrics."""

from typing import Any

from shared import metrics, tracing
from shared.film import Film as JoinedFilm
from shared.job.files import film_key, poster_key
from shared.job.model import Artifact, Film, Job

LINES_LIMIT = 300


def described(job: Job, joined: JoinedFilm) -> Film:
    """Return the document's words for a joined film."""
    video = Artifact(
        key=film_key(job),
        size_bytes=joined.bytes,
        duration_s=round(joined.duration_s, 3),
        width=joined.width,
        height=joined.height,
    )
    poster = None
    if joined.poster is not None:
        poster = Artifact(key=poster_key(job), size_bytes=joined.poster.stat().st_size)
    return Film(video=video, poster=poster, frames=joined.frames, fps=str(joined.fps), plan=plan_of(joined))


def plan_of(joined: JoinedFilm) -> dict[str, Any]:
    """Return how the film was joined, for programs and in words; both are bounded."""
    return joined.plan.summary() | {
        "explained": joined.plan.explain()[:LINES_LIMIT],
        "fallbacks": [f"{given_up.step}: {given_up.reason}" for given_up in joined.fallbacks][:LINES_LIMIT],
    }


def count(joined: JoinedFilm, seconds: float) -> None:
    """Count the film in the metrics."""
    actions = {segment.action for segment in joined.plan.segments}
    strategy = "copy" if actions == {"copy"} else "mixed" if "copy" in actions else "encode"
    metrics.STITCHES.labels(strategy).inc()
    metrics.STITCH_DURATION.labels(strategy).observe(seconds, tracing.exemplar())
    metrics.STITCH_FALLBACKS.inc(len(joined.fallbacks))
    metrics.FILM_BYTES.inc(joined.bytes)
    metrics.FILM_SECONDS.inc(joined.duration_s)
