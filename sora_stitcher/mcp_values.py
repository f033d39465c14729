"""What the MCP tools take and give, as models: their schemas are what an agent reads."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sora_stitcher.models import CreditRange, Estimate, Job, JobPage
from sora_stitcher.wishes import AudioWish, ClipWish, FilmWish, OverlayWish, SoundtrackWish, existing_film

_OF_RECORDS = {"prompts", "record_id", "aspect_ratio"}


class FilmOrder(BaseModel):
    """What a film is to be."""

    model_config = ConfigDict(extra="forbid")

    prompts: list[str] = Field(
        default_factory=list,
        description="What each clip should show (and sound like), in the order of the film: one clip of a few seconds "
        "for each. An http(s) address among them is an existing film, taken as it is.",
        examples=[["A red boat at dawn, calm sea", "The same boat comes home in the rain"]],
    )
    record_id: str | None = Field(default=None, description="Airtable record that gets the film: rec…")
    aspect_ratio: Literal["landscape", "portrait", "square"] | None = Field(
        default=None, description="Landscape if not given."
    )
    duration_seconds: int | None = Field(
        default=None, ge=1, le=60, description="Of every clip; the nearest the model can make is taken."
    )
    model: str | None = Field(default=None, description="The provider's model; the installation's choice if not given.")
    resolution: Literal["480p", "720p", "1080p", "1440p", "2160p"] | None = None
    transition: str | None = Field(
        default=None, description="Between clips: none (hard cut), fade, dissolve, wipeleft, or another xfade kind."
    )
    intro_url: str | None = Field(default=None, description="An existing film before the clips.")
    outro_url: str | None = Field(default=None, description="An existing film after the clips.")
    music_url: str | None = Field(default=None, description="Music under the whole film.")
    logo_url: str | None = Field(default=None, description="A picture over the whole film.")
    on_clip_failure: Literal["fail", "skip", "retry"] | None = Field(
        default=None, description="A clip that cannot be made fails the film, is left out, or is begun anew once."
    )
    review: bool = Field(default=False, description="Wait for approve_film before the clips are joined.")
    metadata: dict[str, Any] | None = Field(default=None, description="Yours; given back with the film.")
    webhook_url: str | None = Field(default=None, description="Told when the film is ready or failed.")

    def wish(self) -> FilmWish:
        """Return it as the client takes it."""
        clips = [existing_film(prompt) or ClipWish(prompt, self.duration_seconds) for prompt in self.prompts]
        before = [ClipWish(url=self.intro_url)] if self.intro_url is not None else []
        after = [ClipWish(url=self.outro_url)] if self.outro_url is not None else []
        return FilmWish(
            clips=[*before, *clips, *after],
            model=self.model,
            aspect_ratio=self.aspect_ratio,
            resolution=self.resolution,
            transition=self.transition,
            audio=AudioWish(soundtrack=SoundtrackWish(url=self.music_url)) if self.music_url is not None else None,
            overlay=OverlayWish(url=self.logo_url) if self.logo_url is not None else None,
            record_id=self.record_id,
            metadata=self.metadata,
            webhook_url=self.webhook_url,
            on_clip_failure=self.on_clip_failure,
            review=self.review or None,
        )

    def beside_a_record(self) -> list[str]:
        """Return what is asked for that a film of a record's own prompts cannot have."""
        given = self.model_dump(exclude_defaults=True)
        return [name for name in given if name not in _OF_RECORDS]


class FilmEstimate(BaseModel):
    """What a film would come to. Nothing was spent."""

    clips: int
    seconds: float = Field(description="Of film to be made; existing films come on top.")
    credits: CreditRange = Field(description="What it would cost: by the cheapest and by the dearest model.")
    estimated_seconds: float = Field(description="Until the film stands.")
    models: list[str]
    warnings: list[str]

    @classmethod
    def of(cls, estimate: Estimate) -> "FilmEstimate":
        """Return the API's estimate in an agent's words."""
        return cls(
            clips=estimate.clips,
            seconds=estimate.seconds,
            credits=estimate.credits,
            estimated_seconds=estimate.estimated_seconds,
            models=list(estimate.models),
            warnings=list(estimate.warnings),
        )


class FilmTaken(BaseModel):
    """A film that was ordered."""

    job_id: str
    next: str = Field(description="What to do next.")


class ClipStatus(BaseModel):
    """How one clip stands."""

    number: int
    status: str
    prompt: str
    model: str | None = None
    url: str | None = Field(default=None, description="Where it can be looked at, for a day.")
    error: str | None = None


class FilmStatus(BaseModel):
    """How a film stands."""

    job_id: str
    status: str
    progress: float = Field(description="0 to 100.")
    next: str = Field(description="What can be done next.")
    clips: list[ClipStatus]
    film_url: str | None = Field(default=None, description="The finished film, for a day.")
    film_seconds: float | None = None
    record_id: str | None = None
    attachment_id: str | None = Field(default=None, description="The film in the Airtable record.")
    error: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class FilmInList(BaseModel):
    """A film as a list shows it."""

    job_id: str
    status: str
    progress: float
    title: str
    clips: int
    created_at_ms: int
    error: str | None = None


class FilmList(BaseModel):
    """Films, newest first; `next_cursor` leads to the next page."""

    films: list[FilmInList]
    next_cursor: str | None = None


def status_of(job: Job) -> FilmStatus:
    """Return how a job stands in an agent's words."""
    return FilmStatus(
        job_id=job.job_id,
        status=job.status,
        progress=job.progress,
        next=_next_of(job),
        clips=[
            ClipStatus(
                number=clip.number,
                status=clip.status,
                prompt=clip.prompt or clip.source or "",
                model=clip.model,
                url=clip.url,
                error=clip.error,
            )
            for clip in job.clips
        ],
        film_url=job.video_url,
        film_seconds=job.film.duration_seconds if job.film is not None else None,
        record_id=job.record_id,
        attachment_id=job.attachment_id,
        error=job.error,
        metadata=job.metadata,
    )


def listed(page: JobPage) -> FilmList:
    """Return a page of jobs in an agent's words."""
    films = [
        FilmInList(
            job_id=job.job_id,
            status=job.status,
            progress=job.progress,
            title=job.title,
            clips=job.clips,
            created_at_ms=job.created_at,
            error=job.error,
        )
        for job in page.jobs
    ]
    return FilmList(films=films, next_cursor=page.next_cursor)


def _next_of(job: Job) -> str:
    match job.status:
        case "completed":
            return "Nothing: the film is at film_url"
        case "failed":
            bad = next((clip.number for clip in job.clips if clip.status == "failed"), None)
            mend = f"; or regenerate_clip with clip={bad} and another prompt" if bad is not None else ""
            return f"retry_film goes on with what is missing{mend}"
        case "cancelled":
            return "Nothing: it was cancelled; create_film orders a new one"
        case "review":
            return "Look at clips[].url; then approve_film, or regenerate_clip for one that is not good"
        case _:
            return "film_status with wait_seconds, or cancel_film"
