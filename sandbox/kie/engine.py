"""The life of tasks at the kie.ai twin: taken, waiting, queuing, generating, success or fail, callback."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any, cast

from sandbox.clips.render import AudioLayout, ClipError, ClipSpec, clip_number, frame_size
from sandbox.clips.studio import ClipStudio
from sandbox.config import ClipConfig, KieConfig
from sandbox.faults import Fault, marker_words, without_markers
from sandbox.kie.callbacks import CallbackSender
from sandbox.kie.models import ordered_aspect, ordered_seconds, reports_progress
from sandbox.kie.tasks import FAILURES, TERMINAL, State, Task

logger = logging.getLogger(__name__)

#: How long a createTask answer with `callback=early` waits for the callback to be answered.
_EARLY_WAIT_S = 5.0

#: Limits of what a marker may ask for (two hours at one frame a second is a fine test of caps).
_SENSIBLE: dict[str, tuple[float, float]] = {
    "clip": (0, 0xFFFF),
    "take": (1, 255),
    "width": (64, 4096),
    "height": (64, 4096),
    "fps": (1, 120),
    "seconds": (0.01, 14_400),
    "gop": (1, 10_000),
    "crf": (0, 51),
    "audio_rate_hz": (8000, 96_000),
}


def now_ms() -> int:
    """Return Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def clip_spec(prompt: str, model: str, given: dict[str, Any], clips: ClipConfig, take: int) -> ClipSpec:
    """Return the clip that an order makes.

    Markers in the prompt override: `clip=7`, `take=2`, `seconds=1.5`, `fps=24`, `size=640x360`, `gop=30`, `crf=28`,
    `audio=none|mono|stereo`, `rate=44100`.

    Raises:
        ValueError: A marker's value makes no sense.
    """
    said = dict(word.partition("=")[::2] for word in marker_words(prompt))
    width, height = frame_size(ordered_aspect(given), clips.short_side)
    if "size" in said:
        wide, _, high = said["size"].partition("x")
        width, height = int(wide) // 2 * 2, int(high) // 2 * 2
    shown = without_markers(prompt)
    spec = ClipSpec(
        prompt=shown,
        clip=int(said.get("clip", clip_number(shown))),
        take=int(said.get("take", min(take, 255))),
        caption=model,
        width=width,
        height=height,
        fps=int(said.get("fps", clips.fps)),
        seconds=float(said.get("seconds", clips.seconds or ordered_seconds(given))),
        gop=int(said.get("gop", clips.gop)),
        crf=int(said.get("crf", clips.crf)),
        audio=cast("AudioLayout", said.get("audio", "stereo")),
        audio_rate_hz=int(said.get("rate", 48_000)),
    )
    for name, (least, most) in _SENSIBLE.items():
        if not least <= getattr(spec, name) <= most:
            raise ValueError(f"{name} must lie between {least} and {most}")
    return spec


class KieEngine:
    """All tasks of the twin and the coroutines that move them on.

    Attributes:
        config: In force now; replaced as a whole by the control plane.
        tasks: By task id, oldest first.
        credits: Balance.
        callbacks: Sends the callbacks and remembers them.
    """

    def __init__(self, config: KieConfig, clips: ClipConfig, studio: ClipStudio) -> None:
        self.config = config
        self.clips = clips
        self.studio = studio
        self.tasks: dict[str, Task] = {}
        self.files: dict[str, Task] = {}
        self.credits = config.credits
        self.callbacks = CallbackSender(lambda: self.config)
        self._takes: Counter[str] = Counter()
        self._running: set[asyncio.Task[None]] = set()

    async def reset(self) -> None:
        """Forget everything that has happened; what runs is stopped."""
        await self._stop()
        self.tasks.clear()
        self.files.clear()
        self._takes.clear()
        self.callbacks.deliveries.clear()
        self.credits = self.config.credits

    async def aclose(self) -> None:
        """Stop everything."""
        await self._stop()

    async def _stop(self) -> None:
        running = list(self._running)
        for coroutine in running:
            coroutine.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def take(self, body: dict[str, Any], origin: str, faults: list[Fault]) -> Task:
        """Take an order that was found valid: charge it, and make it a task that waits.

        Raises:
            ValueError: A clip marker in the prompt makes no sense.
        """
        prompt, model = str(body["input"]["prompt"]), str(body["model"])
        number = self._takes[prompt] + 1 if self.clips.takes else 1
        spec = clip_spec(prompt, model, body["input"], self.clips, number)
        self._takes[prompt] += 1
        created_ms = now_ms()
        task = Task(
            task_id=secrets.token_hex(16),
            model=model,
            body=body,
            prompt=prompt,
            spec=spec,
            faults=faults,
            created_ms=created_ms,
            updated_ms=created_ms,
            file_name=f"{created_ms}-{secrets.token_hex(6)}.mp4",
            origin=origin,
            price=self.config.credits_per_clip,
        )
        self.credits -= task.price
        self.tasks[task.task_id] = task
        self.files[task.file_name] = task
        self.files[task.file_name.replace(".mp4", "-watermark.mp4")] = task
        return task

    async def start(self, task: Task) -> None:
        """Set a task going. With `callback=early` it is finished, and its callback answered, before this returns."""
        if "early" in task.words("callback"):
            await self._render(task)
            self._finish(task, fail=next(iter(task.words("fail")), ""))
            report = self.spawn(self.callbacks.report(task))
            await asyncio.wait([report], timeout=_EARLY_WAIT_S)
        else:
            self.spawn(self._live(task))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside; it ends with the twin at the latest."""
        running = asyncio.create_task(work)
        self._running.add(running)
        running.add_done_callback(self._ended)
        return running

    def _ended(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        if not running.cancelled() and (error := running.exception()) is not None:
            logger.error("a task of the kie.ai twin broke", exc_info=error)

    async def finish_by_hand(self, task: Task, *, fail: str = "") -> None:
        """End a task now, whatever its faults say, and deliver its callback beside.

        Args:
            task: Any that has not ended.
            fail: A word of `FAILURES`, or "" for success.
        """
        if task.state in TERMINAL:
            return
        if not fail:
            await self._render(task)
        self._finish(task, fail=fail)
        self.spawn(self.callbacks.report(task))

    async def _live(self, task: Task) -> None:
        fail = next(iter(task.words("fail")), "")
        rendering = None if fail else self.spawn(self._render(task))
        words, config = task.words("task"), self.config
        await self._stay(task, config.waiting_ms)
        if "stuck_waiting" in words:
            return
        self._enter(task, "queuing", 0)
        await self._stay(task, config.queuing_ms)
        self._enter(task, "generating", 20)
        await self._tell_progress(task)
        if "stuck" in words:
            return
        extra_ms = words["slow"].number(5000) if "slow" in words else 0
        await self._stay(task, config.generating_ms)
        await asyncio.sleep(extra_ms / 1000)
        if rendering is not None:
            await rendering
        if task.state in TERMINAL:  # ended by hand meanwhile
            return
        self._finish(task, fail=fail or ("" if task.path else "internal"))
        await self.callbacks.report(task)

    async def _stay(self, task: Task, duration_ms: float) -> None:
        spread = self.config.jitter
        await asyncio.sleep(duration_ms * random.uniform(1 - spread, 1 + spread) / 1000)  # noqa: S311 - no secret

    def _enter(self, task: Task, state: State, progress: int) -> None:
        if task.state not in TERMINAL:
            task.state, task.progress, task.updated_ms = state, progress, now_ms()

    async def _tell_progress(self, task: Task) -> None:
        if "progress" in task.words("callback") and task.callback_url:
            await self.callbacks.progress(task, task.callback_url)
        url = task.body.get("progressCallBackUrl")
        if isinstance(url, str) and url and reports_progress(task.model):
            await self.callbacks.progress(task, url)

    async def _render(self, task: Task) -> None:
        """Make the clip; one that cannot be made leaves `path` None, and the task fails as the real one's would."""
        try:
            task.path = await self.studio.clip(task.spec)
        except ClipError:
            logger.exception("no clip for task %s", task.task_id)

    def _finish(self, task: Task, fail: str = "") -> None:
        task.updated_ms = task.completed_ms = now_ms()
        task.progress = 100
        if not fail:
            task.state = "success"
            return
        task.state = "fail"
        task.fail_code, task.fail_msg = FAILURES.get(fail, (fail, "Generation failed"))
        self.credits += task.price
