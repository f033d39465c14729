"""Copying the statuses into the record."""

import pytest

from shared.job.document import TEXT_LIMIT
from shared.job.film import begin_stitch, fail
from shared.job.mirror import (
    NAMES,
    begin_mirror,
    end_mirror,
    is_settled,
    mirror_failed,
    mirrored,
    next_status,
    renew_mirror,
)
from shared.job.model import Job, JobStatus
from tests.unit.shared.job.builders import (
    POLICY,
    T,
    accepted,
    all_home,
    completed,
    failure,
    generating,
    ordering,
    refusal,
    stitched,
    stitching,
)

LAPSED = T + POLICY.lease_ms
LATE = T + POLICY.mirror_patience_ms + 1


def begin(job: Job, owner: str = "writer", now: int = T) -> Job:
    return begin_mirror(job, owner=owner, now=now, policy=POLICY)


def wrote(job: Job, written: int, owner: str = "writer", now: int = T) -> Job:
    return mirrored(job, owner=owner, written=written, now=now, policy=POLICY)


def written_words(job: Job, now: int) -> list[str]:
    """What a writer that begins now writes, in order."""
    words, job = [], begin(job, now=now)
    while (due := next_status(job, now=now, policy=POLICY)) is not None:
        words.append(NAMES[due[0]])
        job = wrote(job, due[1], now=now)
    assert end_mirror(job, owner="writer", now=now, policy=POLICY).mirror.written == len(job.passages)
    return words


def test_every_status_has_its_word() -> None:
    assert set(NAMES) == set(JobStatus)


class TestOrder:
    def test_every_status_is_written_in_its_turn(self) -> None:
        assert written_words(stitching(), T) == ["Generating", "Processing", "Stitching"]

    def test_pending_and_generating_are_the_same_word_and_written_once(self) -> None:
        assert written_words(accepted(), T) == ["Generating"]
        assert written_words(ordering(accepted()), T) == ["Generating"]
        written = wrote(begin(accepted()), 1)
        assert next_status(ordering(written), now=T, policy=POLICY) is None

    def test_what_was_overtaken_long_ago_is_skipped(self) -> None:
        assert written_words(stitching(), LATE) == ["Stitching"]
        assert written_words(fail(stitching(), failure=failure(), now=T), LATE) == ["Failed"]

    def test_what_was_overtaken_just_now_is_still_written(self) -> None:
        assert written_words(fail(stitching(), failure=failure(), now=LATE), LATE) == ["Stitching", "Failed"]

    def test_never_goes_back(self) -> None:
        job = wrote(wrote(begin(stitching()), 4), 2)
        assert job.mirror.written == 4

    def test_never_runs_ahead_of_the_job(self) -> None:
        assert wrote(begin(accepted()), 9).mirror.written == 1

    def test_is_nothing_without_a_record(self) -> None:
        assert next_status(accepted(record_id=None), now=T, policy=POLICY) is None
        assert refusal(lambda: begin(accepted(record_id=None))) == "nothing_to_mirror"


class TestOneWriter:
    def test_at_a_time(self) -> None:
        job = begin(accepted(), "me")
        assert begin(job, "me", T + 1) is job
        assert refusal(lambda: begin(job, "other", LAPSED - 1)) == "lease_held"

    def test_is_replaced_when_it_fell_silent_and_its_late_word_is_refused(self) -> None:
        job = begin(begin(accepted(), "frozen"), "next", LAPSED)
        assert refusal(lambda: wrote(job, 1, "frozen")) == "not_owner"
        assert end_mirror(job, owner="frozen", now=LAPSED, policy=POLICY) is job
        assert mirror_failed(job, owner="frozen", problem="?", again_at=None, now=LAPSED) is job

    def test_keeps_the_right_while_it_writes(self) -> None:
        job = wrote(begin(accepted()), 1, now=T + 10)
        assert job.mirror.lease is not None
        assert job.mirror.lease.expires_at == T + 10 + POLICY.lease_ms

    def test_renews_the_right_while_airtable_takes_its_time(self) -> None:
        job = renew_mirror(begin(accepted(), "me"), owner="me", now=T + 10, policy=POLICY)
        assert job.mirror.lease is not None
        assert job.mirror.lease.expires_at == T + 10 + POLICY.lease_ms
        taken_over = begin(job, "next", T + 10 + POLICY.lease_ms)
        assert refusal(lambda: renew_mirror(taken_over, owner="me", now=T, policy=POLICY)) == "not_owner"

    def test_goes_on_if_a_status_came_meanwhile(self) -> None:
        job = wrote(begin(stitching()), 3)
        assert refusal(lambda: end_mirror(job, owner="writer", now=T, policy=POLICY)) == "more_to_mirror"

    def test_gives_the_right_back(self) -> None:
        job = end_mirror(wrote(begin(accepted()), 1), owner="writer", now=T, policy=POLICY)
        assert job.mirror.lease is None
        assert end_mirror(job, owner="writer", now=T, policy=POLICY) is job
        assert refusal(lambda: begin(job)) == "nothing_to_mirror"

    def test_does_not_hinder_the_work_on_the_job(self) -> None:
        assert generating(begin(accepted())).status is JobStatus.GENERATING


class TestFailing:
    def test_leaves_airtable_alone_for_a_while(self) -> None:
        job = mirror_failed(begin(accepted()), owner="writer", problem="429", again_at=T + 50, now=T)
        assert (job.mirror.attempts, job.mirror.problem, job.mirror.lease) == (1, "429", None)
        assert refusal(lambda: begin(job, now=T + 49)) == "too_early"
        assert begin(job, now=T + 50).mirror.lease is not None

    def test_is_forgotten_with_the_next_success(self) -> None:
        job = mirror_failed(begin(accepted()), owner="writer", problem="429", again_at=T, now=T)
        mirror = wrote(begin(job), 1).mirror
        assert (mirror.attempts, mirror.problem, mirror.not_before) == (0, None, 0)

    def test_twice_for_the_same_reason_changes_nothing(self) -> None:
        job = mirror_failed(begin(accepted()), owner="writer", problem="429", again_at=T + 50, now=T)
        assert mirror_failed(job, owner="writer", problem="429", again_at=T + 50, now=T) is job

    def test_for_ever_settles_the_mirror_and_says_so(self) -> None:
        job = fail(accepted(), failure=failure(), now=T)
        job = mirror_failed(begin(job), owner="writer", problem="no such record", again_at=None, now=T)
        assert is_settled(job)
        assert job.timeline[-1].what == "the record's Status could not be written: no such record"

    def test_for_ever_does_not_stop_the_statuses_to_come(self) -> None:
        job = mirror_failed(begin(all_home()), owner="writer", problem="422", again_at=None, now=T)
        assert next_status(job, now=T, policy=POLICY) is None
        later = begin_stitch(job, owner="stitcher", now=T, policy=POLICY)
        assert next_status(later, now=T, policy=POLICY) == (JobStatus.STITCHING, 4)

    def test_keeps_problems_short(self) -> None:
        job = mirror_failed(begin(accepted()), owner="writer", problem="x" * 10_000, again_at=T, now=T)
        assert len(job.mirror.problem or "") == TEXT_LIMIT


class TestSettled:
    @pytest.mark.parametrize(
        "job", [completed(), completed(record_id=None), fail(accepted(record_id=None), failure=failure(), now=T)]
    )
    def test_is_a_job_that_is_over_and_whose_record_says_so(self, job: Job) -> None:
        assert is_settled(job)

    @pytest.mark.parametrize("job", [accepted(), stitched(), fail(accepted(), failure=failure(), now=T)])
    def test_is_no_other(self, job: Job) -> None:
        assert not is_settled(job)

    def test_is_a_failed_job_once_its_record_says_so(self) -> None:
        job = fail(accepted(), failure=failure(), now=T)
        assert is_settled(wrote(begin(job), 2))
