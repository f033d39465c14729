"""What may be posted, as models: their errors name the field, and their examples fill the OpenAPI pages."""

from typing import Annotated, Literal

from pydantic import Field

from services.gateway.fields import (
    MAX_PROMPT_CHARS,
    ArtifactKey,
    Aspect,
    Body,
    Data,
    FailurePolicyName,
    Model,
    PriorityName,
    Prompt,
    RecordId,
    Resolution,
    Seed,
    Transition,
    Url,
    WebhookEvent,
    usable_prompt,
)
from shared.job.wishes import Codec, Corner, Fit

__all__ = [
    "MAX_PROMPT_CHARS",
    "AudioBody",
    "ClipBody",
    "CreateJob",
    "GenerateVideo",
    "OverlayBody",
    "ProcessRecord",
    "Regenerate",
    "SoundtrackBody",
    "usable_prompt",
]

MOST_CLIPS = 1000
MOST_MODELS = 10


class GenerateVideo(Body):
    """Two prompts, one film. Without `aspectRatio` it is landscape."""

    prompt1: Prompt
    prompt2: Prompt
    record_id: RecordId | None = None
    aspect_ratio: Aspect | None = None


class ProcessRecord(Body):
    """An Airtable record whose `Prompt 1` … `Prompt N` fields hold the prompts."""

    record_id: RecordId
    aspect_ratio: Aspect | None = None
    force: Annotated[
        bool, Field(description="Make another film although one is being made for this record.", examples=[False])
    ] = False


class Regenerate(Body):
    """What the clip is to show instead."""

    prompt: Prompt | None = None


class ClipBody(Body):
    """One clip of the film: made of a `prompt`, or an existing film by `url` or `artifact`."""

    prompt: Prompt | None = None
    url: Annotated[Url, Field(description="An existing film.", examples=["https://example.com/intro.mp4"])] | None = (
        None
    )
    artifact: (
        Annotated[
            ArtifactKey,
            Field(
                description="A clip or film of another job that is still kept.",
                examples=["jobs/job_1704067200000_0123456789abcdef/clip-1.mp4"],
            ),
        ]
        | None
    ) = None
    duration_seconds: (
        Annotated[
            int,
            Field(ge=1, le=60, examples=[10], description="The nearest length that the model can make is ordered."),
        ]
        | None
    ) = None
    model: Annotated[Model, Field(description="The only model to order this clip from.")] | None = None
    aspect_ratio: Aspect | None = None
    seed: Seed | None = None


class SoundtrackBody(Body):
    """Music under the whole film, repeated if it is shorter."""

    url: Annotated[Url, Field(examples=["https://example.com/music.mp3"])] | None = None
    artifact: ArtifactKey | None = None
    volume: Annotated[float, Field(ge=0, le=4, examples=[0.25], description="1 leaves the music as it is.")] = 0.25
    duck: Annotated[
        float, Field(ge=0, le=40, examples=[12], description="How far it goes down under the clips' sound, in dB.")
    ] = 0.0
    fade: Annotated[float, Field(ge=0, le=30, examples=[1], description="In and out, in seconds.")] = 1.0


class AudioBody(Body):
    """How the film is to sound."""

    crossfade: (
        Annotated[
            bool,
            Field(
                description="Sound crosses where the pictures do: needs a transition. `false` is for films without.",
                examples=[True],
            ),
        ]
        | None
    ) = None
    exact: Annotated[
        bool, Field(description="Place the sound to the sample, which encodes all of it anew.", examples=[False])
    ] = False
    loudness: (
        Annotated[
            float,
            Field(ge=-70, le=-5, examples=[-14], description="Integrated loudness in LUFS; without, it is left alone."),
        ]
        | None
    ) = None
    soundtrack: SoundtrackBody | None = None


class OverlayBody(Body):
    """A picture over every frame: a logo, a watermark."""

    url: Annotated[Url, Field(examples=["https://example.com/logo.png"])] | None = None
    artifact: ArtifactKey | None = None
    position: Annotated[Corner, Field(examples=["bottom-right"])] = "bottom-right"
    opacity: Annotated[float, Field(gt=0, le=1, examples=[0.85])] = 0.85


class CreateJob(Body):
    """The full form: one clip or many. Without `aspectRatio` it is landscape."""

    clips: Annotated[list[ClipBody], Field(min_length=1, max_length=MOST_CLIPS)]
    model: Annotated[Model, Field(description="The only model to order from.")] | None = None
    models: (
        Annotated[
            list[Model],
            Field(min_length=1, max_length=MOST_MODELS, description="Models in order of preference."),
        ]
        | None
    ) = None
    aspect_ratio: Aspect | None = None
    resolution: (
        Annotated[Resolution, Field(examples=["1080p"], description="Of the film; models are asked for it.")] | None
    ) = None
    fps: (
        Annotated[
            float, Field(ge=1, le=120, examples=[30], description="Frames per second; without, those of most clips.")
        ]
        | None
    ) = None
    fit: Annotated[
        Fit,
        Field(
            examples=["contain-blur"],
            description="How a clip of another shape is placed: with bars, over a blurred copy, or cropped.",
        ),
    ] = "contain"
    codec: Annotated[
        Codec,
        Field(
            examples=["h264"],
            description="What the pictures are coded in. Only `h264` plays everywhere; clips of another codec than the "
            "film's are encoded.",
        ),
    ] = "h264"
    transition: Transition | None = None
    transitions: (
        Annotated[
            list[Transition],
            Field(
                max_length=MOST_CLIPS,
                examples=[["fade", "none"]],
                description="One for every joint, instead of `transition`.",
            ),
        ]
        | None
    ) = None
    audio: AudioBody | None = None
    overlay: OverlayBody | None = None
    poster_at_seconds: Annotated[
        float, Field(ge=0, le=36_000, examples=[1.5], description="Where the poster is taken from.")
    ] = 0.0
    record_id: RecordId | None = None
    fields: (
        Annotated[
            Data,
            Field(
                examples=[{"Reviewed": False}],
                description="Other fields of the record to write when the film stands in it: any but `Video`, `Status` "
                "and `Error`.",
            ),
        ]
        | None
    ) = None
    metadata: (
        Annotated[Data, Field(examples=[{"campaign": "spring"}], description="Yours; given back everywhere.")] | None
    ) = None
    webhook_url: (
        Annotated[Url, Field(examples=["https://example.com/hooks/films"], description="Told when the job ends.")]
        | None
    ) = None
    webhook_events: (
        Annotated[
            list[WebhookEvent],
            Field(max_length=5, examples=[["video.ready"]], description="What is told beside the end of the job."),
        ]
        | None
    ) = None
    on_clip_failure: Annotated[
        FailurePolicyName,
        Field(
            examples=["skip"],
            description="A clip that cannot be made fails the job, is left out, or is begun anew once unless billed.",
        ),
    ] = "fail"
    min_clips: (
        Annotated[int, Field(ge=1, le=MOST_CLIPS, examples=[2], description="With `skip`: no film of fewer.")] | None
    ) = None
    review: Annotated[bool, Field(description="Wait for approval before the clips are joined.", examples=[False])] = (
        False
    )
    priority: Annotated[PriorityName, Field(examples=["normal"])] = "normal"
    dry_run: Annotated[
        Literal[True, False], Field(description="Check and estimate only; spends and stores nothing.", examples=[False])
    ] = False
