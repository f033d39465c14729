"""The form for a new film: what was typed becomes the API's body, and its problems find their fields."""

import pytest
from pydantic import ValidationError

from services.gateway.bodies import CreateJob
from services.gateway.errors import ApiError, invalid_request
from services.gateway.pages.film_form import (
    CLIP_FIELDS,
    TEXTS,
    body_of,
    changed,
    line_problems,
    new_form,
    problems_of,
    read_film_form,
)
from services.gateway.pages.forms import Form
from services.gateway.pages.problem_words import problem_in_words, warning_in_words
from services.gateway.wishes import job_wish


def typed(**texts: str) -> Form:
    clips = [("prompt", "a boat\r\nat sea"), ("seconds", ""), ("prompt", "a harbour"), ("seconds", "5")]
    return Form([*clips, *texts.items()])


def test_a_form_becomes_the_body_that_the_api_accepts() -> None:
    form = typed(
        aspectRatio="portrait",
        transition="fade",
        transitionSeconds="0,8",
        musicUrl="https://example.com/a.mp3",
        musicVolume="0.5",
        loudness="-14",
        logoUrl="https://example.com/l.png",
        posterAt="1.5",
        fps="30",
        review="yes",
        onClipFailure="skip",
        minClips="1",
    )
    body = body_of(read_film_form(form))
    accepted = CreateJob.model_validate(body)
    assert [clip.prompt for clip in accepted.clips] == ["a boat\nat sea", "a harbour"]
    assert accepted.clips[1].duration_seconds == 5
    assert accepted.transition is not None
    assert accepted.transition.seconds == 0.8
    assert accepted.audio is not None
    assert accepted.audio.soundtrack is not None
    assert (accepted.audio.loudness, accepted.audio.soundtrack.volume) == (-14, 0.5)
    assert accepted.overlay is not None
    assert (accepted.review, accepted.min_clips, accepted.poster_at_seconds) == (True, 1, 1.5)


def test_what_is_left_empty_is_left_to_the_api() -> None:
    body = body_of(read_film_form(typed()))
    assert CreateJob.model_validate(body) == CreateJob.model_validate(
        {
            "clips": [{"prompt": "a boat\nat sea"}, {"prompt": "a harbour", "durationSeconds": 5}],
            "aspectRatio": "landscape",
        }
    )


def test_clips_have_wishes_of_their_own() -> None:
    rows = [
        {"clipUrl": "https://example.com/intro.mp4", "joint": "none"},
        {"prompt": "a boat", "seconds": "5", "clipModel": "kling/v3-turbo-text-to-video", "clipShape": "square"},
        {"clipUrl": "jobs/job_1_a/clip-1.mp4", "joint": "wipeleft", "jointSeconds": "0.8"},
        {"prompt": "a harbour", "clipSeed": "42", "joint": "fade"},
    ]
    fields = [(name, row.get(name, "")) for row in rows for name in CLIP_FIELDS]
    film = read_film_form(Form([*fields, ("transition", "dissolve"), ("transitionSeconds", "1")]))
    body = body_of(film)
    assert body["clips"] == [
        {"url": "https://example.com/intro.mp4"},
        {
            "prompt": "a boat",
            "durationSeconds": 5,
            "model": "kling/v3-turbo-text-to-video",
            "aspectRatio": "square",
        },
        {"artifact": "jobs/job_1_a/clip-1.mp4"},
        {"prompt": "a harbour", "seed": 42},
    ]
    # The last has nothing to go over to; the second goes as all of them do.
    assert body["transitions"] == [
        {"type": "none"},
        {"type": "dissolve", "seconds": 1},
        {"type": "wipeleft", "seconds": 0.8},
    ]
    assert "transition" not in body
    assert CreateJob.model_validate(body).clips[3].seed == 42


def test_lines_of_names_and_values_become_data() -> None:
    lines = "campaign: spring: one\n\n Reviewed : false\r\nBudget: 12.5\nList: [1, 2]\nDeep: " + "[" * 5_000
    body = body_of(read_film_form(typed(metadata=lines, recordId="rec" + "a" * 14, fields="Note:")))
    assert body["metadata"] == {
        "campaign": "spring: one",
        "Reviewed": False,
        "Budget": 12.5,
        "List": [1, 2],
        "Deep": "[" * 5_000,
    }
    assert body["fields"] == {"Note": ""}
    CreateJob.model_validate(body)


def test_every_line_that_is_no_name_and_value_is_told() -> None:
    film = read_film_form(typed(fields="Reviewed: true\nno colon", metadata="spring\n\na: b\n: c"))
    details = line_problems(film)
    problems = problems_of(ApiError(400, "invalid_request", "x", details=details))
    assert problems.by_field["fields"].startswith("Line 2 is no name and value")
    assert problems.by_field["metadata"].startswith("Lines 1, 4 are no name and value")
    assert body_of(film)["fields"] == {"Reviewed": True}


def test_numbers_and_choices_are_refused_in_the_words_of_the_page() -> None:
    form = typed(fps="500", loudness="loud", minClips="0", resolution="1p", posterAt="-1")
    with pytest.raises(ValidationError) as refused:
        CreateJob.model_validate(body_of(read_film_form(form)))
    assert dict(problems_of(invalid_request(refused.value.errors())).by_field) == {
        "fps": "Must be at most 120",
        "loudness": "Must be a number, such as 1.5",
        "minClips": "Must be at least 1",
        "resolution": "Must be one of 480p, 720p, 1080p, 1440p, 2160p",
        "posterAt": "Must be at least 0",
    }


@pytest.mark.parametrize("texts", [{"minClips": "2"}, {"tellClips": "yes"}, {"recordId": "", "fields": "A: 1"}])
def test_wishes_that_need_another_one_are_refused_without_the_names_of_the_body(texts: dict[str, str]) -> None:
    with pytest.raises(ApiError) as refused:
        job_wish(CreateJob.model_validate(body_of(read_film_form(typed(**texts)))), None)
    said = [*problems_of(refused.value).by_field.values()]
    assert said
    assert not [each for each in said if "`" in each]


def test_what_a_clip_cannot_have_is_told_without_the_names_of_the_body() -> None:
    assert problem_in_words("clips.0.seed", "Input should be a valid integer") == "Must be a whole number, such as 5"
    assert "`" not in problem_in_words(
        "clips.0.seed", "is for clips that are made of a prompt; this one has `artifact`"
    )


def test_webhooks_sound_and_logo_have_their_finer_wishes() -> None:
    form = typed(
        webhookUrl="https://example.com/hook",
        tellClips="yes",
        tellReview="yes",
        exactSound="yes",
        musicUrl="jobs/job_1_a/clip-2.mp4",
        musicFade="2",
        logoUrl="https://example.com/l.png",
        logoOpacity="0.5",
    )
    accepted = CreateJob.model_validate(body_of(read_film_form(form)))
    assert accepted.webhook_events == ["video.ready", "job.review"]
    assert accepted.audio is not None
    assert accepted.audio.soundtrack is not None
    assert (accepted.audio.exact, accepted.audio.soundtrack.fade) == (True, 2)
    assert accepted.audio.soundtrack.artifact == "jobs/job_1_a/clip-2.mp4"
    assert accepted.overlay is not None
    assert accepted.overlay.opacity == 0.5


def test_warnings_are_said_in_the_words_of_the_page() -> None:
    assert warning_in_words("clips.1.url: answers HTTP 404") == "The existing film of clip 2 answers HTTP 404"
    assert warning_in_words("audio.soundtrack.url: answers HTTP 404") == "The music answers HTTP 404"
    assert warning_in_words("clip 1: sora makes 8 s, not 7 s") == "Clip 1: sora makes 8 s, not 7 s"


def test_cards_are_added_removed_and_moved() -> None:
    film = read_film_form(typed())
    assert [clip.prompt for clip in changed(film, "up:2").clips] == ["a harbour", "a boat\nat sea"]
    assert [clip.prompt for clip in changed(film, "down:1").clips] == ["a harbour", "a boat\nat sea"]
    assert [clip.prompt for clip in changed(film, "remove:1").clips] == ["a harbour"]
    assert [clip.prompt for clip in changed(film, "add").clips] == ["a boat\nat sea", "a harbour", ""]
    for nonsense in ("up:1", "remove:9", "remove:-1", "up:x", "", "explode"):
        assert list(changed(film, nonsense).clips) == list(film.clips)
    assert len(changed(changed(film, "remove:1"), "remove:1").clips) == 1


def test_problems_stand_beside_their_fields() -> None:
    fields = {
        "clips.1.prompt": "prompt-1",
        "clips.0.durationSeconds": "seconds-0",
        "clips.2.url": "clipUrl-2",
        "clips.0.seed": "clipSeed-0",
        "transitions.1": "joint-1",
        "transitions.0.seconds": "jointSeconds-0",
        "metadata": "metadata",
        "audio.soundtrack.url": "musicUrl",
        "overlay.url": "logoUrl",
        "transition.seconds": "transitionSeconds",
        "webhookUrl": "webhookUrl",
    }
    details = [{"field": field, "message": "is wrong"} for field in [*fields, "models"]]
    problems = problems_of(ApiError(400, "invalid_request", "x", details=details))
    assert dict(problems.by_field) == dict.fromkeys(fields.values(), "Is wrong")
    assert problems.general == ["models: is wrong"]
    assert problems.open_advanced


def test_problems_without_details_are_told_in_general_or_beside_the_field_they_mean() -> None:
    assert problems_of(ApiError(429, "queue_full", "too many jobs")).general == ["Too many jobs"]
    missing = problems_of(ApiError(404, "record_not_found", "recordId: no such record"))
    assert dict(missing.by_field) == {"recordId": "No such record"}


def test_an_empty_form_has_two_cards_and_every_field() -> None:
    form = new_form("id")
    assert len(form.clips) == 2
    assert set(form.texts) == set(TEXTS)
