"""Hostile and broken files: each ends in a typed error that names the clip, and reads nothing it should not."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ffmpeg
import pytest

from shared.film import (
    ClipError,
    Damaged,
    EncodeFailed,
    EngineError,
    Limits,
    NotAVideo,
    TooLarge,
    TooLong,
    Transition,
    Truncated,
    Unsupported,
    Wishes,
    check_clip,
    stitch,
)
from shared.film.mp4 import Mp4Error, read_movie
from shared.film.process import clip_input, run_ffmpeg
from tests.support.media import Clip, make_clip, remux

GOOD = Clip(number=1, frames=30)
STRICT = Limits(inspect_timeout_s=20, step_timeout_s=30)
Maker = Callable[[Path, Path], bytes | Path]


@dataclass(frozen=True)
class Hostile:
    """A bad file: how it is made from a good clip in a folder, and the errors that are right for it."""

    name: str
    make: Maker
    errors: tuple[type[EngineError], ...]


def _text(content: str) -> Maker:
    return lambda _good, _folder: content.encode()


def _cut(share: float) -> Maker:
    return lambda good, _folder: good.read_bytes()[: round(good.stat().st_size * share)]


def _playlist(_good: Path, folder: Path) -> bytes:
    secret = remux(make_clip(folder / "secret.mp4", GOOD), folder / "secret.ts")
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()


def _fast_start(good: Path, folder: Path) -> bytes:
    return remux(good, folder / "faststart.mp4", "-movflags", "+faststart").read_bytes()


def _cut_after_header(good: Path, folder: Path) -> bytes:
    return _fast_start(good, folder)[:-4000]


def _patched(path: bytes, offset: int, value: bytes) -> Maker:
    """Overwrite bytes in the picture track's first box of a kind."""

    def make(good: Path, _folder: Path) -> bytes:
        data = bytearray(good.read_bytes())
        at = data.index(path, data.rindex(b"moov")) + 4 + offset
        data[at : at + len(value)] = value
        return bytes(data)

    return make


def _many_tracks(good: Path, _folder: Path) -> bytes:
    data = good.read_bytes()
    at = data.rindex(b"moov") - 4
    moov, rest = data[at:], data[:at]
    first = moov.index(b"trak") - 4
    size = int.from_bytes(moov[first : first + 4], "big")
    body = moov[8:] + moov[first : first + size] * 40
    return rest + struct.pack(">I4s", len(body) + 8, b"moov") + body


def _fuzzed(seed: int) -> Maker:
    def make(good: Path, _folder: Path) -> bytes:
        data, dice = bytearray(good.read_bytes()), random.Random(seed)
        start = data.rindex(b"moov")
        for _ in range(40):
            data[dice.randrange(start, len(data))] = dice.randrange(256)
        return bytes(data)

    return make


def _overlapping_samples(good: Path, _folder: Path) -> bytes:
    """Every picture but the first few claims to be as large as the file allows."""
    data = bytearray(good.read_bytes())
    at = data.index(b"stsz", data.rindex(b"moov")) + 4
    count = int.from_bytes(data[at + 8 : at + 12], "big")
    for number in range(10, count - 10):
        data[at + 12 + 4 * number : at + 16 + 4 * number] = struct.pack(">I", len(data) // 4)
    return bytes(data)


def _no_description_of_sound(good: Path, _folder: Path) -> bytes:
    data = bytearray(good.read_bytes())
    entry = data.rindex(b"mp4a") - 4
    description = data.rindex(b"stsd") - 4
    # What described the sound becomes a box of its own behind an empty table.
    data[description : description + 4] = struct.pack(">I", 16)
    data[description + 12 : description + 16] = bytes(4)
    data[entry + 4 : entry + 8] = b"free"
    return bytes(data)


def _endless_edit(good: Path, _folder: Path) -> bytes:
    data = bytearray(good.read_bytes())
    at = data.index(b"elst", data.rindex(b"moov")) - 4
    old = int.from_bytes(data[at : at + 4], "big")
    edit = struct.pack(">I4sIIQqI", 36, b"elst", 1 << 24, 1, 1 << 63, -1, 0x10000)
    for kind in (b"moov", b"trak", b"edts"):
        around = data.rindex(kind, 0, at) - 4
        grown = int.from_bytes(data[around : around + 4], "big") + len(edit) - old
        data[around : around + 4] = struct.pack(">I", grown)
    data[at : at + old] = edit
    return bytes(data)


def _noise_in_pictures(good: Path, _folder: Path) -> bytes:
    data, dice = bytearray(good.read_bytes()), random.Random(7)
    start = data.index(b"mdat") + 60
    data[start : start + 4000] = dice.randbytes(4000)
    return bytes(data)


def _wide_pixels(_good: Path, folder: Path) -> Path:
    return make_clip(folder / "wide.mp4", Clip(frames=4, size=(2048, 64), filters="setsar=16"))


def _sound_only(_good: Path, folder: Path) -> Path:
    return remux(make_clip(folder / "both.mp4", GOOD), folder / "sound.mp4", "-vn")


def _webm(_good: Path, folder: Path) -> Path:
    return make_clip(
        folder / "x.webm", Clip(codec="libvpx", audio="libopus", extra=("-deadline", "realtime"), suffix=".webm")
    )


def _cut_webm(share: float) -> Maker:
    def cut(good: Path, folder: Path) -> bytes:
        whole = _webm(good, folder).read_bytes()
        return whole[: round(len(whole) * share)]

    return cut


def _cut_matroska(good: Path, folder: Path) -> bytes:
    return remux(good, folder / "whole.mkv").read_bytes()[:-1]


def _transport_noise(_good: Path, _folder: Path) -> bytes:
    return b"".join(b"\x47" + random.Random(packet).randbytes(187) for packet in range(200))


FTYP = b"\0\0\0\x14ftypisom\0\0\0\0isom"
HOUR_LONG = struct.pack(">II", 30, 15360 * 240)
BAD_MOV = (Damaged, NotAVideo, Truncated, Unsupported, TooLarge, TooLong)

HOSTILE = [
    Hostile("empty file", _text(""), (NotAVideo,)),
    Hostile("web page", _text("<!DOCTYPE html><html>404</html>"), (NotAVideo,)),
    Hostile("error document", _text('{"error": "expired"}'), (NotAVideo,)),
    Hostile("HLS playlist named .mp4", _playlist, (NotAVideo,)),
    Hostile("concat script named .mp4", _text("ffconcat version 1.0\nfile /etc/passwd\n"), (NotAVideo,)),
    Hostile("DASH manifest named .mp4", _text("<MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>"), (NotAVideo,)),
    Hostile("SVG named .mp4", _text('<svg><image href="file:///etc/passwd"/></svg>'), (NotAVideo,)),
    Hostile("zeros", lambda *_: bytes(100_000), (NotAVideo,)),
    Hostile("noise", lambda *_: random.Random(1).randbytes(100_000), (NotAVideo,)),
    Hostile("ftyp and noise", lambda *_: FTYP + random.Random(2).randbytes(50_000), BAD_MOV),
    Hostile("half a download", _cut(0.5), (Truncated,)),
    Hostile("all but the last bytes", _cut(0.99), (Truncated,)),
    Hostile("header whole, pictures missing", _cut_after_header, (Truncated,)),
    Hostile("moov that never ends", lambda *_: FTYP + struct.pack(">I4sQ", 1, b"moov", 1 << 60), (Truncated,)),
    Hostile("a million empty boxes", lambda *_: struct.pack(">I4s", 8, b"free") * 200_000, BAD_MOV),
    Hostile("gigantic picture", _patched(b"avc1", 24, struct.pack(">HH", 65535, 65535)), (TooLarge,)),
    Hostile("hour-long clip", _patched(b"stts", 8, HOUR_LONG), (TooLong, *BAD_MOV)),
    Hostile("billions of samples", _patched(b"stsz", 8, struct.pack(">I", 0xFFFFFFF0)), (TooLarge,)),
    Hostile("impossible clock", _patched(b"mdhd", 12, struct.pack(">I", 0)), BAD_MOV),
    Hostile("forty tracks", _many_tracks, (TooLarge,)),
    Hostile("pixels sixteen times as wide as high", _wide_pixels, (TooLarge,)),
    Hostile("no picture", _sound_only, (NotAVideo,)),
    Hostile("Matroska head, then noise", lambda *_: b"\x1a\x45\xdf\xa3" + random.Random(3).randbytes(20_000), BAD_MOV),
    Hostile("a quarter of a WebM", _cut_webm(0.25), (Truncated,)),
    Hostile("nine tenths of a WebM", _cut_webm(0.9), (Truncated,)),
    Hostile("all but the last byte of a Matroska file", _cut_matroska, (Truncated,)),
    Hostile("transport stream of noise", _transport_noise, BAD_MOV),
    *[Hostile(f"scrambled header {seed}", _fuzzed(seed), BAD_MOV) for seed in range(4)],
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
async def test_a_hostile_file_ends_in_a_typed_error_that_names_the_clip(
    hostile: Hostile, clip_of: Callable[[Clip], Path], tmp_path: Path
) -> None:
    good = clip_of(GOOD)
    made = hostile.make(good, tmp_path)
    bad = tmp_path / "clip.mp4"
    bad.write_bytes(made if isinstance(made, bytes) else made.read_bytes())
    work, output = tmp_path / "work", tmp_path / "out" / "film.mp4"
    work.mkdir()
    output.parent.mkdir()

    with pytest.raises(hostile.errors) as failure:
        await stitch([good, bad], output, limits=STRICT, work_dir=work)

    assert failure.value.clip == 1
    assert str(failure.value).startswith("Clip 2: ")
    assert failure.value.to_dict()["code"] == failure.value.code
    assert list(work.iterdir()) == []
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize("make", [_overlapping_samples, _no_description_of_sound, _endless_edit])
async def test_a_file_of_which_our_reader_makes_no_sense_is_left_to_libav(
    make: Maker, clip_of: Callable[[Clip], Path], tmp_path: Path
) -> None:
    good, bad = clip_of(GOOD), tmp_path / "bad.mp4"
    made = make(good, tmp_path)
    assert isinstance(made, bytes)
    bad.write_bytes(made)
    with pytest.raises(Mp4Error):
        read_movie(bad)

    blamed, film = 1, tmp_path / "film.mp4"
    try:
        await stitch([good, bad], film, limits=STRICT)
    except ClipError as error:
        blamed = error.clip if error.clip is not None else -1
    assert blamed == 1
    assert not film.exists() or film.stat().st_size < 3 * good.stat().st_size


async def test_a_check_of_a_clip_with_noise_in_its_pictures_says_that_it_does_not_decode(
    clip_of: Callable[[Clip], Path], tmp_path: Path
) -> None:
    bad = tmp_path / "noise.mp4"
    bad.write_bytes(_noise_in_pictures(clip_of(GOOD), tmp_path))

    with pytest.raises(Damaged, match=r"noise\.mp4"):
        await check_clip(bad)


async def test_a_recording_that_never_said_how_long_it_is_is_no_worse_for_it(
    clip_of: Callable[[Clip], Path], tmp_path: Path
) -> None:
    live = remux(clip_of(GOOD), tmp_path / "live.mkv", "-live", "1")

    assert (await check_clip(live)).video.frames == GOOD.frames

    live.write_bytes(live.read_bytes()[:-10])
    with pytest.raises(Truncated, match=r"live\.mkv is cut short"):
        await check_clip(live)


async def test_a_check_of_a_good_clip_returns_its_probe(clip_of: Callable[[Clip], Path]) -> None:
    for clip in (GOOD, Clip(frames=75), Clip(audio=None), Clip(frames=1)):
        found = await check_clip(clip_of(clip))
        assert found.video.frames == clip.frames
        assert (found.audio is None) is (clip.audio is None)


async def test_the_demuxer_list_refuses_a_playlist_even_if_it_got_as_far_as_ffmpeg(tmp_path: Path) -> None:
    playlist = tmp_path / "clip.mp4"
    playlist.write_bytes(_playlist(tmp_path, tmp_path))

    with pytest.raises(EngineError):
        await run_ffmpeg(ffmpeg.output(clip_input(playlist).video, "-", f="null"), STRICT)


async def test_a_file_name_that_looks_like_a_protocol_is_only_a_file(tmp_path: Path) -> None:
    odd = make_clip(tmp_path / "plain.mp4", GOOD).rename(tmp_path / "concat:a|b 'quoted' [x].mp4")

    film = await stitch([odd, odd], tmp_path / "pipe:1.mp4")

    assert film.frames == 60


async def test_names_of_any_bytes_and_of_any_length_are_only_names(tmp_path: Path) -> None:
    odd = make_clip(tmp_path / "plain.mp4", GOOD).rename(tmp_path / os.fsdecode(b"n\xff\xfe.mp4"))
    other = make_clip(tmp_path / "other.mp4", GOOD)
    longest = tmp_path / f"{'x' * 251}.mp4"

    film = await stitch([odd, other], longest, Wishes(transition=Transition("fade", 0.2), codec="hevc"))

    assert film.frames == 54
    assert sorted(tmp_path.iterdir()) == sorted((odd, other, longest))


async def test_a_place_that_is_none_is_told_without_leaving_anything(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", GOOD)

    with pytest.raises(EncodeFailed, match="could not be written"):
        await stitch([clip], clip / "film.mp4")

    assert list(tmp_path.iterdir()) == [clip]


async def test_limits_of_the_caller_are_kept(clip_of: Callable[[Clip], Path], tmp_path: Path) -> None:
    clip, out = clip_of(GOOD), tmp_path / "film.mp4"
    cases = [
        (Limits(clip_duration_s=0.5), TooLong),
        (Limits(clip_bytes=1000), TooLarge),
        (Limits(pixels=1000), TooLarge),
        (Limits(streams=1), TooLarge),
        (Limits(samples=10), TooLarge),
        (Limits(moov_bytes=100), TooLarge),
        (Limits(fps=20), TooLarge),
        (Limits(clips=1), TooLarge),
        (Limits(film_duration_s=1.5), TooLong),
    ]
    for limits, error in cases:
        with pytest.raises(error):
            await stitch([clip, clip], out, limits=limits)
    assert list(tmp_path.iterdir()) == []
