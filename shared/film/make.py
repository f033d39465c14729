"""Plan → pieces → film. The imperative part."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from .cell import Begun
from .encoding import blame, encode_segment
from .errors import EngineError
from .grafts import EncodedGraft, encode_graft, lay_graft
from .join import Draft, PictureSource, SoundSource, add_sound, draft_pictures, write
from .limits import Limits
from .mix import make_mix
from .model import Probe
from .mp4 import Track
from .piece_keys import clips_of
from .plan_model import Action, Plan, Segment, SoundAction
from .prepared import Prepared, ready_made
from .process import run_ffmpeg
from .progress import Reporter, Shares
from .rates import samples_at
from .sounds import sound_command
from .splice import begin_encoding, encode_around_joints
from .threads import StopFlag, all_of, beside, cores, encoder_slots, in_thread
from .verify import Checked, verify_film, verify_joints
from .wishes import Wishes
from .work_folder import Folder

#: How often it is told how much of the film is written: every message wakes the event loop, which holds it up.
_TOLD_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Pieces:
    """Everything a film is joined from: pictures by segment, sounds by clip (or one mix).

    ``tables`` describes pictures in files that have no tables of their own; ``prepared`` counts the stretches of
    picture that had been encoded beforehand.
    """

    pictures: tuple[PictureSource, ...]
    sounds: tuple[SoundSource | None, ...]
    tables: dict[Path, Track]
    notes: tuple[str, ...] = ()
    prepared: int = 0


@dataclass(frozen=True, slots=True)
class _Step:
    """One run of ffmpeg, its weight in the progress, and the clips that may be to blame if it fails."""

    weight: float
    clips: tuple[int, ...]
    run: Callable[[Callable[[float], None], int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Made:
    """What is known of the pictures only when they are there.

    ``tables`` as in :class:`Pieces`; ``taken`` are the files of those that had been encoded beforehand, by segment.
    """

    tables: dict[Path, Track] = field(default_factory=dict)
    taken: dict[int, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the pieces of one plan and joins them."""

    plan: Plan
    probes: Sequence[Probe]
    wishes: Wishes
    limits: Limits
    work: Folder
    reporter: Reporter
    prepared: Prepared | None = None

    async def pieces(self) -> Pieces:
        """Make whatever has to be encoded.

        Raises:
            EngineError: A piece cannot be made; ``clip`` says whose.
        """
        steps: list[_Step] = []
        made = _Made()
        pictures = tuple(
            self._picture(number, segment, steps, made) for number, segment in enumerate(self.plan.segments)
        )
        if self.plan.mix:
            await self._run(steps, until_percent=70.0)
            self.reporter.enter("sound", 85.0, "mixing the sound")
            mixed = await make_mix(self.plan, self.probes, self.wishes, self.limits, self.work)
            return self._pieces(pictures, (SoundSource(mixed.path, 0.0),), made, mixed.notes)
        sounds = tuple(self._sound(index, steps) for index in range(len(self.probes)))
        await self._run(steps, until_percent=85.0)
        return self._pieces(pictures, sounds, made)

    def _pieces(
        self,
        pictures: Sequence[PictureSource],
        sounds: tuple[SoundSource | None, ...],
        made: _Made,
        notes: tuple[str, ...] = (),
    ) -> Pieces:
        """Return everything, with the files of pieces that had been encoded beforehand in place of our own."""
        chosen = tuple(
            picture if picture.path in made.tables else replace(picture, path=made.taken.get(number, picture.path))
            for number, picture in enumerate(pictures)
        )
        return Pieces(chosen, sounds, made.tables, notes, len(made.taken))

    async def join(self, pieces: Pieces, output: Path) -> Checked:
        """Lay out the film, write it, and check what was written.

        Meanwhile its sound around joints is encoded, and what lies around them is decoded.

        Raises:
            VerifyFailed: A safer plan is needed.
            EngineError: Anything else.
        """
        self.reporter.enter("join", 95.0, "joining")
        loop, told_s = asyncio.get_running_loop(), time.monotonic()
        drafted: asyncio.Future[Draft] = loop.create_future()
        encoding: list[Begun] = []

        def work(flag: StopFlag) -> Checked:
            copying = False

            def checkpoint(share: float) -> None:
                nonlocal told_s, copying
                flag.check()
                if not copying:  # from now on the interpreter is free for the event loop
                    copying = True
                    loop.call_soon_threadsafe(_tell, drafted, draft)
                if (now_s := time.monotonic()) >= told_s + _TOLD_EVERY_S:
                    told_s = now_s
                    loop.call_soon_threadsafe(self.reporter.share, share)

            draft = add_sound(draft_pictures(self.plan, pieces.pictures, pieces.tables), pieces.sounds)
            if draft.splicing is not None:
                encoding.extend(begin_encoding(draft.splicing, self.limits))
            write(draft, output, most_bytes=self.limits.output_bytes, checkpoint=checkpoint)
            loop.call_soon_threadsafe(_tell, drafted, draft)
            loop.call_soon_threadsafe(self.reporter.enter, "verify", 98.0, "checking the film")
            return verify_film(output, draft)

        async def encode_sound() -> None:
            if (splicing := (await drafted).splicing) is not None:
                await encode_around_joints(splicing, self.limits, encoding)

        async def decode_pictures() -> None:
            await verify_joints(await drafted, self.probes, self.limits)

        try:
            return await beside(in_thread(work), encode_sound(), decode_pictures())
        except BaseException:
            await asyncio.gather(*(each.stop() for each in encoding))
            raise

    def _picture(self, number: int, segment: Segment, steps: list[_Step], made: _Made) -> PictureSource:
        if segment.action is Action.COPY:
            return PictureSource(self.probes[segment.clip].path, segment.first_frame, segment.last_frame)
        if segment.graft is not None:
            return self._graft(number, segment, steps, made)
        if segment.action is Action.CONTINUE:
            return PictureSource(self._raw(number), 0, segment.frames)
        path = self.work / f"picture-{number}.mp4"

        async def run(report: Callable[[float], None], threads: int) -> None:
            ready = await self._ready_made(number)
            if ready is not None:
                made.taken[number] = ready
                return
            await encode_segment(
                self.plan, number, self.probes, self.wishes, self.limits, path, threads=threads, report=report
            )

        steps.append(_Step(float(segment.frames), clips_of(segment), run))
        return PictureSource(path, 0, segment.frames)

    def _graft(self, number: int, segment: Segment, steps: list[_Step], made: _Made) -> PictureSource:
        files = self._raw(number), self._raw(number + 1)

        async def run(report: Callable[[float], None], threads: int) -> None:
            ready = await self._ready_made(number)
            encoded = await asyncio.to_thread(_loaded, ready, segment.frames) if ready is not None else None
            if encoded is not None and ready is not None:
                made.taken[number] = ready
            else:
                encoded = await encode_graft(
                    self.plan, number, self.probes, self.wishes, self.limits, threads=threads, report=report
                )
            laying = partial(lay_graft, encoded, self.plan, number, self.probes, files)
            laid = await in_thread(lambda _flag: laying())
            made.tables[files[0]], made.tables[files[1]] = laid.transition, laid.continued

        steps.append(_Step(float(segment.frames), clips_of(segment), run))
        return PictureSource(files[0], 0, segment.frames)

    async def _ready_made(self, number: int) -> Path | None:
        if self.prepared is None:
            return None
        return await ready_made(self.prepared, self.plan, number, self.probes, self.wishes)

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
        steps.append(_Step(clip.frames / 100, (index,), run))
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
                    raise blame(error, step.clips, self.probes) from error
            shares.of(number)(1.0)

        # The longest first: the last to finish should not be the last to start.
        order = sorted(range(len(steps)), key=lambda number: -steps[number].weight)
        await all_of(*(one(number, steps[number]) for number in order))


def _tell(waiting: asyncio.Future[Draft], draft: Draft) -> None:
    if not waiting.done():  # whoever waited may have been cancelled
        waiting.set_result(draft)


def _loaded(path: Path, frames: int) -> EncodedGraft | None:
    """Return a transition that had been encoded beforehand; ``None`` if it is not what it is called."""
    try:
        found = EncodedGraft.load(path)
    except (ValueError, OSError):
        return None
    return found if found.has(frames) else None
