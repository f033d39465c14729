"""Writes the golden files of a version: job documents and events as that version leaves them behind.

    python -m tests.golden.make v2

Run it once, when a version is about to be released, and commit the files. They are never written again: tests show
that every later version still reads them.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from shared.bus.wire import encode
from shared.clock import iso
from shared.events import PAYLOADS, Event, EventData, EventName
from shared.job.clips import defer_order
from shared.job.control import cancel, regenerate, retry
from shared.job.document import Document
from shared.job.film import fail
from shared.job.mirror import begin_mirror, mirror_failed
from shared.job.model import Failure, Job, Stage
from shared.job.wishes import ClipFailurePolicy, FilmWishes, Joint, OverlayWish, Priority, SoundtrackWish
from tests.unit.shared.job import builders as b

HERE = Path(__file__).parent

_SAMPLE: dict[str, object] = {
    "clips": 2,
    "clip": 1,
    "attempt": 1,
    "task_id": "task-1-1",
    "origin": "provider",
    "stage": "generating",
    "code": "credits",
    "message": "Video 1 generation failed: Insufficient credits",
    "percent": 42.5,
    "eta_s": 3.0,
    "webhook": "job_1700000000000_0123456789abcdef-3-job-completed",
}
"""What the fields of events hold in the examples."""


_WISHES: dict[str, Any] = {
    "models": ("kling-3.0/video",),
    "resolution": "1080p",
    "film": FilmWishes(
        size=(1280, 720),
        fps="30",
        transition=Joint(kind="fade"),
        loudness_lufs=-14.0,
        soundtrack=SoundtrackWish(),
        overlay=OverlayWish(),
    ),
    "fields": {"Notes": "done"},
    "metadata": {"campaign": 7},
    "webhook_url": "https://user.example/hook",
    "webhook_events": ("video.ready",),
    "on_clip_failure": ClipFailurePolicy.SKIP,
    "min_clips": 2,
    "review": True,
    "priority": Priority.HIGH,
    "key_name": "main",
}


def jobs() -> dict[str, Job]:
    """Return a job in every state worth remembering, by name."""
    mixed = b.declined(b.ordering(b.clip_ready(b.accepted(5)), 2), 2, again_at=b.T + 1_000)
    mixed = b.fetching(b.generating(b.ambiguous(mixed, 3), 4), 4)
    timed_out = Failure(stage=Stage.UPLOADING, code="timeout", message="Timed out", retryable=True)
    writing = begin_mirror(b.accepted(), owner="writer", now=b.T, policy=b.POLICY)
    return {
        "pending": b.accepted(),
        "waiting": defer_order(b.accepted(1, record_id=None), 1, until=b.T + 500, why="the rate limit", now=b.T),
        "submitting": b.ordering(b.accepted()),
        "generating": mixed,
        "failing": b.gave_up(b.generating(b.generating(b.accepted(), 1), 2), 1),
        "processing": b.all_home(),
        "stitching": b.stitching(),
        "stitched": b.stitched(),
        "uploading": b.uploading(),
        "completed": b.completed(),
        "failed": fail(b.uploading(), failure=timed_out, now=b.T),
        "review": b.all_home(review=True),
        "remaking": regenerate(b.all_home(review=True), 2, prompt="another", now=b.T, request_id="r1"),
        "retried": retry(fail(b.uploading(), failure=timed_out, now=b.T), now=b.T),
        "cancelled": cancel(b.generating(b.accepted()), now=b.T, by="key main"),
        "wishes": b.accepted(3, **_WISHES),
        "record-left-alone": mirror_failed(writing, owner="writer", problem="HTTP 429", again_at=b.T + 30_000, now=b.T),
    }


def events() -> dict[EventName, Event]:
    """Return one example of every event, by name."""
    return {name: _example(payload) for name, payload in PAYLOADS.items()}


def _example(payload: type[EventData]) -> Event:
    data = {name: _SAMPLE[name] for name in payload.model_fields}
    event = Event.of(
        "job_1", payload.model_validate(data), source="gateway", step="1", traceparent=f"00-{'1' * 32}-{'2' * 16}-01"
    )
    return event.model_copy(update={"time": iso(b.T)})


def defaults() -> dict[str, Any]:
    """Return the default of every field of every part of a job's document, as JSON has it."""
    found: dict[str, Any] = {}
    waiting: list[type[Document]] = [Document]
    while waiting:
        part = waiting.pop()
        waiting += part.__subclasses__()
        for name, field in part.model_fields.items():
            if not field.is_required():
                found[f"{part.__name__}.{name}"] = to_jsonable_python(field.get_default(call_default_factory=True))
    return dict(sorted(found.items()))


def main(version: str) -> None:
    """Write the golden files of `version`, as the code is now, and note the defaults of fields that are new in it."""
    folder = HERE / version
    if any(folder.glob("*.json")):
        raise SystemExit(f"{folder} holds the files of a released version: they do not change any more")
    folder.mkdir(exist_ok=True)
    documents = {f"job-{name}": job.model_dump_json() for name, job in jobs().items()}
    documents |= {f"event-{name}": encode(event).decode() for name, event in events().items()}
    for name, document in documents.items():
        text = json.dumps(json.loads(document), indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    noted = HERE / "defaults.json"
    known = json.loads(noted.read_text(encoding="utf-8")) if noted.exists() else {}
    noted.write_text(json.dumps(defaults() | known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
