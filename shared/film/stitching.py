"""The engine's front door: clips in, film out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from .check_extras import check_extras
from .concat import concat_pieces
from .errors import ClipError, EncodeFailed, EngineError, InvalidWishes, TimedOut, VerifyFailed, unwritable
from .grafts import GraftRefused
from .limits import Limits
from .make import Maker
from .model import Probe
from .plan_model import Plan
from .planning import plan
from .poster import make_poster
from .prepare import probe_all, unwrap_all
from .prepared import Prepared
from .progress import Reporter
from .result import Fallback, Film, Progress
from .verify import Checked, verify_joined
from .wishes import Wishes
from .work_folder import Folder, WorkFolder, partial_beside


async def stitch(
    inputs: Sequence[Path | Probe],
    output: Path,
    wishes: Wishes = Wishes(),  # noqa: B008 - frozen
    *,
    progress: Callable[[Progress], None] | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    work_dir: Path | None = None,
    prepared: Prepared | None = None,
) -> Film:
    """Join clips into one MP4 film.

    Pictures that already have the film's form are copied bit by bit; only clips of another form, and the pictures
    inside transitions, go through an encoder. ``film.plan`` says what was done and why
    (``film.plan.explain()`` in words).

    Example:
        >>> film = await stitch([Path("a.mp4"), Path("b.mp4")], Path("film.mp4"), Wishes(transition=Transition()))
        >>> print(film.duration_s, *film.plan.explain())

    Args:
        inputs: Local video files (MP4, MOV, Matroska/WebM, MPEG-TS), in the order of the film. They are not trusted,
            and not changed. A :class:`Probe` made when the clip arrived saves looking at it again.
        output: The film; replaced atomically, and only by a film that passed its checks.
        wishes: Size, frame rate, transitions, sound, codec and so on. The default joins the clips as they are.
        progress: Called on the event loop with the stage, percent and time left.
        limits: Bounds on inputs, time, memory and disk.
        work_dir: Where temporary files go (a folder of our own inside it, always removed); the system's default
            when omitted. It needs room for whatever is encoded, not for what is copied.
        prepared: Pieces that :func:`encode_ahead` made before all clips were there; they are looked up before
            anything is encoded. A film that fails its checks with them is made without them.

    Returns:
        The film.

    Raises:
        ClipError: One of the inputs cannot be used; ``error.clip`` is its index.
        InvalidWishes: The wishes contradict themselves or the clips.
        EngineError: Anything else, typed (see :mod:`.errors`).
        asyncio.CancelledError: The caller was cancelled; every process is gone and every temporary file removed.
    """
    reporter = Reporter(progress)
    output = Path(output)
    partial = partial_beside(output)
    poster = wishes.poster_beside(output)
    if poster is not None and not poster.parent.is_dir():
        raise InvalidWishes(f"there is no folder {poster.parent} for the poster")
    try:
        _keep_inputs(inputs, wishes, (output, poster))
        with WorkFolder("stitch-", work_dir) as work:
            async with asyncio.timeout(limits.timeout_s):
                studio = _Studio(wishes, limits, work, reporter, prepared)
                film = await studio.produce(inputs, partial)
                film = replace(film, path=output, poster=await studio.poster(partial, film, poster))
                partial.replace(output)
    except TimeoutError as error:
        raise TimedOut(f"the film was not ready after {limits.timeout_s:.0f} s") from error
    except EOFError as error:
        raise EncodeFailed("a clip became shorter while it was being copied") from error
    except OSError as error:
        full = f"there is no room left for {output.name}; free some space and try again"
        raise unwritable(error, full=full, otherwise="the film could not be written") from error
    finally:
        with contextlib.suppress(NotADirectoryError):  # then there was no place to put it in, either
            partial.unlink(missing_ok=True)
    reporter.finish()
    return replace(film, timings_s=dict(reporter.timings_s))


def _keep_inputs(inputs: Sequence[Path | Probe], wishes: Wishes, outputs: Sequence[Path | None]) -> None:
    """Refuse to write over a file that the film is made of."""
    read = [each.path if isinstance(each, Probe) else each for each in inputs]
    read += [extra.path for extra in (wishes.soundtrack, wishes.logo) if extra is not None]
    for output in outputs:
        if output is not None and output.exists() and any(output.samefile(each) for each in read if each.exists()):
            raise InvalidWishes(f"{output} is one of the files that the film is made of: give the output another name")


class _Studio:
    """One film's making: what stays the same through its stages."""

    def __init__(
        self, wishes: Wishes, limits: Limits, work: Folder, reporter: Reporter, prepared: Prepared | None
    ) -> None:
        self._wishes, self._limits, self._work, self._reporter = wishes, limits, work, reporter
        self._prepared = prepared
        self._taken = 0
        self._notes: tuple[str, ...] = ()
        self._fallbacks: tuple[Fallback, ...] = ()

    async def produce(self, inputs: Sequence[Path | Probe], output: Path) -> Film:
        """Make the film at ``output``, by safer plans if the first fails its checks."""
        try:
            return await self._produce(inputs, output)
        except EngineError as error:
            error.given_up = len(self._fallbacks)
            raise

    async def _produce(self, inputs: Sequence[Path | Probe], output: Path) -> Film:
        if not inputs:
            raise InvalidWishes("a film needs at least one clip")
        self._reporter.enter("probe", 3.0, "looking at the clips")
        probes = await probe_all(inputs, self._limits)
        probes = await unwrap_all(probes, self._wishes, self._limits, self._work)
        await check_extras(self._wishes, self._limits)
        refused: frozenset[int] = frozenset()
        while True:
            first = plan(probes, self._wishes, max_duration_s=self._limits.film_duration_s, ungraftable=refused)
            grafted = frozenset(segment.clip for segment in first.segments if segment.graft is not None)
            try:
                return self._film(output, first, await self._make(first, probes, output))
            except (VerifyFailed, ClipError, FileNotFoundError) as error:
                reason = _reason(error)
                if self._taken:
                    # Whatever is wrong may be a piece's fault; of pieces made now, the film is what it always was.
                    self._fallbacks += (Fallback("prepared", reason),)
                    self._prepared = None
                    continue
                if not isinstance(error, VerifyFailed):
                    raise
                if not grafted:
                    self._fallbacks += (Fallback("copy", reason),)
                    break
                # A second refusal says that these clips are of a kind that does not take grafts.
                again = isinstance(error, GraftRefused) and not refused
                refused |= {error.joint} if again and isinstance(error, GraftRefused) else grafted
                self._fallbacks += (Fallback("graft", reason),)
        # A mix places the sound to the sample by other code than the splicer's; see concat.py for the rest.
        wary = [_distrusted(each) for each in probes]
        silent = first.sound is None or self._wishes.audio == "none"
        second = plan(wary, replace(self._wishes, audio="none" if silent else "exact"),
                      max_duration_s=self._limits.film_duration_s)  # fmt: skip
        return self._film(output, second, await self._make_safely(second, wary, output))

    async def poster(self, film_path: Path, film: Film, poster: Path | None) -> Path | None:
        """Make the poster of a film that is not in its place yet, if one is wished for."""
        if poster is None or self._wishes.poster_at_s is None:
            return None
        self._reporter.enter("poster", 99.0)
        at_s = min(self._wishes.poster_at_s, max(0.0, film.duration_s - float(1 / film.fps)))
        return await make_poster(film_path, poster, at_s, self._limits)

    async def _make(self, chosen: Plan, probes: Sequence[Probe], output: Path) -> Checked:
        self._taken = 0
        maker = Maker(chosen, probes, self._wishes, self._limits, self._work, self._reporter, self._prepared)
        pieces = await maker.pieces()
        self._notes, self._taken = pieces.notes, pieces.prepared
        return await maker.join(pieces, output)

    async def _make_safely(self, chosen: Plan, probes: Sequence[Probe], output: Path) -> Checked:
        maker = Maker(chosen, probes, self._wishes, self._limits, self._work, self._reporter)
        pieces = await maker.pieces()
        self._notes = pieces.notes
        self._reporter.enter("join", 95.0, "joining by ffmpeg")
        await concat_pieces(pieces, chosen, output, self._limits, self._work)
        self._reporter.enter("verify", 98.0, "checking the film")
        return await verify_joined(output, chosen, self._limits)

    def _film(self, path: Path, chosen: Plan, checked: Checked) -> Film:
        target = chosen.target
        return Film(
            path=path,
            bytes=checked.bytes,
            duration_s=checked.duration_s,
            width=target.width,
            height=target.height,
            fps=target.fps,
            frames=checked.frames,
            video_codec=target.codec,
            audio_codec="aac" if chosen.sound else None,
            plan=chosen,
            fallbacks=self._fallbacks,
            notes=self._notes,
            prepared=self._taken,
        )


def _reason(error: VerifyFailed | ClipError | FileNotFoundError) -> str:
    if isinstance(error, FileNotFoundError):
        return "a piece that had been encoded beforehand is gone"
    return f"{error.message}. {error.detail.strip()[:300]}".strip()


def _distrusted(found: Probe) -> Probe:
    """Return the probe of a clip of which nothing may be copied any more."""
    note = ("an earlier film with copies of it failed its checks",)
    audio = found.audio and replace(found.audio, odd=found.audio.odd + note)
    return replace(found, video=replace(found.video, odd=found.video.odd + note), audio=audio)
