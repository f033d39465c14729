"""`stitch`: joins files on this machine, or behind URLs, with the engine that makes the jobs' films."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sora_stitcher.cli.errors import usage

Fit = Literal["contain", "contain-blur", "cover"]
Audio = Literal["splice", "exact", "none"]
Codec = Literal["h264", "hevc", "av1"]
Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right"]
# The engine's own words; importing them from it would cost every command a second. A test keeps them equal.


def register(app: typer.Typer) -> None:
    """Add this family's commands."""
    app.command("stitch")(stitch)


def stitch(
    inputs: Annotated[
        list[str], typer.Argument(metavar="CLIP", help="Video files or http(s) URLs, in the order of the film.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", dir_okay=False, show_default=True, help="The film, an MP4."),
    ] = Path("film.mp4"),
    transition: Annotated[
        list[str] | None,
        typer.Option(
            "--transition",
            "-t",
            metavar="KIND[:S]",
            help="Between clips: cut, or any of FFmpeg's xfade kinds, as in fade:0.5. Once for all joints, or "
            "repeated, once for each. [default: cut]",
        ),
    ] = None,
    fit: Annotated[Fit, typer.Option(help="How a clip of another shape is placed.", show_default=True)] = "contain",
    picture: Annotated[
        str | None, typer.Option("--size", metavar="WxH", help="Picture size; else that of most clips.")
    ] = None,
    fps: Annotated[
        str | None, typer.Option(metavar="N", help="Frame rate: 30, 29.97, 30000/1001; else that of most clips.")
    ] = None,
    audio: Annotated[
        Audio,
        typer.Option(
            show_default=True,
            help="splice: copied, encoded only around joints; exact: encoded, placed to the sample; none: silent.",
        ),
    ] = "splice",
    loudness: Annotated[
        float | None, typer.Option(metavar="LUFS", help="Bring the sound to this loudness (EBU R 128), e.g. -14.")
    ] = None,
    music: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Music under the whole film."),
    ] = None,
    music_gain: Annotated[float, typer.Option(metavar="DB", show_default=True, help="Level of the music.")] = -12.0,
    music_duck: Annotated[
        float, typer.Option(metavar="DB", show_default=True, help="How far it goes down under the clips' own sound.")
    ] = 0.0,
    music_once: Annotated[bool, typer.Option("--music-once", help="Do not repeat music that is too short.")] = False,
    music_fade_in: Annotated[float, typer.Option(metavar="S", show_default=True, help="Seconds.")] = 0.5,
    music_fade_out: Annotated[float, typer.Option(metavar="S", show_default=True, help="Seconds.")] = 1.5,
    logo: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Picture over the film; all is encoded then."),
    ] = None,
    logo_corner: Annotated[Corner, typer.Option(show_default=True, help="Where it sits.")] = "bottom-right",
    logo_width: Annotated[
        float, typer.Option(metavar="SHARE", min=0.01, max=1, show_default=True, help="Share of the film's width.")
    ] = 0.12,
    logo_opacity: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=1, show_default=True, help="1 is solid.")
    ] = 0.85,
    poster: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Save a still as JPEG, too.")
    ] = None,
    poster_at: Annotated[
        float | None, typer.Option(metavar="S", min=0, help="Second of the film the still is from.  [default: 0]")
    ] = None,
    preview: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Save a small MP4 of the film, too.")
    ] = None,
    contact_sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Save a JPEG with pictures of all of it, too.")
    ] = None,
    codec: Annotated[Codec, typer.Option(show_default=True, help="What the picture is coded in.")] = "h264",
    crf: Annotated[
        int, typer.Option(min=0, max=51, show_default=True, help="Quality of what must be encoded; less is better.")
    ] = 18,
    preset: Annotated[
        str, typer.Option(metavar="NAME", show_default=True, help="x264's speed preset; for AV1 also SVT-AV1's number.")
    ] = "medium",
    explain: Annotated[
        bool, typer.Option("--explain", help="Only say what would be done, and why; write nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:
    """Join video files into one MP4.

    Pictures that already have the film's form are copied bit by bit; only clips of another form, and the pictures
    inside transitions, go through an encoder. What is decided is printed with its reasons.
    """
    from shared.film import InvalidWishes, Logo, Wishes
    from sora_stitcher.cli.stitching import (
        Order,
        checked_inputs,
        checked_outputs,
        picture_rate,
        picture_size,
        run,
        soundtrack_of,
        transitions_of,
    )

    try:
        wishes = Wishes(
            size=picture_size(picture),
            fps=picture_rate(fps),
            fit=fit,
            codec=codec,
            audio=audio,
            loudness_lufs=loudness,
            soundtrack=soundtrack_of(music, music_gain, music_duck, music_fade_in, music_fade_out, loop=not music_once),
            logo=Logo(logo, logo_corner, logo_width, logo_opacity) if logo is not None else None,
            poster_at_s=0.0 if poster_at is None and poster is not None else poster_at,
            poster=poster,
            preset=preset,
            crf=crf,
            **transitions_of(transition or ()),
        )
    except InvalidWishes as error:
        raise usage(str(error)) from error
    order = checked_outputs(Order(checked_inputs(inputs), output, wishes, preview, contact_sheet))
    run(order, explain_only=explain, as_json=json)
