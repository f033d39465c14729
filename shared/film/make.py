"""Plan → pieces → film. The imperative part."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import Damaged, EncodeFailed, EngineError, Truncated
from .grafts import make_graft
from .join import Draft, PictureSource, SoundSource, add_sound, draft_pictures, write
from .limits import Limits
from .mix import make_mix
from .model import Probe, Wishes
from .mp4 import Mp4Error, Track, read_movie
from .pictures import segment_command
from .plan_model import Action, Plan, Segment, SoundAction
from .process import run_ffmpeg
from .progress import Reporter, Shares
from .rates import samples_at
from .sounds import sound_command
from .splice import encode_around_joints
from .threads import StopFlag, all_of, beside, cores, encoder_slots, in_thread
from .verify import Checked, verify_film

#: Messages by which ffmpeg says that the input, not the encoder, is at fault.
_INPUT_FAULTS = ("invalid data", "error while decoding", "corrupt", "truncat", "decode_slice", "no frame", "moov")
#: How much more of the film is written before it is told again.
_SHARE_TOLD = 0.05


@dataclass(frozen=True, slots=True)
class Pieces:
    """Everything a film is joined from: pictures by segment, sounds by clip (or one mix).

    ``tables`` describes pictures in files that have no tables of their own.
    """

    pictures: tuple[PictureSource, ...]
    sounds: tuple[SoundSource | None, ...]
    tables: dict[Path, Track]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """One run of ffmpeg, its weight in the progress, and the clip to blame if it fails."""

    weight: float
    clip: int
    run: Callable[[Callable[[float], None], int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the pieces of one plan and joins them."""

    plan: Plan
    probes: Sequence[Probe]
    wishes: Wishes
    limits: Limits
    work: Path
    reporter: Reporter

    async def pieces(self) -> Pieces:
        """Make whatever has to be encoded.

        Raises:
            EngineError: A piece cannot be made; ``clip`` says whose.
        """
        steps: list[_Step] = []
        tables: dict[Path, Track] = {}
        pictures = tuple(
            self._picture(number, segment, steps, tables) for number, segment in enumerate(self.plan.segments)
        )
        if self.plan.mix:
            await self._run(steps, until_percent=70.0)
            self.reporter.enter("sound", 85.0, "mixing the sound")
            mixed = await make_mix(self.plan, self.probes, self.wishes, self.limits, self.work)
            return Pieces(pictures, (SoundSource(mixed.path, 0.0),), tables, mixed.notes)
        sounds = tuple(self._sound(index, steps) for index in range(len(self.probes)))
        await self._run(steps, until_percent=85.0)
        return Pieces(pictures, sounds, tables)

    async def draft(self, pieces: Pieces) -> Draft:
        """Lay out the film from its pieces."""
        self.reporter.enter("join", 95.0, "joining")

        def work() -> Draft:
            return add_sound(draft_pictures(self.plan, pieces.pictures, pieces.tables), pieces.sounds)

        return await asyncio.to_thread(work)

    async def write(self, draft: Draft, output: Path) -> Checked:
        """Write the film, encoding its sound around joints meanwhile, and check what was written."""
        loop, told = asyncio.get_running_loop(), 0.0

        def work(flag: StopFlag) -> Checked:
            def checkpoint(share: float) -> None:
                nonlocal told
                flag.check()
                if share >= told + _SHARE_TOLD:  # every message wakes the event loop, which holds the copying up
                    told = share
                    loop.call_soon_threadsafe(self.reporter.share, share)

            write(draft, output, checkpoint=checkpoint)
            loop.call_soon_threadsafe(self.reporter.enter, "verify", 98.0, "checking the film")
            return verify_film(output, draft)

        if draft.splicing is None:
            return await in_thread(work)
        return await beside(in_thread(work), encode_around_joints(draft.splicing, self.limits))

    def _picture(self, number: int, segment: Segment, steps: list[_Step], tables: dict[Path, Track]) -> PictureSource:
        if segment.action is Action.COPY:
            return PictureSource(self.probes[segment.clip].path, segment.first_frame, segment.last_frame)
        if segment.graft is not None:
            return self._graft(number, segment, steps, tables)
        if segment.action is Action.CONTINUE:
            return PictureSource(self._raw(number), 0, segment.frames)
        path = self.work / f"picture-{number}.mp4"

        async def run(report: Callable[[float], None], threads: int) -> None:
            command = await asyncio.to_thread(
                segment_command, segment, self.probes, self.plan, self.wishes, path, threads
            )
            length_s = float(segment.frames / self.plan.target.fps)
            await run_ffmpeg(command, self.limits, on_time=lambda at_s: report(at_s / length_s))
            await asyncio.to_thread(_check_count, path, segment)

        steps.append(_Step(float(segment.frames), segment.clip, run))
        return PictureSource(path, 0, segment.frames)

    def _graft(self, number: int, segment: Segment, steps: list[_Step], tables: dict[Path, Track]) -> PictureSource:
        path, behind = self._raw(number), self._raw(number + 1)

        async def run(report: Callable[[float], None], threads: int) -> None:
            made = await make_graft(
                self.plan, number, self.probes, self.wishes, self.limits, (path, behind), threads=threads, report=report
            )
            tables[path], tables[behind] = made.transition, made.continued

        steps.append(_Step(float(segment.frames), segment.clip, run))
        return PictureSource(path, 0, segment.frames)

    def _raw(self, number: int) -> Path:
        return self.work / f"picture-{number}.h264"

    def _sound(self, index: int, steps: list[_Step]) -> SoundSource | None:
        clip, found = self.plan.clips[index], self.probes[index]
        if clip.sound is SoundAction.COPY:
            return SoundSource(found.path, found.video.start_s)
        if clip.sound is not SoundAction.ENCODE or self.plan.sound is None:
            return None
        form, path = self.plan.sound, self.work / f"sound-{index}.mp4"
        samples = samples_at(clip.frames, self.plan.target.fps, form.sample_rate)

        async def run(report: Callable[[float], None], threads: int) -> None:
            length_s = samples / form.sample_rate
            command = sound_command(found, form, samples, path, threads)
            await run_ffmpeg(command, self.limits, on_time=lambda at_s: report(at_s / length_s))

        # Sound encodes some hundred times faster than pictures do.
        steps.append(_Step(clip.frames / 100, index, run))
        return SoundSource(path, 0.0)

    async def _run(self, steps: list[_Step], *, until_percent: float) -> None:
        if not steps:
            return
        self.reporter.enter("encode", until_percent, f"encoding {len(steps)} pieces")
        shares = Shares(self.reporter, [step.weight for step in steps])
        at_a_time = self.limits.jobs or max(1, min(len(steps), cores()))
        gate = asyncio.Semaphore(self.limits.jobs) if self.limits.jobs else encoder_slots()
        threads = max(1, cores() // at_a_time)

        async def one(number: int, step: _Step) -> None:
            async with gate:
                try:
                    await step.run(shares.of(number), threads)
                except EngineError as error:
                    raise _blame(error, step.clip, self.probes[step.clip].path.name) from error
            shares.of(number)(1.0)

        # The longest first: the last to finish should not be the last to start.
        order = sorted(range(len(steps)), key=lambda number: -steps[number].weight)
        await all_of(*(one(number, steps[number]) for number in order))


def _blame(error: EngineError, clip: int, name: str) -> EngineError:
    """Turn ffmpeg's failure on a clip into an error about that clip, when its messages say so."""
    error.clip = clip if error.clip is None else error.clip
    if isinstance(error, EncodeFailed) and any(fault in error.detail.lower() for fault in _INPUT_FAULTS):
        return Damaged(f"{name} does not decode: {error.message}", clip=error.clip, detail=error.detail)
    return error


def _check_count(path: Path, segment: Segment) -> None:
    try:
        track = read_movie(path, max_samples=1 << 24).first("video")
    except Mp4Error as error:
        raise EncodeFailed(f"ffmpeg wrote no readable piece: {error}") from error
    made = 0 if track is None else len(track.sizes)
    if made != segment.frames:
        raise Truncated(f"only {made} of {segment.frames} frames could be decoded; the clip is cut short")
