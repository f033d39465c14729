import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.wire import Malformed, Stamp, decode, deliver, encode, payload_problem
from shared.events import Event
from tests.support.bus import REQUESTED, ready, requested

headers = st.dictionaries(
    st.sampled_from(["uid", "attempt", "due_ms", "seen", "x-death"]),
    st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.floats(), st.lists(st.integers())),
)


def test_an_event_survives_the_wire() -> None:
    event = requested()
    assert decode(encode(event), REQUESTED) == event


def test_absent_attributes_are_not_sent_as_null() -> None:
    assert b"traceparent" not in encode(requested())


def test_unknown_attributes_are_ignored() -> None:
    body = encode(requested()).replace(b'"source"', b'"tracestate":"x","source"')
    assert decode(body, REQUESTED).id == requested().id


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not an event"),
        (b"\xff\xfe", "not an event"),
        (b"[]", "not an event"),
        (b'{"id": 1}', "id: Input should be a valid string"),
        (encode(ready()), "type 'video.ready.v1' does not belong in generator.video.requested"),
        (encode(requested().model_copy(update={"type": "nonsense"})), "'nonsense' does not belong"),
    ],
)
def test_what_is_not_an_event_of_its_queue_is_malformed(body: bytes, problem: str) -> None:
    with pytest.raises(Malformed, match=problem):
        decode(body, REQUESTED)


@given(st.binary(max_size=200))
def test_no_body_whatever_makes_reading_fail_otherwise(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode(body, REQUESTED)


def test_a_payload_problem_says_where_but_not_what_came_in() -> None:
    bad = requested().model_copy(update={"data": {"clip": "secret"}})
    problem = payload_problem(bad)
    assert problem
    assert problem.startswith("malformed data: clip: ")
    assert "secret" not in problem
    assert payload_problem(requested()) is None


def test_a_stamp_survives_its_headers() -> None:
    stamp = Stamp("u", 3, 1_700_000_000_123, seen=True)
    assert Stamp.read(stamp.headers(), 0) == stamp


@given(headers)
def test_nonsense_in_headers_reads_as_a_first_attempt(nonsense: dict[str, object]) -> None:
    stamp = Stamp.read(nonsense, 5)
    assert stamp.attempt >= 1
    assert isinstance(stamp.uid, str)
    assert isinstance(stamp.due_ms, int)


def test_a_copy_has_a_name_of_its_own() -> None:
    stamp = Stamp.fresh(1000)
    again = stamp.again(2, 5000)
    assert again.uid != stamp.uid
    assert (again.attempt, again.due_ms, again.seen) == (2, 5000, True)


def test_waiting_is_counted_from_when_the_message_was_due() -> None:
    event: Event = requested()
    assert deliver(event, Stamp.fresh(1000), 3500, redelivered=False).waited_s == 2.5
    assert deliver(event, Stamp.fresh(1000), 900, redelivered=False).waited_s == 0
    assert deliver(event, Stamp.fresh(1000, seen=True), 900, redelivered=False).redelivered
