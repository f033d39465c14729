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
