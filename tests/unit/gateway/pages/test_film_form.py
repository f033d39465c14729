"""The form for a new film: what was typed becomes the API's body, and its problems find their fields."""

from services.gateway.bodies import CreateJob
from services.gateway.errors import ApiError
from services.gateway.pages.film_form import TEXTS, body_of, changed, new_form, problems_of, read_film_form
from services.gateway.pages.forms import Form


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
        "audio.soundtrack.url": "musicUrl",
        "overlay.url": "logoUrl",
        "transition.seconds": "transitionSeconds",
        "webhookUrl": "webhookUrl",
    }
    details = [{"field": field, "message": "is wrong"} for field in [*fields, "metadata"]]
    problems = problems_of(ApiError(400, "invalid_request", "x", details=details))
    assert dict(problems.by_field) == dict.fromkeys(fields.values(), "Is wrong")
    assert problems.general == ["metadata: is wrong"]
    assert problems.open_advanced


def test_problems_without_details_are_told_in_general_or_beside_the_field_they_mean() -> None:
    assert problems_of(ApiError(429, "queue_full", "too many jobs")).general == ["Too many jobs"]
    missing = problems_of(ApiError(404, "record_not_found", "recordId: no such record"))
    assert dict(missing.by_field) == {"recordId": "No such record"}


def test_an_empty_form_has_two_cards_and_every_field() -> None:
    form = new_form("id")
    assert len(form.clips) == 2
    assert set(form.texts) == set(TEXTS)
