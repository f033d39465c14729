"""Texts of others are kept whatever they hold: short, and such that the document can be written."""

import pytest

from shared.job.document import TEXT_LIMIT, shortened
from shared.job.mirror import begin_mirror, mirror_failed
from shared.job.model import Failure, Job, Stage
from tests.unit.shared.job.builders import POLICY, T, accepted

HALF_AN_EMOJI = "cut in mid-\ud83d"


@pytest.mark.parametrize("length", [0, 1, TEXT_LIMIT - 1, TEXT_LIMIT, TEXT_LIMIT + 1, 10 * TEXT_LIMIT])
def test_a_text_is_kept_up_to_the_limit(length: int) -> None:
    kept = shortened("ä" * length)
    assert len(kept) == min(length, TEXT_LIMIT)
    assert kept.endswith("…") == (length > TEXT_LIMIT)


def test_half_a_surrogate_pair_in_a_partner_s_words_does_not_keep_a_failure_from_being_written() -> None:
    failure = Failure(stage=Stage.UPLOADING, code="airtable_rejected", message=HALF_AN_EMOJI)
    job = accepted().but(failure=failure)
    kept = Job.model_validate_json(job.model_dump_json())
    assert kept.failure is not None
    assert kept.failure.message == "cut in mid-?"


@pytest.mark.parametrize("again_at", [T + 1_000, None])
def test_nor_a_failure_to_write_to_the_record(again_at: int | None) -> None:
    job = begin_mirror(accepted(), owner="uploader", now=T, policy=POLICY)
    job = mirror_failed(job, owner="uploader", problem=HALF_AN_EMOJI, again_at=again_at, now=T)
    kept = Job.model_validate_json(job.model_dump_json())
    assert kept.mirror.problem == "cut in mid-?"
