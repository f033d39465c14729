"""Stitching side by side in one run: a plain copy, plain ffmpeg, MoviePy, ours. Ratios matter, not seconds.

    python -m benchmarks.stitch [--clips 2 5 20] [--seconds 10] [--gop 250] [--rounds 5] [--write docs/stitching.md]

Cheap ways are run ``--rounds`` times in turn (A B C A B C ...), so that a noisy neighbour disturbs all alike; the
median counts. Ways that re-encode everything are run once, for films of at most ``--encode-up-to`` clips. Processor
time and memory are those of the process and everything it started, warm cells included.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measuring import Usage, machine, measured
from benchmarks.quality import Quality, compare
from benchmarks.ways import (
    Way,
    concat_demuxer,
    concat_filter,
    make_clips,
    moviepy,
    ours,
    ours_checked,
    overlap_alone,
    plain_copy,
    plain_xfade,
    prepared_moviepy,
    transport_streams,
)
from shared.film import Film, Transition, Wishes
from shared.film.cell import warm_up

FADE_S = 0.5
FADE_FRAMES = 15
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass
class Row:
    """One way of making a film, and what its runs took."""

    name: str
    way: Way
    usages: list[Usage] = field(default_factory=list)
    size_mb: float = 0.0
    film: Film | None = None
    quality: Quality | None = None

    def run(self, output: Path, *, ideal_of: Sequence[Path] = (), overlap: int = 0) -> None:
        with measured() as usage:
            self.film = self.way(output)
        self.usages.append(usage)
        self.size_mb = output.stat().st_size / 1e6
        if ideal_of:
            self.quality = compare(output, ideal_of, overlap)
        output.unlink()

    def wall_s(self) -> float:
        return statistics.median(usage.wall_s for usage in self.usages)

    def cpu_s(self) -> float:
        return statistics.mean(usage.cpu_s for usage in self.usages)

    def cells(self, base: Row) -> list[str]:
        cost = self.film.plan.cost if self.film else None
        frames = f"{cost.encoded_frames} of {cost.overlapped_frames} needed" if cost and cost.encoded_frames else ""
        return [
            self.name,
            f"{self.wall_s():.3f}",
            f"{self.wall_s() / base.wall_s():.2f}",
            f"{self.cpu_s():.2f}",
            f"{self.cpu_s() / max(0.005, base.cpu_s()):.2f}",
            f"{max(usage.peak_mib for usage in self.usages):.0f}",
            f"{self.size_mb:.1f}",
            frames,
            str(self.quality or ""),
        ]


HEAD = ["way", "wall s", "x", "CPU s", "x", "peak MiB", "MB", "encoded", "exact; blend / other PSNR; blend SSIM"]


def table(title: str, rows: Sequence[Row], base: Row) -> str:
    lines = [f"**{title}** (x: multiples of “{base.name}”)", "", "| " + " | ".join(HEAD) + " |",
             "|" + "---|" * len(HEAD)]  # fmt: skip
    return "\n".join([*lines, *("| " + " | ".join(row.cells(base)) + " |" for row in rows)]) + "\n"


def cuts(clips: Sequence[Path], rounds: int, preset: str, work: Path, *, encode: bool) -> str:
    rows = [
        Row("copying the bytes", plain_copy(clips)),
        Row("ours, clips checked on arrival", ours_checked(clips, Wishes())),
        Row("ours, clips never seen before", ours(clips, Wishes())),
        Row("ffmpeg concat demuxer", concat_demuxer(clips)),
        Row("ffmpeg through MPEG-TS", transport_streams(clips)),
    ]
    for _ in range(rounds):
        for row in rows:
            row.run(work / "film.mp4")
    slow = [Row("ours, exact sound", ours_checked(clips, Wishes(audio="exact")))]
    if encode:
        slow.append(Row(f"ffmpeg concat filter {preset}", concat_filter(clips, preset)))
        slow.append(Row(f"MoviePy {preset}", moviepy(clips, 0, preset)))
    for row in slow:
        row.run(work / "film.mp4")
    return table(f"{len(clips)} clips, cuts", rows + slow, rows[0])


def crossfades(clips: Sequence[Path], seconds: float, preset: str, work: Path, gop: int, *, encode: bool) -> str:
    wishes = Wishes(transition=Transition("fade", FADE_S), preset=preset)
    base = Row("encoding the overlap alone", overlap_alone(clips, FADE_S, preset))
    rows = [Row("ours", ours_checked(clips, wishes))]
    if encode:
        rows.append(Row(f"ffmpeg xfade {preset}", plain_xfade(clips, seconds, FADE_S, preset)))
        rows.append(Row(f"MoviePy {preset}", moviepy(clips, FADE_S, preset)))
    base.run(work / "film.mp4")
    for row in rows:
        row.run(work / "film.mp4", ideal_of=clips if encode else (), overlap=FADE_FRAMES)
    return table(f"{len(clips)} clips, {FADE_S} s crossfades, a key frame every {gop} frames", [base, *rows], base)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--clips", type=int, nargs="+", default=[2, 5, 20])
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--size", default="1280x720")
    arguments.add_argument("--gop", type=int, default=250)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--preset", default="medium")
    arguments.add_argument("--encode-up-to", type=int, default=2, help="most clips of rows that re-encode everything")
    arguments.add_argument("--fade-up-to", type=int, default=5, help="most clips of films with crossfades")
    arguments.add_argument("--write", type=Path, help="a document whose measured section is replaced")
    chosen = arguments.parse_args()
    warm_up(3)
    if min(chosen.clips) <= chosen.encode_up_to:
        prepared_moviepy()
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        every = make_clips(work, max(chosen.clips), chosen.size, chosen.seconds, chosen.gop)
        for count in chosen.clips:
            clips, encode = every[:count], count <= chosen.encode_up_to
            tables.append(cuts(clips, chosen.rounds, chosen.preset, work, encode=encode))
            print(tables[-1], flush=True)
            if count <= chosen.fade_up_to:
                tables.append(crossfades(clips, chosen.seconds, chosen.preset, work, chosen.gop, encode=encode))
                print(tables[-1], flush=True)
        megabits = every[0].stat().st_size * 8 / chosen.seconds / 1e6
    made_of = f"Clips of {chosen.seconds:g} s, {chosen.size}, 30 fps, {megabits:.1f} Mb/s. Machine: {machine()}."
    print(made_of)
    if chosen.write:
        replace_measured(chosen.write, made_of + "\n\n" + "\n".join(tables))


def replace_measured(document: Path, text: str) -> None:
    """Put ``text`` between the document's two marks."""
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
