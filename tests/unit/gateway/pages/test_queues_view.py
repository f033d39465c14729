"""How long messages wait and what runs, from what processes say of themselves."""

from services.gateway.pages.queues_view import LATELY_MS, age, queue_rows, service_rows
from shared.bus.protocol import QueueStats
from shared.presence import Present, Taken

NOW = 1_700_000_000_000
QUEUE = "stitcher.video.ready"


def process(service: str, version: str = "1.0.0", name: str = "host:1", taken: Taken | None = None) -> Present:
    return Present(
        service=service,
        instance=name,
        version=version,
        started_at=NOW - 65_000,
        seen_at=NOW - 4_000,
        taken={QUEUE: taken} if taken is not None else {},
    )


def test_a_queue_that_is_being_emptied_is_as_old_as_what_was_taken_lately() -> None:
    quick, slow = Taken(at=NOW - 1_000, waited_ms=200), Taken(at=NOW - 9_000, waited_ms=3_400)
    assert age([quick], None, NOW) == "under 1 s"
    assert age([quick, slow], NOW - 500, NOW) == "about 3 s"


def test_a_queue_that_nobody_empties_is_no_older_than_what_follows_the_last_message_taken() -> None:
    last = Taken(at=NOW - LATELY_MS, waited_ms=10_000)
    assert age([last], NOW - 3_600_000, NOW) == "at most 40 s"
    assert age([last], NOW - 2_000, NOW) == "at most 2 s"  # no message is older than the film it is of
    assert age([], NOW - 90_000, NOW) == "at most 1 min 30 s"
    assert age([], None, NOW) == "not known"


def test_only_queues_in_which_something_waits_have_an_age() -> None:
    stats = [QueueStats(QUEUE, ready=5, consumers=0, dead=0), QueueStats("other", ready=0, consumers=1, dead=0)]
    processes = [process("stitcher", taken=Taken(at=NOW - 60_000, waited_ms=0))]
    assert [row.age for row in queue_rows(stats, [], processes, None, NOW)] == ["at most 1 min 00 s", ""]


def test_services_are_shown_by_version_and_missing_ones_as_missing() -> None:
    processes = [process("gateway"), process("generator", "0.9.0"), process("generator", name="host:2")]
    rows = service_rows(processes, "1.0.0", NOW)
    found = [(row.service, row.version, len(row.instances), row.is_other_version) for row in rows]
    assert found == [
        ("gateway", "1.0.0", 1, False),
        ("generator", "0.9.0", 1, True),
        ("generator", "1.0.0", 1, False),
        ("stitcher", "", 0, False),
        ("uploader", "", 0, False),
    ]
    assert (rows[0].instances[0].up, rows[0].instances[0].seen) == ("1 min 05 s", "4 s ago")
    assert [row.service for row in service_rows([process("embedded")], "1.0.0", NOW)] == ["embedded"]
