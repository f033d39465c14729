"""Stitching side by side in one run: a plain copy, plain ffmpeg, PyAV, MoviePy, ours. Ratios matter, not seconds.

    python -m benchmarks.stitch [--clips 2 5 20] [--seconds 10] [--gop 250] [--rounds 5] [--write docs/stitching.md]

Cheap ways are run ``--rounds`` times in turn (A B C A B C ...), so that a noisy neighbour disturbs all alike; the
median counts, and of x the median of each round's own. Cuts are timed six times as often, each right after a run whose
wall time does not count. Crossfades of many clips are timed once; ways that re-encode everything are run once, for
films of at most ``--encode-up-to`` clips. All others have been run once before they are timed, as in a worker.
Processor time and memory are those of the process and everything it started, warm cells included.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measuring import Usage, machine, measured, timed
from benchmarks.quality import Quality, compare
from benchmarks.ways import (
    Way,
    cat,
    checked_clips,
    concat_demuxer,
    concat_filter,
    cp,
    make_clips,
    moviepy,
    ours,
    ours_checked,
    overlap_alone,
    plain_copy,
    plain_xfade,
    prepared_moviepy,
    pyav_remux,
    several_at_once,
    transport_streams,
)
from shared.film import Film, Probe, Transition, Wishes
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
    peak_mib: float = 0.0
    size_mb: float = 0.0
    film: Film | None = None
    quality: Quality | None = None

    def run(self, output: Path, *, ideal_of: Sequence[Path] = (), overlap: int = 0) -> None:
        """Run it once, measuring everything."""
        with measured() as usage:
            self.film = self.way(output)
        self.usages.append(usage)
        self._look_at(output, ideal_of, overlap)

    def weigh(self, output: Path, *, ideal_of: Sequence[Path] = (), overlap: int = 0) -> None:
        """Run it once and measure everything but its time; this also loads whatever is loaded at first use."""
        with measured() as usage:
            self.film = self.way(output)
        self.peak_mib = usage.peak_mib
        self._look_at(output, ideal_of, overlap)

    def time(self, output: Path, *, warm: bool = False) -> None:
        """Run it once and measure its time only, undisturbed; ``warm``, right after a run whose time does not count.

        Processor time is that of both, and of removing the first film, halved: between them nothing is looked at, or
        caches would be cold again.
        """
        runs, wall_s = 2 if warm else 1, 0.0
        with timed() as usage:
            for _ in range(runs):
                output.unlink(missing_ok=True)
                began = time.perf_counter()
                self.film = self.way(output)
                wall_s = time.perf_counter() - began
        output.unlink()
        self.usages.append(Usage(wall_s, usage.cpu_s / runs))

    def _look_at(self, output: Path, ideal_of: Sequence[Path], overlap: int) -> None:
        self.size_mb = output.stat().st_size / 1e6
        if ideal_of:
            self.quality = compare(output, ideal_of, overlap)
        output.unlink()

    def wall_s(self) -> float:
        return statistics.median(usage.wall_s for usage in self.usages)

    def times_longer(self, base: Row) -> float:
        """How many times as long as ``base`` it takes, round by round if they took turns."""
        if len(self.usages) != len(base.usages):
            return self.wall_s() / base.wall_s()
        rounds = zip(self.usages, base.usages, strict=True)
        return statistics.median(mine.wall_s / its.wall_s for mine, its in rounds)

    def cpu_s(self) -> float:
        return statistics.mean(usage.cpu_s for usage in self.usages)

    def peak(self) -> float:
        return max(self.peak_mib, *(usage.peak_mib for usage in self.usages))

    def cells(self, base: Row) -> list[str]:
        cost = self.film.plan.cost if self.film else None
        frames = f"{cost.encoded_frames} of {cost.overlapped_frames} needed" if cost and cost.encoded_frames else ""
        return [
            self.name,
            f"{self.wall_s():.3f}",
            f"{self.times_longer(base):.2f}",
            f"{self.cpu_s():.2f}",
            f"{self.cpu_s() / max(0.005, base.cpu_s()):.2f}",
            f"{self.peak():.0f}",
            f"{self.size_mb:.1f}",
            frames,
            str(self.quality or ""),
        ]


#: Cuts take milliseconds, so they can be repeated more often.
_CUT_ROUNDS = 6
HEAD = ["way", "wall s", "x", "CPU s", "x", "peak MiB", "MB", "encoded", "exact; blend / other PSNR; blend SSIM"]


def table(title: str, rows: Sequence[Row], base: Row) -> str:
    lines = [f"**{title}** (x: multiples of “{base.name}”)", "", "| " + " | ".join(HEAD) + " |",
             "|" + "---|" * len(HEAD)]  # fmt: skip
    return "\n".join([*lines, *("| " + " | ".join(row.cells(base)) + " |" for row in rows)]) + "\n"


def cuts(clips: Sequence[Path], known: Sequence[Probe], chosen: argparse.Namespace, work: Path) -> str:
    rows = [
        Row("copying the bytes", plain_copy(clips)),
        Row("copying the bytes by cat", cat(clips)),
        Row("copying the bytes by cp", cp(clips, work)),
        Row("ours, clips checked on arrival", ours_checked(known, Wishes())),
        Row("ours, clips never seen before", ours(clips, Wishes())),
        Row("ffmpeg concat demuxer", concat_demuxer(clips)),
        Row("PyAV, packet by packet", pyav_remux(clips)),
        Row("ffmpeg through MPEG-TS", transport_streams(clips)),
    ]
    for row in rows:
        row.weigh(work / "film.mp4")
    in_turn(rows, _CUT_ROUNDS * chosen.rounds, work, warm=True)
    slow = [Row("ours, exact sound", ours_checked(known, Wishes(audio="exact")))]
    if len(clips) <= chosen.encode_up_to:
        slow.append(Row(f"ffmpeg concat filter {chosen.preset}", concat_filter(clips, chosen.preset)))
        slow.append(Row(f"MoviePy {chosen.preset}", moviepy(clips, 0, chosen.preset)))
    for row in slow:
        row.run(work / "film.mp4")
    return table(f"{len(clips)} clips, cuts", rows + slow, rows[0])


def crossfades(clips: Sequence[Path], known: Sequence[Probe], chosen: argparse.Namespace, work: Path) -> str:
    preset, encode = chosen.preset, len(clips) <= chosen.encode_up_to
    wishes = Wishes(transition=Transition("fade", FADE_S), preset=preset)
    ideal = clips if encode else ()
    base = Row("encoding the overlap alone", overlap_alone(clips, FADE_S, preset))
    mine = Row("ours", ours_checked(known, wishes))
    base.weigh(work / "film.mp4")
    mine.weigh(work / "film.mp4", ideal_of=ideal, overlap=FADE_FRAMES)
    in_turn((base, mine), chosen.rounds if encode else 1, work)
    slow = []
    if encode:
        slow.append(Row(f"ffmpeg xfade {preset}", plain_xfade(clips, chosen.seconds, FADE_S, preset)))
        slow.append(Row(f"MoviePy {preset}", moviepy(clips, FADE_S, preset)))
    for row in slow:
        row.run(work / "film.mp4", ideal_of=ideal, overlap=FADE_FRAMES)
    title = f"{len(clips)} clips, {FADE_S} s crossfades, a key frame every {chosen.gop} frames"
    return table(title, [base, mine, *slow], base)


def in_turn(rows: Sequence[Row], rounds: int, work: Path, *, warm: bool = False) -> None:
    """Time all of them, one after the other, several times; ``warm`` as in :meth:`Row.time`."""
    for _ in range(rounds):
        for row in rows:
            row.time(work / "film.mp4", warm=warm)


def at_once(known: Sequence[Probe], chosen: argparse.Namespace, work: Path) -> str:
    """Several films in one process: what one film takes, times their number, is what they may take together."""
    few = known[: chosen.at_once]
    wishes = {"cuts": Wishes(), "crossfades": Wishes(transition=Transition("fade", FADE_S), preset=chosen.preset)}
    head = ["films at once", "wall s", "films per second, x", "CPU s per film", "peak MiB"]
    lines = [f"**Several films of {len(few)} clips at once**", "", "| " + " | ".join(head) + " |",
             "|" + "---|" * len(head)]  # fmt: skip
    for kind, wished in wishes.items():
        rows = {count: Row(f"{count}, {kind}", several_at_once(few, wished, count)) for count in (1, 2, 4)}
        for _ in range(chosen.rounds if kind == "cuts" else 1):
            for row in rows.values():
                row.run(work / "film.mp4")
        for count, row in rows.items():
            faster = count * rows[1].wall_s() / row.wall_s()
            cells = (
                row.name,
                f"{row.wall_s():.3f}",
                f"{faster:.2f}",
                f"{row.cpu_s() / count:.2f}",
                f"{row.peak():.0f}",
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--clips", type=int, nargs="+", default=[2, 5, 20])
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--size", default="1280x720")
    arguments.add_argument("--gop", type=int, default=250)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--preset", default="medium")
    arguments.add_argument("--encode-up-to", type=int, default=5, help="most clips of rows that re-encode everything")
    arguments.add_argument("--fade-up-to", type=int, default=20, help="most clips of films with crossfades")
    arguments.add_argument("--at-once", type=int, default=2, help="clips of each of several films at once")
    arguments.add_argument("--write", type=Path, help="a document whose measured section is replaced")
    chosen = arguments.parse_args()
    warm_up(3)
    if min(chosen.clips) <= chosen.encode_up_to:
        prepared_moviepy()
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        every = make_clips(work, max(chosen.clips), chosen.size, chosen.seconds, chosen.gop)
        known = checked_clips(every)
        for count in chosen.clips:
            made = [cuts]
            if count <= chosen.fade_up_to:
                made.append(crossfades)
            for make in made:
                tables.append(make(every[:count], known[:count], chosen, work))
                print(tables[-1], flush=True)
        tables.append(at_once(known, chosen, work))
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
