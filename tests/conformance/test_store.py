"""What every job-store backend must do; each test runs on memory, SQLite, Redis and Upstash REST."""

import asyncio
import uuid
from dataclasses import replace

import pytest

from shared.store.protocol import Backend, Row
from tests.support.fixtures_store import Connect, FakeClock
from tests.support.waiting import eventually

DOCUMENT = '{"id": "j", "title": "ein Büschel\\nÄhren 🌾", "n": 1}\n second line \u0001'


def row(job_id: str = "job_1", **changes: object) -> Row:
    plain = Row(job_id, 1, "pending", 1_000, due_at=None, expires_at=None, document=DOCUMENT)
    return replace(plain, **changes)  # type: ignore[arg-type]


def token() -> str:
    return uuid.uuid4().hex


async def put(backend: Backend, job_id: str, **changes: object) -> None:
    assert await backend.insert(row(job_id, **changes), token())


async def listing(backend: Backend, status: str | None = None, limit: int = 100) -> list[str]:
    """All documents page by page; the tests' documents are their ids."""
    seen: list[str] = []
    cursor = None
    while True:
        page = await backend.page(status, limit, cursor)
        seen += page.documents
        cursor = page.cursor
        if cursor is None:
            return seen


class TestRows:
    async def test_a_stored_document_comes_back_as_it_was(self, store_backend: Backend) -> None:
        assert await store_backend.insert(row(), token())
        assert await store_backend.load("job_1") == (1, DOCUMENT)

    async def test_an_unknown_job_is_none(self, store_backend: Backend) -> None:
        assert await store_backend.load("job_nobody") is None

    async def test_a_large_document_comes_back_as_it_was(self, store_backend: Backend) -> None:
        large = "ü" * 300_000
        await put(store_backend, "job_1", document=large)
        assert await store_backend.load("job_1") == (1, large)

    async def test_an_id_is_given_once(self, store_backend: Backend) -> None:
        assert await store_backend.insert(row(), token())
        assert not await store_backend.insert(row(document="other"), token())
        assert await store_backend.load("job_1") == (1, DOCUMENT)

    async def test_of_many_simultaneous_inserts_one_wins(self, connect_store: Connect) -> None:
        handles = [await connect_store() for _ in range(3)]
        won = await asyncio.gather(*(handles[n % 3].insert(row(document=str(n)), token()) for n in range(30)))
        assert sum(won) == 1
        assert await handles[0].load("job_1") == (1, str(won.index(True)))
        assert await handles[0].counts() == {"pending": 1}

    async def test_a_swap_replaces_the_expected_version(self, store_backend: Backend) -> None:
        await put(store_backend, "job_1")
        assert await store_backend.swap(row(version=2, document="second"), 1, token())
        assert await store_backend.load("job_1") == (2, "second")

    async def test_a_swap_of_another_version_changes_nothing(self, store_backend: Backend) -> None:
        await put(store_backend, "job_1")
        await store_backend.swap(row(version=2, document="second"), 1, token())
        assert not await store_backend.swap(row(version=2, document="late", status="failed"), 1, token())
        assert await store_backend.load("job_1") == (2, "second")
        assert await store_backend.counts() == {"pending": 1}

    async def test_a_swap_of_a_missing_row_does_not_create_it(self, store_backend: Backend) -> None:
        assert not await store_backend.swap(row(version=2), 1, token())
        assert await store_backend.load("job_1") is None
        assert await store_backend.counts() == {}

    async def test_writers_on_several_handles_lose_no_increment(self, connect_store: Connect) -> None:
        handles = [await connect_store() for _ in range(4)]
        await put(handles[0], "job_1", document="0")

        async def increment(backend: Backend) -> None:
            while True:
                stored = await backend.load("job_1")
                assert stored is not None
                version, document = stored
                changed = row(version=version + 1, document=str(int(document) + 1))
                if await backend.swap(changed, version, token()):
                    return

        async with asyncio.TaskGroup() as writers:
            for n in range(20):
                writers.create_task(increment(handles[n % 4]))
        assert await handles[0].load("job_1") == (21, "20")

    async def test_a_deleted_row_is_gone_from_everywhere(self, store_backend: Backend) -> None:
        await put(store_backend, "job_1", due_at=1, expires_at=1)
        await store_backend.delete("job_1")
        assert await store_backend.load("job_1") is None
        assert await store_backend.due(10, 10) == []
        assert await store_backend.expired(10, 10) == []
        assert await store_backend.oldest_due_created_at() is None
        assert await store_backend.counts() == {}
        assert await listing(store_backend) == []

    async def test_deleting_twice_is_as_good_as_once(self, store_backend: Backend) -> None:
        await put(store_backend, "job_1")
        await store_backend.delete("job_1")
        await store_backend.delete("job_1")
        await store_backend.delete("job_nobody")
        assert await store_backend.counts() == {}

    async def test_a_deleted_id_can_be_used_again(self, store_backend: Backend) -> None:
        await put(store_backend, "job_1")
        await store_backend.delete("job_1")
        assert await store_backend.insert(row(document="again"), token())
        assert await store_backend.load("job_1") == (1, "again")

    async def test_another_handle_sees_what_was_written(self, connect_store: Connect) -> None:
        writer, reader = await connect_store(), await connect_store()
        await put(writer, "job_1", document="here")
        assert await reader.load("job_1") == (1, "here")

    async def test_ping_returns_when_writes_are_accepted(self, store_backend: Backend) -> None:
        await store_backend.ping()
        await store_backend.ping()


class TestRepeatedWrites:
    """A client that lost an answer sends its write again."""

    async def test_a_repeated_insert_succeeds_again(self, store_backend: Backend) -> None:
        assert await store_backend.insert(row(), "t1")
        assert await store_backend.insert(row(), "t1")
        assert await store_backend.counts() == {"pending": 1}

    async def test_a_repeated_swap_succeeds_again_and_writes_once(self, store_backend: Backend) -> None:
        await put(store_backend, "job_1")
        second = row(version=2, document="second", status="generating")
        assert await store_backend.swap(second, 1, "t2")
        assert await store_backend.swap(second, 1, "t2")
        assert await store_backend.load("job_1") == (2, "second")
        assert await store_backend.counts() == {"generating": 1}

    async def test_a_write_is_known_again_after_others_came_in_between(self, store_backend: Backend) -> None:
        assert await store_backend.insert(row(), "t1")
        assert await store_backend.swap(row(version=2), 1, "t2")
        assert await store_backend.swap(row(version=3, document="third"), 2, "t3")
        assert await store_backend.insert(row(), "t1")
        assert await store_backend.swap(row(version=2), 1, "t2")
        assert await store_backend.load("job_1") == (3, "third")

    async def test_a_row_does_not_grow_with_its_writes(self, store_backend: Backend) -> None:
        await put(store_backend, "job_1")
        for version in range(1, 21):
            assert await store_backend.swap(row(version=version + 1), version, f"t{version}")
        assert not await store_backend.swap(row(version=2), 1, "t1"), "only the latest writes are remembered"
        assert await store_backend.swap(row(version=21), 20, "t20")

    async def test_a_conflict_stays_a_conflict_when_repeated(self, store_backend: Backend) -> None:
        await put(store_backend, "job_1")
        assert await store_backend.swap(row(version=2), 1, token())
        assert not await store_backend.swap(row(version=2), 1, "late")
        assert not await store_backend.swap(row(version=2), 1, "late")


class TestDue:
    async def test_the_most_overdue_comes_first_and_the_future_not_at_all(self, store_backend: Backend) -> None:
        for job_id, due_at in (("a", 300), ("b", 100), ("c", 200), ("d", 301), ("e", None)):
            await put(store_backend, job_id, due_at=due_at)
        assert await store_backend.due(300, 10) == ["b", "c", "a"]

    async def test_no_more_than_asked_for_are_returned(self, store_backend: Backend) -> None:
        for n in range(5):
            await put(store_backend, f"job_{n}", due_at=n)
        assert await store_backend.due(10, 2) == ["job_0", "job_1"]

    async def test_a_swap_moves_the_due_time(self, store_backend: Backend) -> None:
        await put(store_backend, "a", due_at=100)
        await put(store_backend, "b", due_at=200)
        assert await store_backend.swap(row("a", version=2, due_at=300), 1, token())
        assert await store_backend.due(300, 10) == ["b", "a"]

    async def test_a_swap_may_end_what_was_outstanding(self, store_backend: Backend) -> None:
        await put(store_backend, "a", due_at=100)
        assert await store_backend.swap(row("a", version=2, due_at=None, expires_at=500), 1, token())
        assert await store_backend.due(1_000, 10) == []
        assert await store_backend.expired(499, 10) == []
        assert await store_backend.expired(500, 10) == ["a"]

    async def test_the_oldest_expired_comes_first(self, store_backend: Backend) -> None:
        for job_id, expires_at in (("a", 30), ("b", 10), ("c", 20), ("d", None)):
            await put(store_backend, job_id, expires_at=expires_at)
        assert await store_backend.expired(25, 10) == ["b", "c"]
        assert await store_backend.expired(25, 1) == ["b"]

    async def test_an_expiring_job_may_be_taken_up_again(self, store_backend: Backend) -> None:
        await put(store_backend, "a", expires_at=10)
        assert await store_backend.swap(row("a", version=2, due_at=5), 1, token())
        assert await store_backend.expired(100, 10) == []

    async def test_the_age_of_the_oldest_outstanding_job_is_known(self, store_backend: Backend) -> None:
        assert await store_backend.oldest_due_created_at() is None
        await put(store_backend, "finished", created_at=1, due_at=None)
        await put(store_backend, "young", created_at=30, due_at=1)
        await put(store_backend, "old", created_at=20, due_at=9)
        assert await store_backend.oldest_due_created_at() == 20
        assert await store_backend.swap(row("old", version=2, created_at=20, due_at=None), 1, token())
        assert await store_backend.oldest_due_created_at() == 30


class TestListing:
    async def test_newest_first_then_by_id(self, store_backend: Backend) -> None:
        for job_id, created_at in (("a", 9), ("c", 1_000_000_000_000), ("b", 10), ("d", 10)):
            await put(store_backend, job_id, created_at=created_at, document=job_id)
        assert await listing(store_backend) == ["c", "d", "b", "a"]

    @pytest.mark.parametrize("limit", [1, 3, 7, 100])
    async def test_pages_hold_every_job_once(self, store_backend: Backend, limit: int) -> None:
        for n in range(14):
            await put(store_backend, f"job_{n:02}", created_at=1_000 + n // 3, document=f"job_{n:02}")
        assert await listing(store_backend, limit=limit) == [f"job_{n:02}" for n in reversed(range(14))]

    async def test_the_last_page_has_no_cursor(self, store_backend: Backend) -> None:
        for n in range(4):
            await put(store_backend, f"job_{n}", created_at=n)
        first = await store_backend.page(None, 2, None)
        second = await store_backend.page(None, 2, first.cursor)
        assert (len(first.documents), len(second.documents), second.cursor) == (2, 2, None)

    async def test_an_empty_store_has_an_empty_page(self, store_backend: Backend) -> None:
        page = await store_backend.page(None, 10, None)
        assert (page.documents, page.cursor) == ((), None)

    async def test_a_page_goes_on_where_it_stopped_while_jobs_come_and_go(self, store_backend: Backend) -> None:
        for n in range(6):
            await put(store_backend, f"job_{n}", created_at=n, document=f"job_{n}")
        first = await store_backend.page(None, 3, None)
        await put(store_backend, "job_new", created_at=99, document="job_new")
        await store_backend.delete("job_3")
        await store_backend.delete("job_1")
        rest = await store_backend.page(None, 3, first.cursor)
        assert first.documents == ("job_5", "job_4", "job_3")
        assert rest.documents == ("job_2", "job_0")
        assert rest.cursor is None

    async def test_one_status_can_be_listed(self, store_backend: Backend) -> None:
        for n in range(9):
            status = ("pending", "failed", "generating")[n % 3]
            await put(store_backend, f"job_{n}", created_at=n, document=f"job_{n}", status=status)
        assert await listing(store_backend, "failed", limit=2) == ["job_7", "job_4", "job_1"]
        assert await listing(store_backend, "completed") == []

    async def test_a_swap_moves_a_job_to_its_new_status(self, store_backend: Backend) -> None:
        await put(store_backend, "a", created_at=1, document="a")
        await put(store_backend, "b", created_at=2, document="b")
        assert await store_backend.swap(row("a", version=2, created_at=1, status="failed", document="A"), 1, token())
        assert await listing(store_backend, "pending") == ["b"]
        assert await listing(store_backend, "failed") == ["A"]
        assert await listing(store_backend) == ["b", "A"]

    @pytest.mark.parametrize("cursor", ["", "x", "!!!", "bm9uZQ", "OjE", "LTE6YQ", "é", "MTA6YQ==="])
    async def test_a_foreign_cursor_is_refused(self, store_backend: Backend, cursor: str) -> None:
        with pytest.raises(ValueError, match="cursor"):
            await store_backend.page(None, 10, cursor)

    async def test_counts_follow_every_write(self, store_backend: Backend) -> None:
        assert await store_backend.counts() == {}
        for n in range(3):
            await put(store_backend, f"job_{n}")
        assert await store_backend.counts() == {"pending": 3}
        assert await store_backend.swap(row("job_0", version=2, status="failed"), 1, token())
        assert await store_backend.swap(row("job_1", version=2, status="failed"), 1, token())
        await store_backend.delete("job_2")
        counts = await store_backend.counts()
        assert {status: count for status, count in counts.items() if count} == {"failed": 2}


class TestClaims:
    async def test_the_first_holds_the_key(self, store_backend: Backend) -> None:
        assert await store_backend.claim("lock", "me", 60_000) == "me"
        assert await store_backend.claim("lock", "you", 60_000) == "me"
        assert await store_backend.claim("lock", "me", 60_000) == "me"
        assert await store_backend.claim("other", "you", 60_000) == "you"

    async def test_of_many_simultaneous_claims_all_name_one_holder(self, connect_store: Connect) -> None:
        handles = [await connect_store() for _ in range(3)]
        holders = await asyncio.gather(*(handles[n % 3].claim("lock", f"p{n}", 60_000) for n in range(30)))
        assert len(set(holders)) == 1

    async def test_only_the_holder_frees_it(self, store_backend: Backend) -> None:
        await store_backend.claim("lock", "me", 60_000)
        await store_backend.release("lock", "you")
        assert await store_backend.claim("lock", "you", 60_000) == "me"
        await store_backend.release("lock", "me")
        await store_backend.release("lock", "me")
        assert await store_backend.claim("lock", "you", 60_000) == "you"

    async def test_it_is_free_again_after_its_time(self, store_backend: Backend, store_clock: FakeClock) -> None:
        await store_backend.claim("lock", "me", 50)

        async def mine() -> bool:
            store_clock.now += 10  # Redis counts by its own clock, the others by this one
            return await store_backend.claim("lock", "you", 60_000) == "you"

        await eventually(mine, "the claim expires")

    async def test_claiming_again_renews_it(self, store_backend: Backend, store_clock: FakeClock) -> None:
        await store_backend.claim("lock", "me", 50)
        await store_backend.claim("lock", "me", 600_000)
        await store_backend.claim("short", "me", 50)

        async def short_is_over() -> bool:
            store_clock.now += 10
            return await store_backend.claim("short", "you", 60_000) == "you"

        await eventually(short_is_over, "the claim that was not renewed expires")
        assert await store_backend.claim("lock", "you", 60_000) == "me"


class TestMarks:
    async def test_a_mark_is_seen_by_all(self, connect_store: Connect) -> None:
        setter, getter = await connect_store(), await connect_store()
        await setter.put_mark("breaker:sora-2", "open since 5 ms", 1_000)
        assert await getter.get_mark("breaker:sora-2") == "open since 5 ms"
        assert await getter.get_mark("breaker:other") is None

    async def test_it_disappears_after_its_time(self, store_backend: Backend, store_clock: FakeClock) -> None:
        await store_backend.put_mark("a", "1", 1_000)
        store_clock.now += 999
        assert await store_backend.get_mark("a") == "1"
        store_clock.now += 1
        assert await store_backend.get_mark("a") is None
        assert await store_backend.marks("") == {}

    async def test_the_last_value_and_time_hold(self, store_backend: Backend, store_clock: FakeClock) -> None:
        await store_backend.put_mark("a", "1", 1_000)
        await store_backend.put_mark("a", "2", 5_000)
        store_clock.now += 2_000
        assert await store_backend.get_mark("a") == "2"

    async def test_living_marks_are_listed_by_prefix(self, store_backend: Backend, store_clock: FakeClock) -> None:
        await store_backend.put_mark("breaker:a", "1", 1_000)
        await store_backend.put_mark("breaker:b%", "2", 5_000)
        await store_backend.put_mark("pause:a", "", 5_000)
        assert await store_backend.marks("breaker:") == {"breaker:a": "1", "breaker:b%": "2"}
        store_clock.now += 1_000
        assert await store_backend.marks("breaker:") == {"breaker:b%": "2"}
        assert await store_backend.marks("") == {"breaker:b%": "2", "pause:a": ""}

    async def test_setting_one_clears_only_dead_ones_away(self, store_backend: Backend, store_clock: FakeClock) -> None:
        await store_backend.put_mark("dead", "1", 10)
        await store_backend.put_mark("alive", "2", 1_000)
        store_clock.now += 10
        await store_backend.put_mark("new", "3", 1_000)
        assert await store_backend.marks("") == {"alive": "2", "new": "3"}
