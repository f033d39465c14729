"""`stitch`: reading what is wished for, and joining real files."""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from typer.testing import CliRunner, Result

from shared.film import Damaged, InvalidWishes, Logo, Transition, VerifyFailed, Wishes
from sora_stitcher.cli import app, stitch
from sora_stitcher.cli.errors import CommandError
from sora_stitcher.cli.stitching import blaming, picture_rate, picture_size, transitions_of
from tests.support.media import Clip, make_clip, watch
from tests.support.scripted_partner import Reply, ScriptedPartner


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["stitch", *arguments], prog_name="sora-stitcher")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {
        "a": make_clip(folder / "a.mp4", Clip(1, frames=12)),
        "b": make_clip(folder / "b.mp4", Clip(2, frames=12)),
        "tall": make_clip(folder / "tall.mp4", Clip(3, frames=12, size=(108, 192), audio=None)),
    }


def test_the_words_of_the_command_line_are_the_engines() -> None:
    hints, logo = get_type_hints(Wishes), get_type_hints(Logo)
    assert get_args(stitch.Fit) == get_args(hints["fit"])
    assert get_args(stitch.Audio) == get_args(hints["audio"])
    assert get_args(stitch.Codec) == get_args(hints["codec"])
    assert get_args(stitch.Corner) == get_args(logo["corner"])


def test_every_wish_of_the_engine_has_an_option() -> None:
    shown = run("--help").stdout
    wishes = {
        "size",
        "fps",
        "fit",
        "codec",
        "audio",
        "transition",
        "loudness",
        "music",
        "logo",
        "poster",
        "crf",
        "preset",
    }
    assert [wish for wish in wishes if f"--{wish}" not in shown] == []
    known = set(Wishes.__dataclass_fields__)
    assert known == wishes - {"loudness", "music"} | {"loudness_lufs", "soundtrack", "transitions", "poster_at_s"}


@pytest.mark.parametrize(
    ("text", "rate"),
    [("30", Fraction(30)), ("29.97", Fraction(30000, 1001)), ("23.976", Fraction(24000, 1001)),
     ("60000/1001", Fraction(60000, 1001)), ("27.12345678901", Fraction(2197, 81)), ("18", Fraction(18)), (None, None)],
)  # fmt: skip
def test_frame_rates_are_exact(text: str | None, rate: Fraction | None) -> None:
    assert picture_rate(text) == rate


@pytest.mark.parametrize("text", ["x", "1/0", "", "30 fps"])
def test_a_frame_rate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="--fps"):
        picture_rate(text)


def test_sizes_are_read() -> None:
    assert (picture_size("1280x720"), picture_size(" 720 X 1280 "), picture_size(None)) == (
        (1280, 720),
        (720, 1280),
        None,
    )
    for text in ("1280", "1280x", "-2x4", "axb"):
        with pytest.raises(CommandError, match="--size"):
            picture_size(text)


@pytest.mark.parametrize(
    ("option", "text"),
    [("--music-gain", "nan"), ("--music-gain", "inf"), ("--music-gain", "500"), ("--music-duck", "inf"),
     ("--music-duck", "-1"), ("--music-fade-in", "nan"), ("--music-fade-in", "-3"), ("--music-fade-out", "1e300")],
)  # fmt: skip
def test_a_number_for_music_that_makes_no_sense_is_told_by_its_option(
    option: str, text: str, clips: dict[str, Path], tmp_path: Path
) -> None:
    song = tmp_path / "song.mp3"
    song.touch()
    result = run(str(clips["a"]), "--music", str(song), option, text, "--explain")
    assert f"{option} {float(text):g}: give a number from" in " ".join(result.stderr.split())
    assert result.exit_code == 2


def test_one_transition_is_for_all_joints_and_several_for_one_each() -> None:
    assert transitions_of([]) == {"transition": None}
    assert transitions_of(["fade:0.5"]) == {"transition": Transition("fade", 0.5)}
    assert transitions_of(["fade", "cut"]) == {"transitions": (Transition("fade"), None)}
    with pytest.raises(InvalidWishes):
        transitions_of(["nonsense"])


def test_a_clip_that_is_to_blame_is_named_as_it_was_given() -> None:
    inputs = ["a.mp4", "https://host/b.mp4"]
    assert blaming(Damaged("it does not decode", clip=1), inputs) == "clip 2, https://host/b.mp4: it does not decode"
    assert blaming(VerifyFailed("no good"), inputs) == "no good"


def test_files_are_joined_and_the_decision_is_told(clips: dict[str, Path], tmp_path: Path) -> None:
    result = run(str(clips["a"]), str(clips["b"]), "-o", "out/film.mp4")
    assert result.exit_code == 0, result.stderr
    assert "copy      clip 2: 12 frames: same stream parameters as the film" in result.stdout
    assert "out/film.mp4: 0.80 s" in result.stdout
    assert watch(tmp_path / "out/film.mp4").marks == [(clip, frame) for clip in (1, 2) for frame in range(12)]


def test_explaining_writes_nothing(clips: dict[str, Path], tmp_path: Path) -> None:
    result = run(str(clips["a"]), str(clips["tall"]), "-t", "fade:0.2", "--explain")
    assert result.exit_code == 0, result.stderr
    assert "fade over 6 frames" in result.stdout
    assert "the clip has no sound" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_whole_result_and_nothing_else(clips: dict[str, Path], tmp_path: Path) -> None:
    both = [str(clips["a"]), str(clips["b"])]
    plan = json.loads(run(*both, "--explain", "--json").stdout)
    assert (plan["frames"], len(plan["segments"])) == (24, 2)
    result = run(*both, "--json", "--poster", "p.jpg")
    film = json.loads(result.stdout)
    assert (film["frames"], film["poster"], film["plan"]["frames"]) == (24, "p.jpg", 24)
    assert film["plan"]["explained"][0].startswith("Film: 0.80 s")
    assert result.stderr == ""
    assert (tmp_path / "p.jpg").read_bytes().startswith(b"\xff\xd8")


def test_what_shows_the_film_in_small_is_saved_beside_it(clips: dict[str, Path], tmp_path: Path) -> None:
    options = ("--preview", "small/preview.mp4", "--contact-sheet", "small/sheet.jpg", "--poster", "small/poster.jpg")
    result = run(str(clips["a"]), str(clips["b"]), "-o", "film.mp4", *options)
    assert result.exit_code == 0, result.stderr
    for name in ("preview.mp4", "sheet.jpg", "poster.jpg"):
        assert f"small/{name}" in result.stdout
        assert (tmp_path / "small" / name).stat().st_size
    assert len(watch(tmp_path / "small/preview.mp4").luma) == 24


def test_a_url_is_fetched_from_wherever_the_person_says(gateway: ScriptedPartner, clips: dict[str, Path]) -> None:
    """A private address, too: who types it means it."""
    gateway.script = [Reply(200, clips["b"].read_bytes(), {"Content-Type": "video/mp4"})]
    url = f"{gateway.url}/b.mp4"
    result = run(str(clips["a"]), url, url, "-o", "film.mp4")
    assert result.exit_code == 0, result.stderr
    assert len(gateway.requests) == 1, "the same address is fetched once"
    assert [mark and mark[0] for mark in watch(Path("film.mp4")).marks] == [1] * 12 + [2] * 24


WRONG: Sequence[tuple[list[str], str, int]] = (
    ([], "Missing argument 'CLIP'", 2),
    (["{a}", "nope.mp4"], "no such file: nope.mp4", 2),
    (["{a}", "-o", "{a}"], "is one of the clips", 2),
    (["{a}", "-o", "film.mkv"], "the film is an MP4", 2),
    (["{a}", "--fit", "nope"], "'contain', 'contain-blur', 'cover'", 2),
    (["{a}", "{b}", "-t", "fade:x"], "write it as kind:seconds", 2),
    (["{a}", "{b}", "-t", "fade", "-t", "fade"], "2 transitions were given for 1 joints", 2),
    (["{a}", "--size", "13x13"], "even numbers", 2),
    (["{a}", "--loudness", "3"], "LUFS", 2),
    (["{a}", "--music", "nope.mp3"], "--music", 2),
    (["{a}", "--music", "bad.mp4"], "bad.mp4 holds no sound that can be decoded", 1),
    (["{a}", "--logo", "bad.mp4"], "bad.mp4 is no PNG, JPEG or WebP picture", 1),
    (["{a}", "--preset", "mediun"], "unknown preset 'mediun'", 2),
    (["{a}", "--music", "bad.mp4", "--music-duck", "-10"], "give a number from 0 to 40", 2),
    (["{a}", "--poster", "{a}"], "is one of the clips", 2),
    (["{a}", "--poster", "film.mp4"], "is the film", 2),
    (["{a}", "--poster-at", "0", "--contact-sheet", "film.jpg"], "is what --poster writes", 2),
    (["{a}", "--preview", "p.mp4", "--contact-sheet", "p.mp4"], "is what --preview writes", 2),
    (["{a}", "bad.mp4"], "clip 2, bad.mp4: ", 1),
    (["{a}", "--music", "{b}", "-o", "{b}"], "is the music", 2),
    (["{a}", "--logo", "bad.mp4", "--poster", "bad.mp4"], "is the logo", 2),
    (["{a}", "http://[::1/x.mp4"], "it is no address", 2),
    (["{a}", "http://me:secret@127.0.0.1:1/x.mp4"], "the address at 127.0.0.1 carries a user name or password", 2),
    (["{a}", "http://127.0.0.1:1/x.mp4"], "no connection to http://127.0.0.1:1/x.mp4", 3),
    (["{a}", "http://127.0.0.1:70000/x.mp4"], "port", 1),
)


@pytest.mark.parametrize(("arguments", "part", "code"), WRONG)
def test_what_cannot_be_joined_is_told_in_one_line(
    clips: dict[str, Path], arguments: list[str], part: str, code: int
) -> None:
    Path("bad.mp4").write_text("no video at all")
    result = run(*(argument.format(**clips) for argument in arguments))
    assert result.exit_code == code, result.stderr
    assert part in result.stderr.splitlines()[-1]
    assert not Path("film.mp4").exists()
