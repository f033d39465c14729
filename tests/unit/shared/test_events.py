"""Events: CloudEvents 1.0 envelopes with typed data."""

import re

import pytest
from pydantic import ValidationError

from shared.bus.wire import encode
from shared.events import (
    PAYLOADS,
    Event,
    EventData,
    EventName,
    JobCreated,
    JobFailed,
    JobStitched,
    VideoCallback,
    VideoRequested,
)
from tests.golden.make import events as golden_events

SAMPLES: list[EventData] = [
    JobCreated(clips=2),
    VideoRequested(clip=1),
    VideoCallback(clip=1, attempt=2, task_id="abc", origin="poll"),
    VideoCallback(clip=1, attempt=2),
    JobStitched(),
    JobFailed(stage="generating", code="credits", message="Insufficient credits"),
]


def event(payload: EventData, step: str = "1") -> Event:
    return Event.of("job_1", payload, source="gateway", step=step)


@pytest.mark.parametrize("payload", SAMPLES, ids=lambda payload: payload.name)
def test_an_event_comes_back_from_json_with_its_data(payload: EventData) -> None:
    sent = event(payload)
    received = Event.model_validate_json(encode(sent))
    assert received == sent
    assert received.payload() == payload
    assert received.name is payload.name


def test_the_envelope_is_a_cloud_event() -> None:
    """Required attributes and their types, after CloudEvents 1.0.2, sections 3.1 and 3.2."""
    sent = event(VideoRequested(clip=1))
    assert sent.specversion == "1.0"
    assert sent.type == "video.requested.v1"
    assert sent.source == "/services/gateway"
    assert sent.subject == "job_1"
    assert sent.datacontenttype == "application/json"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", sent.time)
    assert b"null" not in encode(sent), "an absent attribute is absent, not null"


def test_names_are_those_of_the_contract_and_every_name_has_its_data() -> None:
    assert set(PAYLOADS) == set(EventName)
    for name, payload in PAYLOADS.items():
        assert payload.name is name
        assert re.fullmatch(r"(job|video|webhook)\.[a-z]+", name)


def test_the_same_step_has_the_same_id_and_another_step_another() -> None:
    assert event(VideoRequested(clip=1), "1:1").id == event(VideoRequested(clip=1), "1:1").id
    ids = {
        event(VideoRequested(clip=1), "1:1").id,
        event(VideoRequested(clip=1), "1:2").id,
        event(JobCreated(clips=1), "1:1").id,
        Event.of("job_2", VideoRequested(clip=1), source="gateway", step="1:1").id,
    }
    assert len(ids) == 4


def test_the_trace_context_travels_along() -> None:
    context = f"00-{'1' * 32}-{'2' * 16}-01"
    sent = Event.of("job_1", JobStitched(), source="stitcher", step="1", traceparent=context)
    assert Event.model_validate_json(encode(sent)).traceparent == context


@pytest.mark.parametrize("name", EventName)
def test_what_we_produce_has_exactly_the_fields_of_the_contract(name: EventName) -> None:
    data = golden_events()[name].data
    payload = PAYLOADS[name].model_validate(data | {"invented": 1})
    assert set(data) == {field.alias or name for name, field in PAYLOADS[name].model_fields.items()}
    assert event(payload).data == data


def test_what_others_add_is_ignored() -> None:
    data = {"clip": 1, "attempt": 2, "taskId": "abc", "mood": "good"}
    envelope = event(VideoCallback(clip=1, attempt=2, task_id="abc")).model_dump() | {"data": data, "ttl": 9}
    assert Event.model_validate(envelope).payload() == VideoCallback(clip=1, attempt=2, task_id="abc")


@pytest.mark.parametrize(
    "kind", ["video.requested", "video.requested.v2", "video.requested.v1.v1", "nothing.v1", "v1", ""]
)
def test_an_event_of_another_version_or_name_is_not_taken_for_ours(kind: str) -> None:
    other = event(VideoRequested(clip=1)).model_copy(update={"type": kind})
    with pytest.raises(ValueError, match=re.escape(repr(kind))):
        other.payload()


@pytest.mark.parametrize("data", [{}, {"clip": None}, {"clip": "one"}, {"clip": [1]}])
def test_data_that_does_not_fit_is_refused(data: dict[str, object]) -> None:
    malformed = event(VideoRequested(clip=1)).model_copy(update={"data": data})
    with pytest.raises(ValidationError):
        malformed.payload()


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b"\xff", b'{"specversion": "0.3"}', b'{"id": 1}'])
def test_a_body_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(ValidationError):
        Event.model_validate_json(body)
