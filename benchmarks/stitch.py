"""Stitching side by side in one run: a plain copy, plain ffmpeg, ours. Ratios matter, not seconds.

    python -m benchmarks.stitch [--clips 2 5 20] [--seconds 10] [--size 1280x720] [--gop 250] [--rounds 3]

Each way is run ``--rounds`` times in turn (A B C A B C ...), so that a noisy neighbour disturbs all alike; the median
counts. CPU is that of this process and its children. Re-encoding rows are run once for the largest film.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from shared.film import Film, Transition, Wishes, ffmpeg_exe, stitch

FADE_S = 0.5
DISTINCT_CLIPS = 5


@dataclass
class Way:
    """One way of making a film, and what its runs took."""

    name: str
    run: Callable[[Path], Film | None]
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    size_bytes: int = 0
    film: Film | None = None

    def measure(self, output: Path) -> None:
        before, began = os.times(), time.perf_counter()
        self.film = self.run(output)
        self.wall_s.append(time.perf_counter() - began)
        after = os.times()
        self.cpu_s.append(sum(after[:4]) - sum(before[:4]))
        self.size_bytes = output.stat().st_size
        output.unlink()


def make_clips(folder: Path, size: str, seconds: float, gop: int) -> list[Path]:
    clips = []
    for number in range(DISTINCT_CLIPS):
        path = folder / f"clip-{number}.mp4"
        picture = f"testsrc2=s={size}:r=30:d={seconds},hue=h={number * 70},noise=alls=6:allf=t"
        sound = f"sine=frequency={300 + 100 * number}:sample_rate=48000:duration={seconds}"
        made = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound)
        video = ("-c:v", "libx264", "-preset", "medium", "-crf", "21", "-g", str(gop), "-pix_fmt", "yuv420p")
        ffmpeg(*made, *video, "-c:a", "aac", "-ac", "2", "-b:a", "128k", str(path))
        clips.append(path)
    return clips


def ffmpeg(*arguments: str) -> None:
    subprocess.run([ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *arguments], check=True)


def inputs(clips: Sequence[Path]) -> list[str]:
    return [word for clip in clips for word in ("-i", str(clip))]


def plain_copy(clips: Sequence[Path]) -> Callable[[Path], None]:
    """The physical limit: the same bytes, one after the other."""

    def run(output: Path) -> None:
        with output.open("wb", buffering=0) as target:
            for clip in clips:
                with clip.open("rb") as source:
                    left = clip.stat().st_size
                    while left:
                        left -= os.copy_file_range(source.fileno(), target.fileno(), left)

    return run


def concat_demuxer(clips: Sequence[Path]) -> Callable[[Path], None]:
    def run(output: Path) -> None:
        listing = output.with_suffix(".txt")
        listing.write_text("".join(f"file '{clip}'\n" for clip in clips))
        ffmpeg("-f", "concat", "-safe", "0", "-i", str(listing), "-c", "copy", "-movflags", "+faststart", str(output))

    return run


def concat_filter(clips: Sequence[Path], preset: str) -> Callable[[Path], None]:
    def run(output: Path) -> None:
        pads = "".join(f"[{i}:v][{i}:a]" for i in range(len(clips)))
        graph = f"{pads}concat=n={len(clips)}:v=1:a=1[v][a]"
        ffmpeg(*inputs(clips), "-filter_complex", graph, "-map", "[v]", "-map", "[a]", "-c:v", "libx264", "-preset",
               preset, "-crf", "20", "-c:a", "aac", "-movflags", "+faststart", str(output))  # fmt: skip

    return run


def plain_xfade(clips: Sequence[Path], seconds: float, preset: str) -> Callable[[Path], None]:
    def run(output: Path) -> None:
        steps, video, audio = [], "0:v", "0:a"
        for index in range(1, len(clips)):
            offset = index * (seconds - FADE_S)
            steps.append(f"[{video}][{index}:v]xfade=fade:duration={FADE_S}:offset={offset}[v{index}]")
            steps.append(f"[{audio}][{index}:a]acrossfade=d={FADE_S}[a{index}]")
            video, audio = f"v{index}", f"a{index}"
        maps = ("-filter_complex", ";".join(steps), "-map", f"[{video}]", "-map", f"[{audio}]")
        settings = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", preset, "-crf", "20", "-c:a", "aac")
        ffmpeg(*inputs(clips), *maps, *settings, str(output))

    return run


def ours(clips: Sequence[Path], wishes: Wishes) -> Callable[[Path], Film]:
    return lambda output: asyncio.run(stitch(clips, output, wishes))


def report(console: Console, title: str, ways: Sequence[Way], base: Way) -> None:
    table = Table("way", "wall s", "x copy", "CPU s", "x base CPU", "MB", "encoded frames", title=title)
    copy_s = statistics.median(ways[0].wall_s)
    base_cpu_s = max(0.01, statistics.median(base.cpu_s))
    for way in ways:
        wall_s, cpu_s = statistics.median(way.wall_s), statistics.median(way.cpu_s)
        cost = way.film.plan.cost if way.film else None
        encoded = f"{cost.encoded_frames} (≥ {cost.overlapped_frames})" if cost else ""
        table.add_row(way.name, f"{wall_s:.3f}", f"{wall_s / copy_s:.2f}", f"{cpu_s:.2f}", f"{cpu_s / base_cpu_s:.2f}",
                      f"{way.size_bytes / 1e6:.1f}", encoded)  # fmt: skip
        if way.film:
            stages = ", ".join(f"{stage} {taken:.3f}" for stage, taken in way.film.timings_s.items() if taken > 0.0005)
            table.add_row("", "", "", "", "", "", stages, style="dim")
    console.print(table)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--clips", type=int, nargs="+", default=[2, 5, 20])
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--size", default="1280x720")
    arguments.add_argument("--gop", type=int, default=250)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--preset", default="medium")
    arguments.add_argument("--encode-up-to", type=int, default=5, help="most clips of rows that re-encode everything")
    chosen = arguments.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        distinct = make_clips(work, chosen.size, chosen.seconds, chosen.gop)
        for count in chosen.clips:
            clips = [distinct[index % len(distinct)] for index in range(count)]
            cuts = [
                Way("plain copy of the bytes", plain_copy(clips)),
                Way("ours, cuts", ours(clips, Wishes())),
                Way("ours, cuts, exact sound", ours(clips, Wishes(audio="exact"))),
                Way("ffmpeg concat demuxer -c copy", concat_demuxer(clips)),
            ]
            for _ in range(chosen.rounds):
                for way in cuts:
                    way.measure(work / "film.mp4")
            if count <= chosen.encode_up_to:
                cuts.append(Way(f"ffmpeg concat filter {chosen.preset}", concat_filter(clips, chosen.preset)))
                cuts[-1].measure(work / "film.mp4")
            report(console, f"{count} clips, cuts", cuts, cuts[1])
            if count <= chosen.encode_up_to:
                fade = Wishes(transition=Transition("fade", FADE_S), preset=chosen.preset)
                fades = [
                    Way("plain copy of the bytes", plain_copy(clips)),
                    Way("ours, crossfades", ours(clips, fade)),
                    Way(f"ffmpeg xfade {chosen.preset}", plain_xfade(clips, chosen.seconds, chosen.preset)),
                ]
                for way in fades:
                    way.measure(work / "film.mp4")
                report(console, f"{count} clips, {FADE_S} s crossfades, key frame every {chosen.gop}", fades, fades[1])


if __name__ == "__main__":
    main()
