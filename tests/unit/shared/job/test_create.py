"""Making a new job, and the document's own rules."""

import re

import pytest
from pydantic import ValidationError

from shared.job._edit import TIMELINE_LIMIT, log
from shared.job.create import ClipWish, JobWish, new_job, new_job_id, new_task_id
from shared.job.document import TEXT_LIMIT
from shared.job.model import ClipStatus, Failure, Job, JobStatus, Stage
from tests.unit.shared.job.builders import RECORD, T, accepted


def test_a_new_job_waits_for_its_clips_in_the_order_of_the_wishes() -> None:
    wishes = (ClipWish("a", duration_s=8), ClipWish("b", model="kling"))
    job = new_job("job_1", ["1" * 32, "2" * 32], JobWish(clips=wishes, record_id=RECORD), T, traceparent="00-…")
    assert (job.status, job.created_at, job.progress_at, job.record_id) == (JobStatus.PENDING, T, T, RECORD)
    assert [(clip.number, clip.prompt, clip.duration_s, clip.model, clip.status) for clip in job.clips] == [
        (1, "a", 8, None, ClipStatus.PENDING),
        (2, "b", None, "kling", ClipStatus.PENDING),
    ]
    assert [entry.what for entry in job.timeline] == ["accepted with 2 clips"]


def test_a_film_of_one_clip_is_a_film_and_of_none_is_not() -> None:
    assert accepted(1).timeline[0].what == "accepted with 1 clip"
    with pytest.raises(ValueError, match="at least one clip"):
        new_job("job_1", [], JobWish(clips=()), T)


def test_every_wish_needs_a_task_id() -> None:
    with pytest.raises(ValueError, match="longer"):
        new_job("job_1", ["1"], JobWish(clips=(ClipWish("a"), ClipWish("b"))), T)


def test_ids_look_as_documented_and_do_not_repeat() -> None:
    assert re.fullmatch(r"job_1700000000000_[0-9a-f]{16}", new_job_id(1_700_000_000_000))
    assert re.fullmatch(r"[0-9a-f]{32}", new_task_id())
    assert len({new_job_id(1) for _ in range(100)} | {new_task_id() for _ in range(100)}) == 200


def test_the_timeline_keeps_the_newest_entries() -> None:
    job = accepted()
    for number in range(TIMELINE_LIMIT + 10):
        job = log(job, T, Stage.GENERATING, f"entry {number}")
    assert len(job.timeline) == TIMELINE_LIMIT
    assert job.timeline[-1].what == f"entry {TIMELINE_LIMIT + 9}"


def test_what_others_wrote_is_kept_short() -> None:
    failure = Failure(stage=Stage.GENERATING, code="server", message="x" * 1_000_000)
    assert len(failure.message) == TEXT_LIMIT
    assert len(log(accepted(), T, Stage.GENERATING, "y" * 1_000_000).timeline[-1].what) == TEXT_LIMIT


def test_a_job_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(accepted(), "status", JobStatus.COMPLETED)  # noqa: B010


def test_a_document_comes_back_as_it_was_stored() -> None:
    job = accepted()
    assert Job.model_validate_json(job.model_dump_json()) == job
