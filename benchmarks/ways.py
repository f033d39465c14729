"""Ways to make a film of clips: ours and other people's."""

from __future__ import annotations

import asyncio
import atexit
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import av

from shared.film import Film, Probe, Wishes, check_clip, ffmpeg_exe, stitch

T = TypeVar("T")
Way = Callable[[Path], Film | None]
ROOT = Path(__file__).resolve().parents[1]
BENCH_VENV = ROOT / ".venv-bench"
#: x264's quality, the same for whoever encodes: what `Wishes` has when nothing is said.
CRF = str(Wishes().crf)


def ffmpeg(*arguments: str) -> None:
    subprocess.run([ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *arguments], check=True)


def make_clips(folder: Path, count: int, size: str, seconds: float, gop: int) -> list[Path]:
    """Encode a few distinct clips and copy their files until there are ``count``; no two are one file."""
    clips: list[Path] = []
    for number in range(count):
        path = folder / f"clip-{number}.mp4"
        if number >= 3:
            path.write_bytes(clips[number % 3].read_bytes())
        else:
            picture = f"testsrc2=s={size}:r=30:d={seconds},hue=h={number * 70},noise=alls=7:allf=t"
            tone = f"sine=frequency={300 + 100 * number}:sample_rate=48000:duration={seconds},volume=0.3[tone]"
            hiss = f"anoisesrc=r=48000:d={seconds}:c=pink:a=0.2[hiss]"
            video = ("-c:v", "libx264", "-preset", "fast", "-crf", "22", "-g", str(gop), "-pix_fmt", "yuv420p")
            ffmpeg("-f", "lavfi", "-i", picture, "-filter_complex", f"{tone};{hiss};[tone][hiss]amix[a]", "-map", "0:v",
                   "-map", "[a]", *video, "-x264-params", "scenecut=0", "-c:a", "aac", "-ac", "2", "-b:a", "128k",
                   str(path))  # fmt: skip
        clips.append(path)
    return clips


def plain_copy(clips: Sequence[Path]) -> Way:
    """The physical limit: the same bytes, one file after the other."""

    def run(output: Path) -> None:
        with output.open("wb", buffering=0) as target:
            for clip in clips:
                with clip.open("rb") as source:
                    left = clip.stat().st_size
                    while left:
                        left -= os.copy_file_range(source.fileno(), target.fileno(), left)

    return run


def cat(clips: Sequence[Path]) -> Way:
    """The same by the command that everybody has."""

    def run(output: Path) -> None:
        with output.open("wb") as target:
            subprocess.run(["cat", *map(str, clips)], stdout=target, check=True)

    return run


def cp(clips: Sequence[Path], work: Path) -> Way:
    """The command that copies files: one file that holds the bytes of all clips already."""
    whole = work / f"whole-{len(clips)}.bin"
    plain_copy(clips)(whole)

    def run(output: Path) -> None:
        subprocess.run(["cp", str(whole), str(output)], check=True)

    return run


def concat_demuxer(clips: Sequence[Path]) -> Way:
    def run(output: Path) -> None:
        listing = output.with_suffix(".txt")
        listing.write_text("".join(f"file '{clip}'\n" for clip in clips))
        ffmpeg("-f", "concat", "-safe", "0", "-i", str(listing), "-c", "copy", "-movflags", "+faststart", str(output))

    return run


def transport_streams(clips: Sequence[Path]) -> Way:
    """The old trick: every clip into MPEG-TS, the streams one after the other, and back into an MP4."""

    def run(output: Path) -> None:
        parts = [output.with_suffix(f".{number}.ts") for number in range(len(clips))]
        for clip, part in zip(clips, parts, strict=True):
            ffmpeg("-i", str(clip), "-c", "copy", "-f", "mpegts", str(part))
        ffmpeg("-i", f"concat:{'|'.join(map(str, parts))}", "-c", "copy", "-movflags", "+faststart", str(output))
        for part in parts:
            part.unlink()

    return run


def _inputs(clips: Sequence[Path]) -> list[str]:
    return [word for clip in clips for word in ("-i", str(clip))]


def concat_filter(clips: Sequence[Path], preset: str) -> Way:
    def run(output: Path) -> None:
        pads = "".join(f"[{i}:v][{i}:a]" for i in range(len(clips)))
        graph = f"{pads}concat=n={len(clips)}:v=1:a=1[v][a]"
        ffmpeg(*_inputs(clips), "-filter_complex", graph, "-map", "[v]", "-map", "[a]", "-c:v", "libx264", "-preset",
               preset, "-crf", CRF, "-c:a", "aac", "-movflags", "+faststart", str(output))  # fmt: skip

    return run


def plain_xfade(clips: Sequence[Path], seconds: float, fade_s: float, preset: str) -> Way:
    def run(output: Path) -> None:
        steps, video, audio = [], "0:v", "0:a"
        for index in range(1, len(clips)):
            offset = index * (seconds - fade_s)
            steps.append(f"[{video}][{index}:v]xfade=fade:duration={fade_s}:offset={offset}[v{index}]")
            steps.append(f"[{audio}][{index}:a]acrossfade=d={fade_s}[a{index}]")
            video, audio = f"v{index}", f"a{index}"
        maps = ("-filter_complex", ";".join(steps), "-map", f"[{video}]", "-map", f"[{audio}]")
        settings = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", preset, "-crf", CRF, "-c:a", "aac")
        ffmpeg(*_inputs(clips), *maps, *settings, str(output))

    return run


def overlap_alone(clips: Sequence[Path], fade_s: float, preset: str) -> Way:
    """The least any method has to encode: as many frames as are blended, without even decoding what to blend."""

    def run(output: Path) -> None:
        frames = round(fade_s * 30) * (len(clips) - 1)
        ffmpeg("-i", str(clips[0]), "-frames:v", str(frames), "-an", "-c:v", "libx264", "-preset", preset, "-crf",
               CRF, str(output))  # fmt: skip

    return run


def moviepy(clips: Sequence[Path], fade_s: float, preset: str) -> Way:
    def run(output: Path) -> None:
        script = ROOT / "benchmarks" / "moviepy_join.py"
        command = [str(prepared_moviepy()), str(script), str(output), str(fade_s), preset, CRF, *map(str, clips)]
        subprocess.run(command, check=True, cwd=output.parent, stdout=subprocess.DEVNULL)

    return run


def prepared_moviepy() -> Path:
    """Return the interpreter of MoviePy's own environment (it needs another Pillow than we do), made if need be."""
    python, stamp = BENCH_VENV / "bin" / "python", BENCH_VENV / ".stamp"
    lock = ROOT / "benchmarks" / "requirements.lock"
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(BENCH_VENV)], check=True)
        install = ("-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock))
        subprocess.run([str(python), *install], check=True)
        stamp.touch()
    return python


def pyav_remux(clips: Sequence[Path]) -> Way:
    """What a Python programmer writes first: every packet of every clip, moved in time, through PyAV's muxer."""

    def run(output: Path) -> None:
        with av.open(str(output), "w", options={"movflags": "+faststart"}) as film:
            outs: dict[str, Any] = {}
            last: dict[str, int] = {}
            at = Fraction(0)
            for clip in clips:
                at += _append(film, clip, outs, last, at)

    return run


def _append(film: Any, clip: Path, outs: dict[str, Any], last: dict[str, int], at: Fraction) -> Fraction:
    with av.open(str(clip)) as source:
        streams = [*source.streams.video[:1], *source.streams.audio[:1]]
        for stream in streams:
            if stream.type not in outs:
                outs[stream.type] = film.add_stream_from_template(stream)
        for packet in source.demux(streams):
            if packet.dts is None or packet.pts is None:
                continue
            kind, moved = packet.stream.type, round(at / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts + moved, packet.dts + moved, outs[kind]
            if packet.dts > last.get(kind, packet.dts - 1):  # the muxer refuses a priming packet within the clip before
                last[kind] = packet.dts
                film.mux(packet)
        return Fraction(streams[0].frames) / (streams[0].average_rate or 30)


#: A worker's event loop and threads live on from film to film; so do these.
_worker = asyncio.Runner()
atexit.register(_worker.close)


def _in_worker(work: Coroutine[Any, Any, T]) -> T:
    # Not `Runner.run`, which installs a handler of interrupts each time: a worker's loop runs already.
    return _worker.get_loop().run_until_complete(work)


def ours(clips: Sequence[Path], wishes: Wishes) -> Way:
    return lambda output: _in_worker(stitch(clips, output, wishes))


def checked_clips(clips: Sequence[Path]) -> list[Probe]:
    """Check clips as they arrive at the service."""

    async def look() -> list[Probe]:
        return [await check_clip(clip) for clip in clips]

    return _in_worker(look())


def ours_checked(clips: Sequence[Probe], wishes: Wishes) -> Way:
    """As in the service: every clip was probed and checked when it arrived."""
    return lambda output: _in_worker(stitch(clips, output, wishes))


def several_at_once(clips: Sequence[Probe], wishes: Wishes, count: int) -> Way:
    """Several films of the same clips at the same time, in one process."""

    async def all_of_them(output: Path) -> Film:
        outputs = [output, *(output.with_suffix(f".{number}.mp4") for number in range(1, count))]
        films = await asyncio.gather(*(stitch(clips, each, wishes) for each in outputs))
        for other in outputs[1:]:
            other.unlink()
        return films[0]

    return lambda output: _in_worker(all_of_them(output))
