"""Every kind of odd clip between two ordinary ones: the film is whole, in order, in sync and clean."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from shared.film import Action, SoundAction, Wishes, ffmpeg_exe, probe, stitch
from shared.film.mp4 import read_movie
from shared.film.wishes import Fit
from tests.support.media import Clip, dominant_hz, make_clip, remux, run, watch

ORDINARY = Clip(number=1, frames=36)
ALL = list(range(30))
FAST = ("-preset", "ultrafast")
REALTIME = ("-deadline", "realtime")
BT709 = "color_primaries=bt709:color_trc=bt709:colorspace=bt709"
HDR = ("-tag:v", "hvc1", "-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc",
       "-x265-params", "log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc")  # fmt: skip
PQ, HLG = "smpte2084", "arib-std-b67"


def _hdr(transfer: str, primaries: str | None = None) -> tuple[str, ...]:
    """Tags of HDR that leave out what is not said here."""
    said = {"color_trc": transfer} | ({"color_primaries": primaries} if primaries else {})
    own = f"transfer={transfer}" + (f":colorprim={primaries}" if primaries else "")
    options = [word for name, value in said.items() for word in (f"-{name}", value)]
    return ("-tag:v", "hvc1", *options, "-x265-params", f"log-level=error:{own}")


@dataclass(frozen=True)
class Odd:
    """An odd clip: how it is made, where its own picture lies in the film's, and what the planner should do."""

    name: str
    make: Callable[[Path], Path]
    frames: list[int]
    video: Action = Action.NORMALISE
    sound: SoundAction = SoundAction.COPY
    content: tuple[int, int, int, int] | None = None
    tolerance: int = 0
    rotated: bool = False


def _clip(**changes: object) -> Callable[[Path], Path]:
    clip = replace(Clip(number=2, frames=30), **changes)  # type: ignore[arg-type]
    return lambda folder: make_clip(folder / f"odd{clip.suffix}", clip)


def _rewrapped(name: str, *options: str, before: tuple[str, ...] = (), **changes: object) -> Callable[[Path], Path]:
    return lambda folder: remux(_clip(**changes)(folder), folder / name, *options, before=before)


def _variable_rate(folder: Path) -> Path:
    # Every fifth frame is missing, and its time is not filled.
    return make_clip(
        folder / "vfr.mp4",
        Clip(number=2, frames=30, filters="select='mod(n+1,5)'", extra=("-preset", "veryfast", "-fps_mode", "vfr")),
    )


def _sparse(chosen: str) -> Callable[[Path], Path]:
    """As a recording of a screen: a picture now and then, in a container that says of none how long it stays."""
    changes = {"codec": "libvpx", "extra": (*REALTIME, "-fps_mode", "vfr"), "audio": None, "suffix": ".webm"}
    return _clip(frames=60, filters=f"select='{chosen}'", **changes)


def _rotated_unevenly(folder: Path) -> Path:
    # Neither copied out of its container nor evenly spaced: it goes to the encoder as it is.
    fragmented = ("-movflags", "frag_keyframe+empty_moov")
    return remux(_variable_rate(folder), folder / "turned.mp4", *fragmented, before=("-display_rotation", "90"))


def _wide_pixels_in_container(folder: Path) -> Path:
    # Only the container says it, and its frames are not evenly spaced.
    return remux(_variable_rate(folder), folder / "wide.mkv", "-aspect", "64:27")


def _another_size(folder: Path) -> Path:
    """The container claims a quarter of the picture."""
    path = _clip()(folder)
    data = bytearray(path.read_bytes())
    at = data.index(b"avc1", data.index(b"stsd")) + 28
    assert data[at : at + 4] == bytes([0, 192, 0, 108])
    data[at : at + 4] = bytes([0, 96, 0, 54])
    path.write_bytes(data)
    return path


def _late_start(folder: Path) -> Path:
    return remux(_clip()(folder), folder / "late.ts", "-muxdelay", "0", "-output_ts_offset", "3.3")


def _edit_list(folder: Path) -> Path:
    return remux(_clip(gop=10)(folder), folder / "cut.mp4", before=("-ss", "0.4"))


def _rotated(folder: Path) -> Path:
    source = _clip()(folder)
    return remux(source, folder / "rotated.mp4", before=("-display_rotation", "90"))


ODD = [
    Odd("twin", _clip(), ALL, Action.COPY),
    Odd("headers of its own", _clip(extra=("-preset", "slow", "-crf", "20")), ALL),
    Odd("headers of its own under other ids", _clip(extra=("-profile:v", "baseline", "-x264-params", "sps-id=3")), ALL,
        Action.COPY),
    Odd("24 fps", _clip(fps="24", frames=24), [f * 24 // 30 for f in range(30)], tolerance=1),
    Odd("25 fps", _clip(fps="25", frames=25), [f * 25 // 30 for f in range(30)], tolerance=1),
    Odd("60 fps", _clip(fps="60", frames=60), [f * 2 for f in range(30)], tolerance=1),
    Odd("29.97 fps", _clip(fps="30000/1001", frames=30), ALL, tolerance=1),
    Odd("larger", _clip(size=(384, 216)), ALL),
    Odd("smaller", _clip(size=(96, 54)), ALL),
    Odd("portrait", _clip(size=(108, 192)), ALL, content=(66, 0, 60, 108)),
    Odd("square", _clip(size=(108, 108)), ALL, content=(42, 0, 108, 108)),
    Odd("HEVC", _clip(codec="libx265", extra=(*FAST, "-tag:v", "hvc1", "-x265-params", "log-level=error")), ALL),
    Odd("VP9 and Opus in WebM", _clip(codec="libvpx-vp9", extra=REALTIME, audio="libopus", suffix=".webm"), ALL,
        sound=SoundAction.ENCODE),
    Odd("VP8 and Vorbis in WebM", _clip(codec="libvpx", extra=REALTIME, audio="libvorbis", suffix=".webm"), ALL,
        sound=SoundAction.ENCODE),
    Odd("AV1", _clip(codec="libsvtav1", extra=("-preset", "10", "-crf", "20", "-svtav1-params", "log=0")), ALL),
    Odd("MPEG-4 part 2 and MP3", _clip(codec="mpeg4", extra=("-q:v", "3"), audio="libmp3lame"), ALL,
        sound=SoundAction.ENCODE),
    Odd("H.264 in Matroska", _rewrapped("x.mkv"), ALL, Action.COPY),
    Odd("H.264 in MPEG-TS, starting at 3.3 s", _late_start, ALL, Action.COPY),
    Odd("fragmented MP4", _rewrapped("x.mp4", "-movflags", "frag_keyframe+empty_moov"), ALL, Action.COPY,
        SoundAction.ENCODE),
    Odd("QuickTime", _rewrapped("x.mov"), ALL, Action.COPY, SoundAction.ENCODE),
    Odd("no edit lists", _rewrapped("x.mp4", "-use_editlist", "0"), ALL, Action.COPY, SoundAction.ENCODE),
    Odd("negative composition offsets", _rewrapped("x.mp4", "-movflags", "negative_cts_offsets"), ALL, Action.COPY),
    Odd("edit list", _edit_list, list(range(12, 30))),
    Odd("variable frame rate", _variable_rate, [f if f % 5 != 4 else f - 1 for f in range(29)], tolerance=1),
    Odd("no sound", _clip(audio=None), ALL, Action.COPY, SoundAction.SILENCE),
    Odd("mono", _clip(channels=1), ALL, Action.COPY, SoundAction.ENCODE),
    Odd("44.1 kHz", _clip(sample_rate=44100), ALL, Action.COPY, SoundAction.ENCODE),
    Odd("mono 44.1 kHz", _clip(channels=1, sample_rate=44100), ALL, Action.COPY, SoundAction.ENCODE),
    Odd("5.1", _clip(channels=6), ALL, Action.COPY, SoundAction.ENCODE),
    Odd("96 kHz", _clip(sample_rate=96000), ALL, Action.COPY, SoundAction.ENCODE),
    Odd("AC-3 sound", _clip(audio="ac3", audio_extra=("-b:a", "192k")), ALL, Action.COPY, SoundAction.ENCODE),
    Odd("sound longer than picture", _clip(audio_s=2.5), ALL, Action.COPY),
    Odd("sound shorter than picture", _clip(audio_s=0.6), ALL, Action.COPY),
    Odd("10 bit", _clip(pixel_format="yuv420p10le"), ALL),
    Odd("4:4:4", _clip(pixel_format="yuv444p"), ALL),
    Odd("4:2:2", _clip(pixel_format="yuv422p"), ALL),
    Odd("full range", _clip(pixel_format="yuvj420p", filters="scale=in_range=tv:out_range=pc"), ALL),
    Odd("wide pixels", _clip(size=(144, 108), filters="setsar=4/3"), ALL),
    Odd("BT.709 colours", _clip(extra=FAST, filters=f"setparams={BT709}"), ALL),
    Odd("HDR (PQ)", _clip(codec="libx265", pixel_format="yuv420p10le", extra=(*FAST, *HDR)), ALL),
    Odd("HDR (PQ), the rest unsaid", _clip(codec="libx265", pixel_format="yuv420p10le", extra=(*FAST, *_hdr(PQ))), ALL),
    Odd("HDR (HLG), its matrix unsaid",
        _clip(codec="libx265", pixel_format="yuv420p10le", extra=(*FAST, *_hdr(HLG, "bt2020"))), ALL),
    Odd("RGB", _clip(codec="libx264rgb", pixel_format="rgb24"), ALL),
    Odd("a still", _clip(frames=1, fps="1/10", audio=None), [0] * 300, sound=SoundAction.SILENCE),
    Odd("rotated", _rotated, ALL, rotated=True),
    Odd("rotated, fragmented, variable frame rate", _rotated_unevenly, list(range(29)), sound=SoundAction.ENCODE,
        rotated=True),
    Odd("wide pixels in Matroska, variable frame rate", _wide_pixels_in_container,
        [f if f % 5 != 4 else f - 1 for f in range(29)], sound=SoundAction.ENCODE, content=(0, 13, 192, 82),
        tolerance=1),
    Odd("a picture now and then", _sparse("not(mod(n,12))"), [f // 12 * 12 for f in range(60)],
        sound=SoundAction.SILENCE, tolerance=12),
    Odd("a picture now and then, the last one soon", _sparse("not(mod(n,6))+eq(n,58)"),
        [f // 6 * 6 if f < 58 else 58 for f in range(64)], sound=SoundAction.SILENCE, tolerance=6),
    Odd("a container that claims another size", _another_size, ALL),
    Odd("both tracks start late", _rewrapped("x.mp4", "-output_ts_offset", "3.3"), ALL, Action.COPY),
    Odd("full range, said by the pictures alone",
        _rewrapped("x.mov", pixel_format="yuvj420p", filters="scale=in_range=tv:out_range=pc"), ALL,
        sound=SoundAction.ENCODE),
    Odd("one frame", _clip(frames=1), [0], Action.COPY),
    Odd("open groups of pictures", _clip(gop=10, extra=("-preset", "veryfast", "-x264-params", "open-gop=1")), ALL,
        Action.COPY),
    Odd("no B frames", _clip(extra=("-preset", "veryfast", "-bf", "0")), ALL),
    Odd("all key frames", _clip(gop=1), ALL),
    Odd("interlaced", _clip(extra=("-preset", "veryfast", "-flags", "+ildct+ilme")), ALL),
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)
async def test_an_odd_clip_between_two_ordinary_ones_makes_a_clean_film(
    odd: Odd, clip_of: Callable[[Clip], Path], tmp_path: Path
) -> None:
    first, last = clip_of(ORDINARY), clip_of(replace(ORDINARY, number=3))
    strange = odd.make(tmp_path)

    film = await stitch([first, strange, last], tmp_path / "film.mp4")

    assert film.fallbacks == ()
    assert [clip.video for clip in film.plan.clips] == [Action.COPY, odd.video, Action.COPY], film.plan.explain()
    assert film.plan.clips[1].sound is odd.sound, film.plan.explain()
    seen = watch(film.path)
    assert seen.complaints == ""
    assert len(seen.marks) == film.frames == 72 + len(odd.frames)
    assert {luma.shape for luma in seen.luma} == {(108, 192)}
    if odd.content is not None:
        x, y, width, height = odd.content
        around = [np.delete(np.delete(luma, slice(y, y + height), 0), slice(x, x + width), 1) for luma in seen.luma]
        assert max((part.max() for part in around[36:-36] if part.size), default=16) < 40
        bars = [luma[: max(0, y - 2)] for luma in seen.luma] + [luma[:, : max(0, x - 2)] for luma in seen.luma]
        middles = bars[36 : len(seen.luma) - 36] + bars[len(seen.luma) + 36 : -36]
        assert max((bar.max() for bar in middles if bar.size), default=16) < 40, "bars are black"
    assert seen.marks[:36] == [(1, frame) for frame in range(36)]
    assert seen.marks[-36:] == [(3, frame) for frame in range(36)]
    if not odd.rotated:
        middle = watch(film.path, odd.content).marks[36:-36]
        assert all(mark is not None and mark[0] == 2 for mark in middle), middle
        apart = [abs(mark[1] - wanted) for mark, wanted in zip(middle, odd.frames, strict=True) if mark]
        assert max(apart) <= odd.tolerance, [mark and mark[1] for mark in middle]
    steps = np.diff(seen.times_s)
    assert seen.times_s[0] == 0.0
    assert np.abs(steps - 1 / 30).max() < 1e-4
    assert abs(seen.sound_start_s) < 1 / 30
    assert abs(film.duration_s - seen.video_end_s) < 1e-3
    assert abs(seen.sound_end_s - seen.video_end_s) < 1 / 30


async def test_each_clip_is_heard_with_its_own_pictures(clip_of: Callable[[Clip], Path], tmp_path: Path) -> None:
    kinds = [
        Clip(number=1, tone_hz=400),
        Clip(number=2, tone_hz=700, channels=1, sample_rate=44100),
        Clip(
            number=3, tone_hz=1000, audio="libopus", codec="libvpx-vp9", extra=("-deadline", "realtime"), suffix=".webm"
        ),
        Clip(number=4, tone_hz=1300, channels=6),
    ]

    film = await stitch([clip_of(kind) for kind in kinds], tmp_path / "film.mp4")

    seen = watch(film.path)
    for index, kind in enumerate(kinds):
        part = seen.sound[round((index + 0.25) * seen.sample_rate) : round((index + 0.75) * seen.sample_rate)]
        assert dominant_hz(part, seen.sample_rate) == pytest.approx(kind.tone_hz, abs=4)


@pytest.mark.parametrize("wishes", [Wishes(), Wishes(audio="exact")], ids=lambda each: each.audio)
@pytest.mark.parametrize("codec", ["aac", "libopus"])
@pytest.mark.parametrize("channels", [1, 2])
async def test_a_clip_with_one_channel_and_one_with_two_are_as_loud_as_each_other(
    channels: int, codec: str, wishes: Wishes, clip_of: Callable[[Clip], Path], tmp_path: Path
) -> None:
    form = {"audio": codec, "suffix": ".mp4" if codec == "aac" else ".mkv"}
    other = clip_of(replace(Clip(number=2, channels=3 - channels), **form))  # type: ignore[arg-type]

    film = await stitch([clip_of(Clip(channels=channels)), other], tmp_path / "film.mp4", wishes)

    seen = watch(film.path)
    levels = [float(np.sqrt(np.mean(seen.sound[at : at + 24000] ** 2))) for at in (12000, 60000)]
    assert levels == pytest.approx([0.2 / np.sqrt(2)] * 2, rel=0.03)


async def test_encoded_sound_of_a_clip_that_starts_late_stays_in_sync(
    clip_of: Callable[[Clip], Path], tmp_path: Path
) -> None:
    late = remux(clip_of(Clip(number=2, frames=45, click_s=0.8)), tmp_path / "late.mp4", "-output_ts_offset", "10")
    assert probe(late).video.start_s == pytest.approx(10, abs=0.1)

    film = await stitch([clip_of(ORDINARY), late], tmp_path / "film.mp4", Wishes(audio="exact"))

    seen = watch(film.path)
    click = int(np.argmax(np.abs(seen.sound) > 0.5)) / 48000
    assert click == pytest.approx(36 / 30 + 0.8, abs=0.003)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
async def test_encoded_sound_stays_in_sync_where_another_track_starts_earlier(
    suffix: str, clip_of: Callable[[Clip], Path], tmp_path: Path
) -> None:
    codec = {".mkv": {"codec": "libvpx-vp9", "extra": REALTIME}}.get(suffix, {})
    source = clip_of(replace(Clip(number=2, frames=45, click_s=0.8), **codec))  # type: ignore[arg-type]
    both = tmp_path / f"both{suffix}"
    run([ffmpeg_exe(), "-v", "error", "-itsoffset", "0.7", "-i", str(source), "-i", str(clip_of(ORDINARY)), "-map", "0",
         "-map", "1:a", "-c", "copy", str(both)])  # fmt: skip

    film = await stitch([clip_of(ORDINARY), both], tmp_path / "film.mp4", Wishes(audio="exact"))

    seen = watch(film.path)
    assert seen.marks[-45:] == [(2, frame) for frame in range(45)]
    click = int(np.argmax(np.abs(seen.sound) > 0.5)) / 48000
    assert click == pytest.approx(36 / 30 + 0.8, abs=0.003)


@pytest.mark.parametrize("before", [0, 1])
async def test_sound_that_an_edit_list_hides_is_not_heard_where_the_rest_is_copied(
    before: int, clip_of: Callable[[Clip], Path], tmp_path: Path
) -> None:
    data = bytearray(clip_of(Clip(number=2, frames=45, click_s=0.8)).read_bytes())
    at = data.index(b"elst", data.index(b"elst") + 4) + 12  # of the second track
    data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") // 3).to_bytes(4, "big")
    hiding = tmp_path / "hiding.mp4"
    hiding.write_bytes(data)

    film = await stitch([*[clip_of(ORDINARY)] * before, hiding], tmp_path / "film.mp4")

    assert film.plan.clips[before].sound is SoundAction.COPY
    assert film.fallbacks == ()
    seen = watch(film.path)
    assert seen.complaints == ""
    from_s = before * 36 / 30 + 0.5 + 512 / 48000
    assert np.abs(seen.sound[round(from_s * 48000) + 1024 :]).max() < 0.001
    assert np.abs(seen.sound).max() > 0.005


@pytest.mark.parametrize("wishes", [Wishes(), Wishes(audio="exact"), Wishes(codec="hevc")], ids=lambda each: each.codec)
@pytest.mark.parametrize("open_gop", [False, True])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
async def test_a_clip_cut_out_of_the_midst_of_a_group_begins_with_the_first_picture_that_decodes(
    suffix: str, open_gop: bool, wishes: Wishes, clip_of: Callable[[Clip], Path], tmp_path: Path
) -> None:
    settings = f"open-gop={int(open_gop)}:scenecut=0:b-adapt=0:repeat-headers=1"
    source = clip_of(Clip(number=2, frames=60, gop=20, click_s=1.5, extra=("-bf", "3", "-x264-params", settings)))
    cut = _without_first_pictures(source, tmp_path / f"cut{suffix}", 9)

    film = await stitch([clip_of(ORDINARY), cut], tmp_path / "film.mp4", replace(wishes, preset="veryfast"))

    assert film.fallbacks == ()
    seen = watch(film.path)
    assert seen.complaints == ""
    first = 60 - len(seen.marks) + 36
    assert 17 <= first <= 20
    assert seen.marks[36:] == [(2, frame) for frame in range(first, 60)]
    click = int(np.argmax(np.abs(seen.sound) > 0.5)) / 48000
    assert click == pytest.approx(36 / 30 + 1.5 - first / 30, abs=0.0117)


def _without_first_pictures(source: Path, target: Path, count: int) -> Path:
    """Rewrap a clip without so many coded pictures, whatever the others refer to."""
    with av.open(str(source)) as clip, av.open(str(target), "w") as cut:
        streams = {
            stream.index: cut.add_stream_from_template(stream) for stream in (*clip.streams.video, *clip.streams.audio)
        }
        skipped = 0
        for packet in clip.demux():
            if packet.stream.type == "video" and skipped < count:
                skipped += 1
            elif packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                cut.mux(packet)
    return target


@pytest.mark.parametrize(
    ("edits", "shown"),
    [
        ([(30, 0.0), (20, 10.0), (20, 10.0)], [*range(30), *range(10, 30), *range(10, 30)]),
        ([(19, 10.5)], range(11, 30)),
    ],
    ids=["repeated parts", "cut between two frames"],
)
async def test_an_edit_list_shows_what_it_says(
    edits: list[tuple[int, float]], shown: Sequence[int], clip_of: Callable[[Clip], Path], tmp_path: Path
) -> None:
    edited = _with_edits(clip_of(Clip(number=2, audio=None, extra=("-bf", "0"))), tmp_path / "edited.mp4", edits)

    film = await stitch([clip_of(ORDINARY), edited], tmp_path / "film.mp4")

    seen = watch(film.path)
    assert seen.complaints == ""
    assert seen.marks[36:] == [(2, frame) for frame in shown]


def _with_edits(source: Path, target: Path, edits: Sequence[tuple[int, float]]) -> Path:
    """Give a clip another edit list: how many frames each entry lasts, and with which frame it begins."""
    data = source.read_bytes()
    track = read_movie(source).first("video")
    assert track is not None
    ticks, frame = track.movie_timescale // 30, track.timescale // 30
    entries = [struct.pack(">IiI", lasts * ticks, int(first * frame), 0x10000) for lasts, first in edits]
    listed = struct.pack(">II", 0, len(edits)) + b"".join(entries)
    box = struct.pack(">I4s", 8 + len(listed), b"elst") + listed
    outer = data.index(b"edts") - 4
    grown = len(box) + 8 - int.from_bytes(data[outer : outer + 4], "big")
    patched = bytearray(data)
    for kind in (b"moov", b"trak"):
        at = data.rindex(kind, 0, outer) - 4
        patched[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + grown).to_bytes(4, "big")
    patched[outer : outer + int.from_bytes(data[outer : outer + 4], "big")] = (
        struct.pack(">I4s", 8 + len(box), b"edts") + box
    )
    target.write_bytes(patched)
    return target


def test_full_range_is_seen_where_quicktime_does_not_say_it(tmp_path: Path) -> None:
    full = f"scale=in_range=tv:out_range=pc,setparams={BT709}"
    clip = Clip(frames=4, pixel_format="yuvj420p", extra=FAST, filters=full)
    path = make_clip(tmp_path / "full.mov", clip)
    assert b"nclc" in path.read_bytes()

    colour = probe(path).video.colour

    assert (colour.primaries, colour.matrix, colour.full_range) == (1, 1, True)


@pytest.mark.parametrize("fit", ["contain", "contain-blur", "cover"])
@pytest.mark.parametrize(
    ("name", "codec", "samples"),
    [
        ("clip.mp4", "libx264rgb", "rgb24"),
        ("clip.mkv", "libx264rgb", "rgb24"),
        ("clip.mov", "png", "rgb24"),
        ("clip.mov", "qtrle", "rgb24"),
    ],
)
async def test_colours_of_rgb_are_those_of_the_film(
    name: str, codec: str, samples: str, fit: Fit, tmp_path: Path
) -> None:
    source = tmp_path / name
    colour = "color=0x20C040:size=96x64:rate=25:duration=0.2"
    picture = ("-f", "lavfi", "-i", colour, "-vf", f"format={samples}")
    run([ffmpeg_exe(), "-v", "error", *picture, "-c:v", codec, "-pix_fmt", samples, str(source)])
    assert probe(source).video.is_rgb

    film = await stitch([source], tmp_path / "film.mp4", Wishes(size=(96, 64), fit=fit))

    with av.open(str(film.path)) as seen:
        frame = next(seen.decode(video=0))
        assert frame.colorspace == av.video.reformatter.Colorspace.ITU709
        luma, blue, red = (bytes(plane)[0] for plane in frame.planes)
    y, u, v = (luma - 16) / 219, (blue - 128) / 224, (red - 128) / 224
    shown = {"red": y + 1.5748 * v, "green": y - 0.1873 * u - 0.4681 * v, "blue": y + 1.8556 * u}
    wanted = {"red": 0x20 / 255, "green": 0xC0 / 255, "blue": 0x40 / 255}
    assert shown == pytest.approx(wanted, abs=0.012)


def test_kinds_of_samples_are_seen_of_codecs_whose_headers_we_do_not_read(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mov", Clip(frames=2, codec="prores_ks", pixel_format="yuv422p10le", extra=()))

    video = probe(path).video

    assert (video.chroma, video.bit_depth) == ("4:2:2", 10)


async def test_hdr_is_seen_where_only_the_pictures_say_it(tmp_path: Path) -> None:
    clip = Clip(codec="libx265", pixel_format="yuv420p10le", extra=(*FAST, *HDR, "-movflags", "-write_colr"))
    path = make_clip(tmp_path / "hdr.mp4", clip)
    assert b"colr" not in path.read_bytes()

    assert probe(path).video.colour.is_hdr


async def test_a_clip_whose_sound_starts_late_stays_in_sync(clip_of: Callable[[Clip], Path], tmp_path: Path) -> None:
    source = clip_of(Clip(number=2, frames=45, click_s=0.8))
    late = tmp_path / "late.mkv"
    run([ffmpeg_exe(), "-v", "error", "-i", str(source), "-itsoffset", "0.2", "-i", str(source), "-map", "0:v",
         "-map", "1:a", "-c", "copy", str(late)])  # fmt: skip

    film = await stitch([clip_of(ORDINARY), late], tmp_path / "film.mp4")

    seen = watch(film.path)
    click = int(np.argmax(np.abs(seen.sound) > 0.5)) / 48000
    assert click == pytest.approx(36 / 30 + 0.8 + 0.2, abs=0.0117)
    assert Fraction(film.fps) == 30
