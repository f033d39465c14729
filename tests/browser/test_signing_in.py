"""Signing in, staying signed in on every replica, and refusing what comes from elsewhere."""

from contextlib import AsyncExitStack

import httpx
import pytest
from playwright.async_api import Page, expect

from sandbox.serving import listen, origin_of, serving
from services.gateway.bootstrap import build_app
from tests.support.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


def url(w: World, path: str = "/") -> str:
    return w.parts.settings.base_url + path


async def sign_in(w: World, page: Page, key: str = "open-sesame") -> None:
    await page.goto(url(w, "/sign-in"))
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()


async def put_job(w: World) -> str:
    body = {"clips": [{"prompt": "a boat"}]}
    answer = await w.http.post("/api/jobs", json=body, headers={"X-API-Key": "open-sesame"})
    return str(answer.json()["data"]["jobId"])


async def test_a_wrong_key_is_refused_and_a_right_one_leads_where_one_wanted_to_go(desk: World, page: Page) -> None:
    await page.goto(url(desk, "/operations"))
    await expect(page).to_have_url(url(desk, "/sign-in?next=/operations"))
    await page.get_by_label("API key").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("not one of the API keys")
    await page.get_by_label("API key").fill("open-sesame")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Operations")
    cookie = next(each for each in await page.context.cookies() if each["name"] == "sora_session")
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    assert "open-sesame" not in cookie["value"]
    await page.get_by_role("button", name="Sign out").click()
    await page.goto(url(desk))
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


async def test_a_session_holds_on_another_replica(desk: World, page: Page) -> None:
    await sign_in(desk, page)
    async with AsyncExitStack() as stack:
        sock = stack.enter_context(listen("127.0.0.1", 0))
        app = await build_app(desk.parts, stack)
        await stack.enter_async_context(serving([(app, sock)]))
        await page.goto(origin_of(sock))
        await expect(page.get_by_role("heading", level=1)).to_have_text("Films")
        await expect(page.locator("#live-state")).to_have_text("Live")
        await page.close()


async def test_a_film_that_was_typed_while_the_session_ended_is_made_after_signing_in(desk: World, page: Page) -> None:
    await sign_in(desk, page)
    await page.goto(url(desk, "/films/new"))
    await page.context.clear_cookies(name="sora_session")
    prompts = page.get_by_label("What is to be seen and heard")
    await prompts.first.fill("A lighthouse")
    await prompts.nth(1).fill("A keeper")
    await page.get_by_role("button", name="Add a clip").click()
    await prompts.nth(2).fill("Gulls")
    await page.locator("[name=aspectRatio][value=portrait]").check()
    await expect(page.locator("#signed-out")).to_be_visible()
    await expect(page).to_have_url(url(desk, "/films/new"))
    await page.get_by_role("button", name="Make the film").last.click()
    await expect(page.get_by_text("You were signed out, so nothing was done.")).to_be_visible()
    await page.get_by_label("API key").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("You were signed out, so nothing was done.")).to_be_visible()
    await page.get_by_label("API key").fill("open-sesame")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(url(desk, "/films/new"))
    await expect(prompts.nth(2)).to_have_value("Gulls")
    await expect(prompts).to_have_count(3)
    await page.get_by_role("button", name="Make the film").last.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("A lighthouse")
    job = await desk.job(page.url.rpartition("/")[2])
    assert ([clip.prompt for clip in job.clips], job.aspect_ratio) == (
        ["A lighthouse", "A keeper", "Gulls"],
        "portrait",
    )
    await page.goto(url(desk, "/films/new"))
    await expect(prompts).to_have_count(2)
    await expect(prompts.first).to_have_value("")


async def test_a_post_of_somebody_signed_out_leads_back_to_its_own_page_and_to_no_other_site(desk: World) -> None:
    origin = desk.parts.settings.base_url
    for referer, back in (
        (f"{origin}/films/new", "/films/new"),
        (f"{origin}/films/job_1?done=retry", "/films/job_1"),
        (f"{origin}//evil.example/x", "/"),
        ("https://evil.example/films/new", "/"),
        ("", "/"),
    ):
        answer = await desk.http.post("/films/new", data={}, headers={"Origin": origin, "Referer": referer})
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/sign-in?next={back}&undone=yes"
        assert "so nothing was done" in (await desk.http.get(answer.headers["location"])).text


async def test_posts_from_elsewhere_or_without_the_form_token_are_refused(desk: World, page: Page) -> None:
    await sign_in(desk, page)
    job_id = await put_job(desk)
    token = await page.evaluate("() => document.body.dataset.csrf")
    cookies = {each["name"]: each["value"] for each in await page.context.cookies()}
    origin = desk.parts.settings.base_url
    form = {"csrf": token}
    path = f"/films/{job_id}/cancel"
    async with httpx.AsyncClient(base_url=origin, cookies=cookies, headers={"Accept": "application/json"}) as http:
        elsewhere = await http.post(path, data=form, headers={"Origin": "https://evil.example"})
        cross_site = await http.post(path, data=form, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"})
        nowhere = await http.post(path, data=form)
        without_token = await http.post(path, data={"csrf": "x"}, headers={"Origin": origin})
        api = await http.post(f"/api/job/{job_id}/cancel", headers={"Origin": origin})
        refused = [each.status_code for each in (elsewhere, cross_site, nowhere, without_token, api)]
        assert refused == [403, 403, 403, 403, 403]
        assert (await http.get(f"/api/job/{job_id}")).json()["data"]["status"] == "pending"
        good = await http.post(f"/api/job/{job_id}/cancel", headers={"Origin": origin, "X-CSRF-Token": token})
        assert good.json()["data"]["status"] == "cancelled"


async def test_pages_let_nothing_foreign_in(desk: World) -> None:
    answer = await desk.http.get("/sign-in")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<style" not in answer.text
    assert " style=" not in answer.text
