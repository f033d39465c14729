"""Pages as browsers without scripts use them: forms that are posted, and what comes back."""

import re
from html import unescape
from typing import Any, NoReturn

import httpx
import pytest

from services.gateway.pages.films_view import PAGE, STEP, find
from shared.errors import StoreUnavailable
from shared.job.create import ClipWish, JobWish, new_job, new_job_id
from shared.job.model import ClipStatus, JobStatus
from tests.support.fixtures_world import OpenWorld
from tests.support.world import World


@pytest.fixture
async def w(open_world: OpenWorld) -> World:
    """The gateway with its pages, open to everybody."""
    return await open_world(services=())


def hidden(page: httpx.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found is not None, name
    return unescape(found.group(1))


async def post(w: World, page: httpx.Response, **fields: Any) -> httpx.Response:
    """Post the form of a page as it was given out, with what was typed."""
    form = {"csrf": hidden(page, "csrf"), "requestId": hidden(page, "requestId"), **fields}
    return await w.http.post(page.url.path, data=form, headers={"Origin": str(w.http.base_url).rstrip("/")})


async def test_a_form_posted_again_with_other_wishes_is_shown_again_and_then_makes_another_film(w: World) -> None:
    form = await w.http.get("/films/new")
    made = await post(w, form, prompt="a boat")
    assert made.status_code == 303, made.text
    assert (await post(w, form, prompt="a boat")).headers["location"] == made.headers["location"]
    changed = await post(w, form, prompt="a harbour")
    assert changed.status_code == 409
    assert "This form made a film already" in changed.text
    assert "Idempotency-Key" not in changed.text
    assert "a harbour" in changed.text
    another = await post(w, changed, prompt="a harbour")
    assert another.status_code == 303
    assert another.headers["location"] != made.headers["location"]


@pytest.mark.parametrize("operation", ["create", "estimate"])
async def test_what_was_typed_is_kept_while_something_is_down(
    w: World, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    async def away(_prefix: str) -> NoReturn:
        raise StoreUnavailable("away")

    form = await w.http.get("/films/new")
    w.backend.down = True
    monkeypatch.setattr(w.backend, "marks", away)
    refused = await post(w, form, prompt="a boat in a storm", op=operation)
    w.backend.down = False
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "5"
    assert "The store does not answer" in refused.text
    assert "a boat in a storm" in refused.text
    assert hidden(refused, "requestId") == hidden(form, "requestId"), "a film that was made all the same stays one"


async def test_two_people_who_have_a_clip_made_anew_ask_for_two_takes(w: World) -> None:
    wish = JobWish(clips=(ClipWish("a boat"),), review=True)
    job = await w.store.create(new_job(new_job_id(w.clock()), ["t1"], wish, w.clock()))
    clips = tuple(clip.but(status=ClipStatus.READY) for clip in job.clips)
    await w.store.update(job.id, lambda each: each.but(status=JobStatus.REVIEW, clips=clips))
    pages = [await w.http.get(f"/films/{job.id}") for _ in range(2)]
    assert hidden(pages[0], "requestId") != hidden(pages[1], "requestId")


async def test_a_search_finds_every_film_once_page_by_page(w: World) -> None:
    """A page holds no more than the list shows, however many of the films that were read are hits."""
    for number in range(STEP + PAGE + 3):
        prompt = "a boat" if number % 2 else "a harbour"
        wish = JobWish(clips=(ClipWish(prompt),))
        await w.store.create(new_job(f"job_{1000 + number}_a", ["t1"], wish, w.clock() + number))
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await find(w.store, "BOAT", None, cursor)
        assert len(page.jobs) <= PAGE
        found += [job.id for job in page.jobs]
        if (cursor := page.cursor) is None:
            break
    assert found == [f"job_{1000 + number}_a" for number in reversed(range(STEP + PAGE + 3)) if number % 2]
