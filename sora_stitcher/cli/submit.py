"""`submit`: orders a film, or many."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sora_stitcher.cli.errors import usage
from sora_stitcher.cli.options import IdempotencyOption, JsonOption, OutputOption, WatchOption
from sora_stitcher.cli.output import OK_MARK, WARNING_MARK, console, print_json, printable, program, wrapped
from sora_stitcher.cli.target import KeyOption, UrlOption, open_client

if TYPE_CHECKING:
    from sora_stitcher.client import Client
    from sora_stitcher.models import Accepted, Estimate
    from sora_stitcher.wishes import AudioWish, FilmWish, OverlayWish


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    app.command("submit")(submit)


def submit(
    prompts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROMPT",
            help="What each clip should show, in the order of the film. An http(s) address, or another job's "
            "artifact, is an existing film.",
        ),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(metavar="REC", help="Airtable record that gets the film. Without prompts, those in it are used."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Of a record's prompts: though a film is being made for it already.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            allow_dash=True,
            help="Order a film for every line of a JSON Lines file (or item of a JSON array), each in the form of "
            "POST /api/jobs; - is standard input.",
        ),
    ] = None,
    clip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N:NAME=VALUE,…", help="Of clip N alone: duration=S, model=MODEL, aspect=SHAPE, seed=NUMBER."
        ),
    ] = None,
    intro: Annotated[str | None, typer.Option(metavar="URL", help="An existing film before the clips.")] = None,
    outro: Annotated[str | None, typer.Option(metavar="URL", help="An existing film after the clips.")] = None,
    duration: Annotated[
        int | None, typer.Option(min=1, max=60, metavar="S", help="Length of every clip in seconds.")
    ] = None,
    aspect: Annotated[
        str | None, typer.Option(metavar="SHAPE", help="landscape, portrait or square (or 16:9, 9:16, 1:1).")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL", help="Provider's model; repeated, in order of preference. Else VIDEO_MODELS in turn."
        ),
    ] = None,
    resolution: Annotated[str | None, typer.Option(metavar="SIZE", help="480p, 720p, 1080p, 1440p or 2160p.")] = None,
    fps: Annotated[float | None, typer.Option(metavar="N", help="Frame rate; else that of most clips.")] = None,
    fit: Annotated[
        str | None,
        typer.Option(metavar="HOW", help="A clip of another shape: contain, contain-blur or cover."),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What the pictures are coded in: h264 (plays everywhere), hevc or av1."),
    ] = None,
    transition: Annotated[
        list[str] | None,
        typer.Option(
            "--transition",
            "-t",
            metavar="KIND[:S]",
            help="Between clips: cut, or any of FFmpeg's xfade kinds, as in fade:0.5. Once for all joints, or "
            "repeated, once for each.",
        ),
    ] = None,
    loudness: Annotated[
        float | None, typer.Option(metavar="LUFS", help="Bring the sound to this loudness, e.g. -14.")
    ] = None,
    music: Annotated[str | None, typer.Option(metavar="URL", help="Music under the whole film.")] = None,
    music_volume: Annotated[float | None, typer.Option(metavar="X", help="1 leaves the music as it is.")] = None,
    music_duck: Annotated[
        float | None, typer.Option(metavar="DB", help="How far it goes down under the clips' own sound.")
    ] = None,
    music_fade: Annotated[float | None, typer.Option(metavar="S", help="In and out, in seconds.")] = None,
    overlay: Annotated[str | None, typer.Option(metavar="URL", help="A picture over the film: a logo.")] = None,
    overlay_position: Annotated[
        str | None, typer.Option(metavar="CORNER", help="top-left, top-right, bottom-left or bottom-right.")
    ] = None,
    overlay_opacity: Annotated[float | None, typer.Option(metavar="SHARE", help="1 is solid.")] = None,
    poster_at: Annotated[
        float | None, typer.Option(metavar="S", min=0, help="Second of the film the poster is from.")
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Another field of the record to write with the film."),
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option("--meta", metavar="NAME=VALUE", help="Yours; given back everywhere.")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="Told when the job ends or waits for review.")
    ] = None,
    webhook_event: Annotated[
        list[str] | None, typer.Option(metavar="EVENT", help="Told too, e.g. video.ready.")
    ] = None,
    on_clip_failure: Annotated[
        str | None, typer.Option(metavar="HOW", help="A clip that cannot be made: fail, skip or retry.")
    ] = None,
    min_clips: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="With skip: no film of fewer clips.")
    ] = None,
    review: Annotated[bool, typer.Option("--review", help="Wait for approval before the clips are joined.")] = False,
    priority: Annotated[str | None, typer.Option(metavar="HOW", help="low, normal or high.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check and estimate; spends and stores nothing.")
    ] = False,
    idempotency_key: IdempotencyOption = None,
    wait: WatchOption = False,
    output: OutputOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
    api_key: KeyOption = None,
) -> None:
    """Order a film: one clip for every prompt, joined in that order."""
    from sora_stitcher.cli.ordering import clips_of, transitions_of, values_of
    from sora_stitcher.wishes import FilmWish

    film = FilmWish(
        clips=clips_of(prompts or (), clip or (), intro=intro, outro=outro, duration=duration),
        **_models(model or []),
        aspect_ratio=aspect,
        resolution=resolution,
        fps=fps,
        fit=fit,
        codec=codec,
        **transitions_of(transition or ()),
        audio=_audio(loudness, music, music_volume, music_duck, music_fade),
        overlay=_overlay(overlay, overlay_position, overlay_opacity),
        poster_at_seconds=poster_at,
        record_id=record,
        fields=values_of("--field", field or ()),
        metadata=values_of("--meta", metadata or ()),
        webhook_url=webhook,
        webhook_events=webhook_event or None,
        on_clip_failure=on_clip_failure,
        min_clips=min_clips,
        review=review or None,
        priority=priority,
    )
    if file is not None:
        if film != FilmWish(clips=()) or output is not None or force:
            raise usage("--file stands alone: what is asked for is in its lines (--watch, --dry-run and --json may go)")
        from sora_stitcher.cli.batch import submit_file

        with open_client(url, api_key) as client:
            submit_file(client, file, idempotency_key, dry_run=dry_run, wait=wait, as_json=json)
        return
    _check(film, has_prompts=bool(prompts), duration=duration, dry_run=dry_run, force=force)
    with open_client(url, api_key) as client:
        if dry_run:
            _say_estimate(client.dry_run(film), as_json=json)
            return
        accepted = _ordered(client, film, force=force, idempotency_key=idempotency_key)
        if wait or output is not None:
            from sora_stitcher.cli.following import follow

            follow(client, accepted.job_id, output, as_json=json, is_new=True)
        elif json:
            print_json(accepted.as_json())
        else:
            _say_accepted(accepted)


def _ordered(client: "Client", film: "FilmWish", *, force: bool, idempotency_key: str | None) -> "Accepted":
    """Order a film; without clips, it is that of the record's own prompts."""
    if film.clips:
        return client.create(film, idempotency_key=idempotency_key)
    assert film.record_id is not None, "checked before"
    return client.process_record(
        film.record_id, aspect_ratio=film.aspect_ratio, force=force, idempotency_key=idempotency_key
    )


def _check(film: "FilmWish", *, has_prompts: bool, duration: int | None, dry_run: bool, force: bool) -> None:
    """Refuse wishes that no request could carry.

    Raises:
        CommandError: says which.
    """
    from sora_stitcher.cli.ordering import beside_a_record

    if film.clips and (has_prompts or film.record_id is None):
        if force:
            raise usage("--force is for a record's own prompts; leave it out, or the prompts")
        return
    if film.record_id is None:
        raise usage('give a prompt for each clip, e.g. `sora-stitcher submit "A red boat" "A lighthouse"`, or --record')
    given = [*beside_a_record(film), *(["duration"] if duration is not None else [])]
    given += ["dry run"] if dry_run else []
    given += ["intro or outro"] if film.clips else []
    if given:
        raise usage(f"{', '.join(given)} need prompts on the command line; a record's own film has the defaults")


def _models(models: list[str]) -> dict[str, Any]:
    if not models:
        return {}
    return {"model": models[0]} if len(models) == 1 else {"models": models}


def _audio(
    loudness: float | None, music: str | None, volume: float | None, duck: float | None, fade: float | None
) -> "AudioWish | None":
    from sora_stitcher.cli.ordering import source_of
    from sora_stitcher.wishes import AudioWish, SoundtrackWish

    if music is None and any(each is not None for each in (volume, duck, fade)):
        raise usage("--music-volume, --music-duck and --music-fade need --music")
    if music is None and loudness is None:
        return None
    track = SoundtrackWish(volume=volume, duck=duck, fade=fade, **source_of(music)) if music is not None else None
    return AudioWish(loudness=loudness, soundtrack=track)


def _overlay(picture: str | None, position: str | None, opacity: float | None) -> "OverlayWish | None":
    from sora_stitcher.cli.ordering import source_of
    from sora_stitcher.wishes import OverlayWish

    if picture is None:
        if position is not None or opacity is not None:
            raise usage("--overlay-position and --overlay-opacity need --overlay")
        return None
    return OverlayWish(position=position, opacity=opacity, **source_of(picture))


def _say_accepted(accepted: "Accepted") -> None:
    """Name the job that was taken, and the next step."""
    out = console()
    out.print(f"{OK_MARK} accepted: {accepted.job_id}", style="green")
    out.print(f"  {program()} watch {accepted.job_id}", soft_wrap=True)


def _say_estimate(estimate: "Estimate", *, as_json: bool) -> None:
    if as_json:
        print_json(estimate.as_json())
        return
    out = console()
    least, most = estimate.credits.min, estimate.credits.max
    credits_ = f"{least:g}" if least == most else f"{least:g} to {most:g}"
    out.print(f"{OK_MARK} nothing was ordered; it would be", style="green")
    out.print(f"  clips    {estimate.clips}, {estimate.seconds:g} s of film to be made")
    out.print(f"  credits  {credits_}")
    out.print(f"  time     about {estimate.estimated_seconds:g} s")
    if estimate.models:
        out.print(f"  models   {', '.join(estimate.models)}", soft_wrap=True)
    for warning in estimate.warnings:
        out.print(wrapped(out, f"{WARNING_MARK} {printable(warning)}", 2), style="yellow", soft_wrap=True)
