from datetime import UTC, datetime

import pytest

from shared.bus.letters import Letter, UnknownQueue, choose, letter_headers, read_letter
from shared.bus.wire import encode
from tests.support.bus import READY_STITCHER, REQUESTED, requested


def test_a_letter_survives_its_headers() -> None:
    headers = letter_headers("bad", 3, 1_700_000_000_000)
    assert read_letter(b"x", headers) == Letter(str(headers["uid"]), b"x", "bad", 3, 1_700_000_000_000)


def test_a_letter_that_the_broker_itself_put_there_is_read_too() -> None:
    died = datetime(2024, 1, 2, tzinfo=UTC)
    headers = {
        "uid": "u",
        "attempt": 2,
        "x-first-death-reason": "delivery_limit",
        "x-death": [{"time": died, "queue": "generator.video.requested"}],
    }
    assert read_letter(b"x", headers) == Letter("u", b"x", "broker: delivery_limit", 2, int(died.timestamp() * 1000))


def test_a_letter_without_any_headers_has_a_stable_id() -> None:
    one, two = read_letter(b"x", {}), read_letter(b"x", {})
    assert one == two
    assert one.uid
    assert one.uid != read_letter(b"y", {}).uid
    assert (one.reason, one.attempts, one.died_at) == ("broker: unknown", 1, 0)


def test_a_letter_shows_its_event() -> None:
    event = requested()
    shown = Letter("u", encode(event), "bad", 3, 5).shown(REQUESTED)
    assert (shown.id, shown.queue, shown.event, shown.reason, shown.attempts, shown.died_at) == (
        "u",
        REQUESTED.queue,
        event,
        "bad",
        3,
        5,
    )


def test_a_letter_that_is_no_event_shows_what_it_is() -> None:
    shown = Letter("u", b"\xffnot json", "not an event", 1, 5).shown(REQUESTED)
    assert (shown.event.type, shown.event.id) == ("malformed", "u")
    assert shown.event.data == {"raw": "\ufffdnot json"}


def test_queues_are_chosen_by_name_with_or_without_their_ending() -> None:
    all_of_them = (REQUESTED, READY_STITCHER)
    assert choose(all_of_them, None) == list(all_of_them)
    assert choose(all_of_them, "stitcher.video.ready") == [READY_STITCHER]
    assert choose(all_of_them, "stitcher.video.ready.dead") == [READY_STITCHER]
    with pytest.raises(UnknownQueue, match=r"generator\.video\.requested, stitcher\.video\.ready"):
        choose(all_of_them, "stitcher")
