from collections.abc import Callable
from typing import Any

import pytest

from shared.airtable.delivery import Delivered, Deliverer, DeliveryOptions, Order
from shared.airtable.delivery_plan import FilmFile
from shared.airtable.errors import (
    AirtableAmbiguous,
    AirtableDown,
    AirtableRejected,
    RateLimited,
    RecordNotFound,
    TooLargeForUpload,
    UnknownField,
    UploadFailed,
)
from shared.airtable.memory import MemoryRecords, usual_schema
from shared.airtable.protocol import Attachment, Operation

NAME = "job_1.mp4"
SMALL = b"film" * 100
LARGE = b"x" * 6_000_000
FOREIGN = {
    "id": "attForeign0000001",
    "filename": "holiday.mp4",
    "size": 5,
    "url": "https://x.airtableusercontent.com/f",
}


class LeaseLost(Exception):
    """What a caller's heartbeat raises."""


def in_turn(*steps: Callable[[], None]) -> Callable[[], None]:
    """Return a function that does the first step on its first call, and so on."""
    coming = iter(steps)

    def step() -> None:
        next(coming)()

    return step


class Table(MemoryRecords):
    """Tells when an upload begins and has ended well."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.around_upload: Callable[[], None] = lambda: None

    async def upload(
        self, record_id: str, field: str, filename: str, content: bytes, content_type: str
    ) -> tuple[Attachment, ...]:
        self.around_upload()
        answer = await super().upload(record_id, field, filename, content, content_type)
        self.around_upload()
        return answer


class World:
    """A record in a table in memory, a clock that moves by sleeping, and a caller who wants a film delivered."""

    def __init__(self, content: bytes = SMALL, cell: list[dict[str, Any]] | None = None, **table: Any) -> None:
        self.content = content
        self.served: dict[str, bytes | None] = {}
        self.default: bytes | None = content
        self.records = Table(fetch=lambda url: self.served.get(url, self.default), **table)
        self.record_id = self.records.add({"Prompt 1": "a cat", **({"Video": cell} if cell else {})})
        self.now_s = 0.0
        self.on_sleep: Callable[[], None] = lambda: None
        self.heartbeats = 0
        self.beats_until_lost = 10_000
        self.origin = "https://video.example.com"

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.on_sleep()

    async def heartbeat(self) -> None:
        self.heartbeats += 1
        if self.heartbeats >= self.beats_until_lost:
            raise LeaseLost

    def media_url(self, number: int) -> str:
        return f"{self.origin}/media/try{number}/film.mp4"

    async def read_bytes(self) -> bytes:
        return self.content

    async def deliver(self, **options: Any) -> Delivered:
        deliverer = Deliverer(self.records, DeliveryOptions(**options), sleep=self.sleep, clock=lambda: self.now_s)
        return await deliverer.deliver(
            Order(
                record_id=self.record_id,
                film=FilmFile(NAME, len(self.content)),
                media_url=self.media_url,
                read_bytes=self.read_bytes,
                heartbeat=self.heartbeat,
            )
        )

    def nothing(self) -> None:
        pass

    def twin_arrives(self) -> None:
        self.records.cells(self.record_id).setdefault("Video", []).append(film_in_cell(len(self.content)))

    @property
    def cell(self) -> list[dict[str, Any]]:
        cell: list[dict[str, Any]] = self.records.cells(self.record_id).get("Video", [])
        return cell

    @property
    def files(self) -> list[tuple[str, int | None]]:
        return [(item["filename"], item.get("size")) for item in self.cell]

    def operations(self) -> list[Operation]:
        return [operation for operation, _ in self.records.calls]

    def count(self, operation: Operation) -> int:
        return self.operations().count(operation)


def film_in_cell(size: int, identity: str = "attEarlier0000001", filename: str = NAME) -> dict[str, Any]:
    return {"id": identity, "filename": filename, "size": size, "url": "https://x.airtableusercontent.com/e"}


class TestDirectly:
    async def test_a_small_film_is_uploaded_in_two_calls(self) -> None:
        world = World()
        delivered = await world.deliver()
        assert world.files == [(NAME, len(SMALL))]
        assert delivered == Delivered(world.cell[0]["id"], NAME, 2)
        assert world.operations() == [Operation.GET, Operation.UPLOAD]

    async def test_delivering_again_only_looks(self) -> None:
        world = World()
        first = await world.deliver()
        again = await world.deliver()
        assert again == Delivered(first.attachment_id, NAME, 1)
        assert world.files == [(NAME, len(SMALL))]

    async def test_other_files_and_films_of_other_jobs_stay(self) -> None:
        world = World(cell=[FOREIGN, film_in_cell(9, "attOther000000001", "job_0.mp4")])
        await world.deliver()
        assert world.files == [("holiday.mp4", 5), ("job_0.mp4", 9), (NAME, len(SMALL))]
        assert world.count(Operation.UPDATE) == 0

    async def test_an_earlier_film_of_the_job_is_replaced_after_the_new_one_is_there(self) -> None:
        world = World(cell=[film_in_cell(9), FOREIGN])
        await world.deliver()
        assert world.files == [("holiday.mp4", 5), (NAME, len(SMALL))]
        assert world.operations() == [Operation.GET, Operation.UPLOAD, Operation.UPDATE]

    async def test_copies_left_by_a_race_are_taken_out(self) -> None:
        twin = film_in_cell(len(SMALL), "attTwin0000000001")
        world = World(cell=[film_in_cell(len(SMALL)), FOREIGN, twin])
        delivered = await world.deliver()
        assert delivered.attachment_id == "attEarlier0000001"
        assert [item["id"] for item in world.cell] == ["attEarlier0000001", FOREIGN["id"]]

    @pytest.mark.parametrize("refusal", [TooLargeForUpload("413"), AirtableRejected("422", status=422)])
    async def test_a_refused_upload_goes_by_link_once(self, refusal: AirtableRejected) -> None:
        world = World(cell=[FOREIGN])
        world.records.fail_next(Operation.UPLOAD, refusal)
        await world.deliver()
        assert world.files == [("holiday.mp4", 5), (NAME, len(SMALL))]
        assert world.count(Operation.UPLOAD) == 1

    async def test_a_missing_attachment_field_is_an_error_at_once(self) -> None:
        world = World(schema=usual_schema(without=["Video"]))
        with pytest.raises(UnknownField):
            await world.deliver()
        assert world.count(Operation.UPDATE) == 0

    async def test_a_film_that_changed_in_the_store_is_not_uploaded(self) -> None:
        world = World()
        deliverer = Deliverer(world.records, sleep=world.sleep)
        order = Order(
            record_id=world.record_id,
            film=FilmFile(NAME, 99),
            media_url=world.media_url,
            read_bytes=world.read_bytes,
            heartbeat=world.heartbeat,
        )
        with pytest.raises(UploadFailed, match="400 bytes instead of 99"):
            await deliverer.deliver(order)
        assert world.files == []

    async def test_a_record_deleted_meanwhile_is_told(self) -> None:
        world = World()
        world.records.remove(world.record_id)
        with pytest.raises(RecordNotFound):
            await world.deliver()


class TestUnclearUpload:
    async def test_one_that_arrived_is_found_and_not_sent_again(self) -> None:
        world = World(cell=[FOREIGN])
        world.records.fail_next(Operation.UPLOAD, AirtableAmbiguous("time-out"), applied=True)
        await world.deliver()
        assert world.files == [("holiday.mp4", 5), (NAME, len(SMALL))]
        assert world.count(Operation.UPLOAD) == 1

    async def test_one_that_arrives_late_is_found(self) -> None:
        world = World()
        world.records.fail_next(Operation.UPLOAD, AirtableAmbiguous("time-out"))
        world.on_sleep = in_turn(world.nothing, world.twin_arrives)
        delivered = await world.deliver()
        assert delivered.attachment_id == "attEarlier0000001"
        assert world.count(Operation.UPLOAD) == 1

    async def test_one_that_did_not_arrive_is_sent_once_more_after_looking(self) -> None:
        world = World()
        world.records.fail_next(Operation.UPLOAD, AirtableAmbiguous("time-out"))
        await world.deliver()
        assert world.files == [(NAME, len(SMALL))]
        assert world.operations() == [
            Operation.GET,
            Operation.UPLOAD,
            *[Operation.GET] * 3,
            Operation.UPLOAD,
            Operation.GET,
        ]

    async def test_one_that_stays_unclear_is_left_to_a_later_try(self) -> None:
        world = World()
        for _ in range(2):
            world.records.fail_next(Operation.UPLOAD, AirtableAmbiguous("time-out"))
        with pytest.raises(AirtableAmbiguous) as caught:
            await world.deliver()
        assert caught.value.retryable
        await world.deliver()
        assert world.files == [(NAME, len(SMALL))]

    @pytest.mark.parametrize("then", [AirtableDown("502"), RateLimited("slowly", wait_s=30)], ids=lambda e: e.code)
    async def test_one_that_may_still_arrive_is_told_of_whatever_goes_away_next(self, then: AirtableDown) -> None:
        world = World()
        world.records.fail_next(Operation.UPLOAD, AirtableAmbiguous("time-out"))
        world.on_sleep = in_turn(lambda: world.records.fail_next(Operation.GET, then))
        with pytest.raises(AirtableAmbiguous) as caught:
            await world.deliver()
        assert caught.value.__cause__ is then

    async def test_without_one_the_reason_itself_is_told(self) -> None:
        world = World()
        world.records.fail_next(Operation.UPLOAD, AirtableDown("no connection", sent=False))
        with pytest.raises(AirtableDown):
            await world.deliver()

    async def test_if_both_arrive_one_is_taken_out(self) -> None:
        world = World()
        world.records.fail_next(Operation.UPLOAD, AirtableAmbiguous("time-out"))
        world.records.around_upload = in_turn(world.nothing, world.nothing, world.twin_arrives)
        await world.deliver()
        assert world.count(Operation.UPLOAD) == 2
        assert world.files == [(NAME, len(SMALL))]


class TestByLink:
    async def test_a_large_film_is_fetched_and_only_then_delivered(self) -> None:
        world = World(LARGE, cell=[FOREIGN], looks_until_fetched=3)
        delivered = await world.deliver()
        assert world.files == [("holiday.mp4", 5), (NAME, len(LARGE))]
        assert delivered.attachment_id == world.cell[1]["id"]
        assert world.operations() == [Operation.GET, Operation.UPDATE, *[Operation.GET] * 3]
        assert delivered.calls == 5

    async def test_an_earlier_film_of_the_job_is_replaced(self) -> None:
        world = World(LARGE, cell=[film_in_cell(9), FOREIGN])
        await world.deliver()
        assert world.files == [("holiday.mp4", 5), (NAME, len(LARGE))]

    async def test_a_fetch_begun_before_a_crash_is_waited_for_not_begun_again(self) -> None:
        world = World(LARGE, looks_until_fetched=4)
        world.beats_until_lost = 3
        with pytest.raises(LeaseLost):
            await world.deliver()
        world.beats_until_lost = 10_000
        await world.deliver()
        assert world.files == [(NAME, len(LARGE))]
        assert world.count(Operation.UPDATE) == 1

    async def test_a_failed_fetch_gets_a_fresh_link(self) -> None:
        world = World(LARGE, cell=[FOREIGN])
        world.served = {world.media_url(1): None, world.media_url(2): None}
        await world.deliver()
        assert world.files == [("holiday.mp4", 5), (NAME, len(LARGE))]
        assert world.count(Operation.UPDATE) == 3

    async def test_a_login_page_instead_of_the_film_is_recognised_and_replaced(self) -> None:
        world = World(LARGE)
        world.served = {world.media_url(1): b"<html>please log in</html>"}
        await world.deliver()
        assert world.files == [(NAME, len(LARGE))]

    async def test_a_link_that_never_works_fails_saying_what_to_check(self) -> None:
        world = World(LARGE, cell=[FOREIGN])
        world.default = None
        with pytest.raises(UploadFailed, match="PUBLIC_URL") as caught:
            await world.deliver()
        assert "https://video.example.com" in caught.value.message
        assert "try1" not in caught.value.message, "a signed link must not be shown"
        assert world.count(Operation.UPDATE) == 4
        assert world.files == [("holiday.mp4", 5)]

    async def test_a_page_in_front_of_every_link_is_named_as_the_cause(self) -> None:
        world = World(LARGE)
        world.default = b"<html>"
        with pytest.raises(UploadFailed, match=r"6 bytes from https://video\.example\.com instead of 6000000"):
            await world.deliver()

    async def test_a_fetch_that_takes_for_ever_ends(self) -> None:
        world = World(LARGE, looks_until_fetched=0)
        with pytest.raises(UploadFailed, match="within 600 s"):
            await world.deliver()
        assert 600 <= world.now_s < 660
        assert world.count(Operation.UPDATE) == 1
        assert world.count(Operation.GET) < 30

    async def test_an_attachment_that_airtable_left_broken_gets_a_fresh_link(self) -> None:
        world = World(LARGE, looks_until_fetched=0)
        broken: list[str] = []

        def break_first() -> None:
            for item in world.cell:
                if item["url"] == world.media_url(1):
                    item["url"] = "https://v5.airtableusercontent.com/broken"
                    broken.append(item["id"])
                elif item["id"] not in broken:
                    item.update(url="https://v5.airtableusercontent.com/ok", size=len(LARGE))

        world.on_sleep = break_first
        await world.deliver()
        assert world.files == [(NAME, len(LARGE))]
        assert world.count(Operation.UPDATE) == 2
        assert 60 <= world.now_s < 120

    @pytest.mark.parametrize("error", [AirtableDown("time-out"), RateLimited("429", wait_s=30)])
    async def test_a_link_whose_answer_was_lost_is_looked_for_first(self, error: AirtableDown) -> None:
        world = World(LARGE)
        world.records.fail_next(Operation.UPDATE, error, applied=True)
        await world.deliver()
        assert world.files == [(NAME, len(LARGE))]
        assert world.count(Operation.UPDATE) == 1

    async def test_a_link_that_was_not_taken_is_given_again(self) -> None:
        world = World(LARGE)
        world.records.fail_next(Operation.UPDATE, AirtableDown("time-out"))
        await world.deliver()
        assert world.files == [(NAME, len(LARGE))]
        assert world.count(Operation.UPDATE) == 2

    async def test_a_file_added_by_somebody_between_two_links_stays(self) -> None:
        world = World(LARGE)
        world.served = {world.media_url(1): None}
        world.on_sleep = lambda: (
            world.records.cells(world.record_id)["Video"].append(FOREIGN) if FOREIGN not in world.cell else None
        )
        await world.deliver()
        assert world.files == [("holiday.mp4", 5), (NAME, len(LARGE))]

    async def test_somebody_elses_unfinished_file_is_waited_for_because_it_could_not_be_kept(self) -> None:
        unfinished = {"filename": "holiday.mp4", "url": "https://elsewhere.example/h.mp4"}
        world = World(LARGE, cell=[unfinished])
        world.on_sleep = lambda: unfinished.update(id="attForeign0000001")
        await world.deliver()
        assert [name for name, _ in world.files] == ["holiday.mp4", NAME]

    async def test_somebody_elses_file_that_never_finishes_is_not_thrown_away(self) -> None:
        unfinished = {"filename": "holiday.mp4", "url": "https://elsewhere.example/h.mp4"}
        world = World(LARGE, cell=[unfinished])
        with pytest.raises(UploadFailed, match="another file"):
            await world.deliver()
        assert world.files == [("holiday.mp4", None)]

    async def test_the_right_size_under_an_unknown_host_counts_when_time_is_up(self) -> None:
        world = World(LARGE)
        delivered = await world.deliver(hosts=("somewhere.else",), ingest_timeout_s=60)
        assert delivered.attachment_id == world.cell[0]["id"]
        assert world.now_s >= 60

    async def test_a_private_link_is_refused_at_once_where_airtable_is_on_the_internet(self) -> None:
        world = World(LARGE)
        world.origin = "http://localhost:3000"
        with pytest.raises(UploadFailed, match="http://localhost:3000") as caught:
            await world.deliver(public_links_only=True)
        assert "try1" not in caught.value.message
        assert world.count(Operation.UPDATE) == 0

    async def test_a_film_too_large_for_airtable_is_refused_at_once(self) -> None:
        world = World()
        deliverer = Deliverer(world.records, sleep=world.sleep)
        order = Order(
            record_id=world.record_id,
            film=FilmFile(NAME, 1_000_000_001),
            media_url=world.media_url,
            read_bytes=world.read_bytes,
            heartbeat=world.heartbeat,
        )
        with pytest.raises(UploadFailed, match=r"up to 1000\.0 MB"):
            await deliverer.deliver(order)
        assert world.count(Operation.UPDATE) == 0


class TestHeartbeat:
    async def test_it_stops_a_delivery_before_anything_is_written(self) -> None:
        world = World()
        world.beats_until_lost = 1
        with pytest.raises(LeaseLost):
            await world.deliver()
        assert world.operations() == [Operation.GET]

    async def test_it_beats_at_least_once_between_two_waits(self) -> None:
        world = World(LARGE, looks_until_fetched=6)
        await world.deliver()
        assert world.heartbeats >= 6


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["directly", "by link"])
async def test_wherever_a_delivery_is_stopped_the_next_one_leaves_exactly_one_film(content: bytes) -> None:
    for beat in range(1, 12):
        world = World(content, cell=[FOREIGN, film_in_cell(9)], looks_until_fetched=3)
        world.beats_until_lost = beat
        try:
            await world.deliver()
        except LeaseLost:
            world.beats_until_lost = 10_000
            await world.deliver()
        assert sorted(world.files) == [("holiday.mp4", 5), (NAME, len(content))]


async def test_the_cell_is_never_without_the_earlier_film_while_a_small_one_replaces_it() -> None:
    world = World(cell=[film_in_cell(9)])
    seen: list[int] = []
    world.records.around_upload = lambda: seen.append(len(world.cell))
    await world.deliver()
    assert seen == [1, 2]
    assert world.files == [(NAME, len(SMALL))]
