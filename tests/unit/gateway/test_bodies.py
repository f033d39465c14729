"""What may be posted."""

import pytest
from pydantic import ValidationError

from services.gateway.bodies import MAX_PROMPT_CHARS, CreateJob, GenerateVideo, ProcessRecord, usable_prompt
from shared.job.model import AspectRatio

RECORD = "recXXXXXXXXXXXXXX"


def test_the_originals_example_is_read_in_full() -> None:
    body = GenerateVideo.model_validate(
        {
            "prompt1": "A chef cooking pasta in a kitchen",
            "prompt2": "Plating the finished pasta dish",
            "recordId": RECORD,
            "aspectRatio": "landscape",
        }
    )
    assert (body.prompt1[:6], body.record_id, body.aspect_ratio) == ("A chef", RECORD, AspectRatio.LANDSCAPE)
    assert ProcessRecord.model_validate({"recordId": RECORD, "aspectRatio": "portrait"}).aspect_ratio == "portrait"


def test_null_means_not_given_where_a_field_may_be_left_out() -> None:
    body = CreateJob.model_validate({"clips": [{"prompt": "a", "model": None}], "recordId": None, "aspectRatio": None})
    assert (body.record_id, body.aspect_ratio, body.clips[0].model) == (None, None, None)


def test_nothing_is_converted_from_another_type() -> None:
    for wrong in ({"prompt": "a", "durationSeconds": "5"}, {"prompt": "a", "durationSeconds": True}, {"prompt": 5}):
        with pytest.raises(ValidationError):
            CreateJob.model_validate({"clips": [wrong]})


def test_a_prompt_of_the_greatest_length_is_taken() -> None:
    assert len(usable_prompt("x" * MAX_PROMPT_CHARS)) == MAX_PROMPT_CHARS
    with pytest.raises(ValueError, match=f"has {MAX_PROMPT_CHARS + 1} characters"):
        usable_prompt("x" * (MAX_PROMPT_CHARS + 1))


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u00a0", "\u2003"])
def test_a_prompt_of_blanks_alone_is_none(blank: str) -> None:
    with pytest.raises(ValueError, match="empty or blank"):
        usable_prompt(blank)
