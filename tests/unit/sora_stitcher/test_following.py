"""Following a job by its stream of events, and without one."""

from typing import Any

import pytest

from sora_stitcher.client import (
    AsyncClient,
    Client,
    Event,
    Job,
    JobWaitTimeout,
    NotFound,
    NotTheApi,
    Progress,
    Unauthorized,
    Unreachable,
)
from tests.support.scripted_partner import Reply, ScriptedPartner
from tests.unit.sora_stitcher.answers import BEGAN, JOB_ID, answered, completed, frame, job, refused, stream

EVENTS = f"/api/job/{JOB_ID}/events"


def later(status: str, **changes: Any) -> dict[str, Any]:
    return job(status, updatedAt=BEGAN + 9000, **changes)


def gist(events: list[Event]) -> list[object]:
    return [event.data.status if isinstance(event.data, Job) else event.data.message for event in events]


def test_jobs_and_progress_come_as_they_happen(gateway: ScriptedPartner) -> None:
    progress = {"percent": 87.5, "stage": "stitching", "message": "encoding", "etaSeconds": 3.5}
    gateway.script = [
        stream(
            ": still here\n\n",
            frame(job("pending"), 1),
            frame(later("stitching"), 2),
            frame(progress, name="progress"),
            frame({"new": 1}, name="of-a-newer-gateway"),
            frame(completed(), 5),
        )
    ]
    with Client(gateway.url, "secret-key") as client:
        events = list(client.events(JOB_ID))
    assert gist(events) == ["pending", "stitching", "encoding", "completed"]
    assert [event.id for event in events] == ["1", "2", None, "5"]
    assert isinstance(events[2].data, Progress)
    assert (events[2].data.percent, events[2].data.eta_seconds) == (87.5, 3.5)
    (request,) = gateway.requests
    assert (request.path, request.headers["Accept"]) == (EVENTS, "text/event-stream")
    assert request.headers["Authorization"] == "Bearer secret-key"
    assert "Last-Event-ID" not in request.headers


def test_a_stream_that_ends_is_resumed_where_it_ended(gateway: ScriptedPartner) -> None:
    gateway.script = [
        stream(frame(job("pending"), 3)),
        Reply(drop=True),
        Reply(503, refused("store_unavailable", "The store is not available")),
        stream(),
        stream(frame(completed(), 9)),
    ]
    with Client(gateway.url) as client:
        assert gist(list(client.events(JOB_ID, every_s=0.001))) == ["pending", "completed"]
    assert [request.headers.get("Last-Event-ID") for request in gateway.requests] == [None, "3", "3", "3", "3"]


def test_somebody_who_has_seen_all_of_it_sees_nothing_more(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(204, "")]
    with Client(gateway.url) as client:
        assert list(client.events(JOB_ID, last_event_id="9")) == []
    assert gateway.requests[0].headers["Last-Event-ID"] == "9"


def test_a_replica_without_room_is_asked_without_a_stream_meanwhile(gateway: ScriptedPartner) -> None:
    full = Reply(503, refused("too_many_streams", "All 500 live connections are used"), {"Retry-After": "5"})
    gateway.script = [full, Reply(200, answered(job())), Reply(200, answered(completed(updatedAt=BEGAN + 9500)))]
    with Client(gateway.url) as client:
        assert gist(list(client.events(JOB_ID, every_s=0.001))) == ["generating", "completed"]
    assert [request.path for request in gateway.requests] == [EVENTS, *[f"/api/job/{JOB_ID}"] * 2]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(404, refused("job_not_found", "Job not found: x")), NotFound),
        (Reply(401, refused("unauthorized", "an API key is required")), Unauthorized),
        (Reply(drop=True), Unreachable),
        (stream("event: job\ndata: nonsense\n\n"), NotTheApi),
        (stream("event: job\ndata: {}\n\n"), NotTheApi),
    ],
)
def test_what_cannot_be_followed_is_said_at_once(gateway: ScriptedPartner, reply: Reply, kind: type[Exception]) -> None:
    gateway.script = [reply]
    with Client(gateway.url) as client, pytest.raises(kind):
        list(client.events(JOB_ID, every_s=0.001))
    assert len(gateway.requests) == 1


def test_a_gateway_that_stays_away_is_given_up(gateway: ScriptedPartner) -> None:
    gateway.script = [stream(frame(job(), 1)), Reply(drop=True)]
    with Client(gateway.url) as client, pytest.raises(Unreachable):
        list(client.events(JOB_ID, every_s=0.001, patience_s=0.03))


def test_waiting_ends_with_its_time_or_with_the_status_one_waits_for(gateway: ScriptedPartner) -> None:
    gateway.script = [stream(frame(job(), 1))]
    with Client(gateway.url) as client:
        with pytest.raises(JobWaitTimeout, match="it goes on"):
            client.wait(JOB_ID, every_s=0.001, timeout_s=0.03)
        gateway.script = [stream(frame(job(), 1), frame(later("review"), 2))]
        assert client.wait(JOB_ID, until=("review",)).status == "review"


async def test_the_async_client_follows_alike(gateway: ScriptedPartner) -> None:
    gateway.script = [
        stream(frame(job("pending"), 3), frame({"percent": 10, "message": "x"}, name="progress")),
        Reply(drop=True),
        stream(frame(completed(), 9)),
    ]
    async with AsyncClient(gateway.url) as client:
        assert gist([event async for event in client.events(JOB_ID, every_s=0.001)]) == ["pending", "x", "completed"]
        gateway.script = [Reply(404, refused("not_found", "Not Found")), Reply(200, answered(completed()))]
        assert (await client.wait(JOB_ID, every_s=0.001)).status == "completed"
        gateway.script = [stream(frame(job(), 1), frame(later("review"), 2))]
        assert (await client.wait(JOB_ID, until=("review",))).status == "review"
