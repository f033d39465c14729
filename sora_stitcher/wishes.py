"""What is asked for, as values: the full form of `POST /api/jobs`. Imports nothing heavy.

Every field but the clips may be left out; the installation's own choice then holds. Values are checked by the
gateway, which names the field that it refuses: so a client of this version can ask for what a newer gateway knows.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

AspectRatio = Literal["landscape", "portrait", "square", "16:9", "9:16", "1:1"]
Resolution = Literal["480p", "720p", "1080p", "1440p", "2160p"]
Fit = Literal["contain", "contain-blur", "cover"]
Codec = Literal["h264", "hevc", "av1"]
Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right"]
Priority = Literal["low", "normal", "high"]
ClipFailure = Literal["fail", "skip", "retry"]
WebhookEvent = Literal["job.completed", "job.failed", "job.cancelled", "job.review", "video.ready"]


@dataclass(frozen=True, slots=True)
class ClipWish:
    """What is asked for one clip: made of a `prompt`, or an existing film by `url` or `artifact`.

    Attributes:
        prompt: what it should show.
        duration_seconds: wanted length; the nearest the model can make is ordered.
        model: the only model to order it from; None takes the film's.
        aspect_ratio: its shape; None takes the film's.
        seed: for models that know seeds.
        url: an existing film instead of a prompt: an intro, an outro, anything between.
        artifact: the same, of a clip or film of another job that is still kept: `jobs/<jobId>/<name>`.
    """

    prompt: str | None = None
    duration_seconds: int | None = None
    model: str | None = None
    aspect_ratio: AspectRatio | str | None = None
    seed: int | None = None
    url: str | None = None
    artifact: str | None = None


@dataclass(frozen=True, slots=True)
class TransitionWish:
    """How one clip becomes the next: the name of an xfade kind, or `none` for a hard cut."""

    type: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SoundtrackWish:
    """Music under the whole film, by `url` or `artifact`; repeated if it is shorter.

    Attributes:
        volume: a factor; 1 leaves the music as it is.
        duck: how far it goes down under the clips' own sound, in dB.
        fade: in at the start and out at the end, in seconds.
    """

    url: str | None = None
    artifact: str | None = None
    volume: float | None = None
    duck: float | None = None
    fade: float | None = None


@dataclass(frozen=True, slots=True)
class AudioWish:
    """How the film is to sound.

    Attributes:
        crossfade: sound crosses where the pictures do; False is for films without transitions.
        exact: place the sound to the sample, which encodes all of it anew.
        loudness: integrated loudness in LUFS; None leaves it alone.
        soundtrack: music.
    """

    crossfade: bool | None = None
    exact: bool | None = None
    loudness: float | None = None
    soundtrack: SoundtrackWish | None = None


@dataclass(frozen=True, slots=True)
class OverlayWish:
    """A picture over every frame, by `url` or `artifact`: a logo, a watermark. `opacity` is above 0 and up to 1."""

    url: str | None = None
    artifact: str | None = None
    position: Corner | str | None = None
    opacity: float | None = None


@dataclass(frozen=True, slots=True)
class FilmWish:
    """What is asked for a film.

    Attributes:
        clips: prompts, or more detailed wishes, in the order of the film.
        model: the only model to order from.
        models: or several, in order of preference.
        resolution: of the film; models are asked for it.
        fps: frames per second; None takes those of most clips.
        fit: how a clip of another shape is placed: with bars, over a blurred copy, or cropped.
        codec: what the pictures are coded in; only `h264` plays everywhere.
        transition: of every joint: an xfade kind, `none`, or with its length.
        transitions: one for every joint, instead of `transition`.
        poster_at_seconds: where the poster is taken from.
        record_id: the Airtable record that gets the film.
        fields: other fields of the record to write when the film stands in it.
        metadata: yours; given back everywhere.
        webhook_url: told when the job ends.
        webhook_events: what is told beside that.
        on_clip_failure: a clip that cannot be made fails the job, is left out, or is begun anew once.
        min_clips: with `skip`: no film of fewer.
        review: wait for approval before the clips are joined.
    """

    clips: Sequence[str | ClipWish]
    model: str | None = None
    models: Sequence[str] | None = None
    aspect_ratio: AspectRatio | str | None = None
    resolution: Resolution | str | None = None
    fps: float | None = None
    fit: Fit | str | None = None
    codec: Codec | str | None = None
    transition: str | TransitionWish | None = None
    transitions: Sequence[str | TransitionWish] | None = None
    audio: AudioWish | None = None
    overlay: OverlayWish | None = None
    poster_at_seconds: float | None = None
    record_id: str | None = None
    fields: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    webhook_url: str | None = None
    webhook_events: Sequence[WebhookEvent | str] | None = None
    on_clip_failure: ClipFailure | str | None = None
    min_clips: int | None = None
    review: bool | None = None
    priority: Priority | str | None = None


_ARTIFACT = re.compile(r"jobs/[^/]+/[^/]+")

Film = FilmWish | Sequence[str | ClipWish]
"""What a film can be ordered by: the full form, or just its clips."""


def existing_film(text: str) -> ClipWish | None:
    """Return the wish for an existing film, if a text is the http(s) address of one or a job's artifact."""
    if any(character.isspace() for character in text):
        return None
    if text.startswith(("http://", "https://")):
        return ClipWish(url=text)
    return ClipWish(artifact=text) if _ARTIFACT.fullmatch(text) else None


def film_body(film: Film | Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON body that asks for a film; a mapping is taken to be one already."""
    if isinstance(film, Mapping):
        return dict(film)
    wish = film if isinstance(film, FilmWish) else FilmWish(film)
    body = _on_the_wire(wish)
    body["clips"] = [{"prompt": clip} if isinstance(clip, str) else _on_the_wire(clip) for clip in wish.clips]
    return body


def _on_the_wire(wish: Any) -> dict[str, Any]:
    values = {_camel(field.name): _value(getattr(wish, field.name)) for field in fields(wish)}
    return {name: value for name, value in values.items() if value is not None}


def _value(value: Any) -> Any:
    if is_dataclass(value):
        return _on_the_wire(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_value(each) for each in value]
    return dict(value) if isinstance(value, Mapping) else value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
