"""Pages of two gateway processes over real RabbitMQ and Redis: people need not know which of them they look at."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.support.rabbit import RabbitServer
from tests.support.redis import RedisServer
from tests.support.replicas import gateways

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "open-sesame"


@pytest.mark.timeout(240)  # starts a broker and two gateways, if it is the first to need them
async def test_a_page_of_one_replica_follows_what_people_do_at_the_other(
    tmp_path: Path, rabbit_server: RabbitServer, rabbit_url: str, own_redis_server: RedisServer, page: Page
) -> None:
    headers = {"X-API-Key": KEY}
    async with gateways(tmp_path, rabbit_url, own_redis_server.url, headers, API_KEYS=f"marketing:{KEY}") as replicas:
        one, two = (str(http.base_url).rstrip("/") for http in replicas.clients)
        job_id = await replicas.submit()
        await page.goto(f"{one}/sign-in?next=/films/{job_id}")
        await page.get_by_label("API key").fill(KEY)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("#live-state")).to_have_text("Live")
        status = page.locator("#part-stage .badge")
        await expect(status).to_have_text("Waiting")

        # Cookies know no ports: the other replica is given the session that the first one opened.
        elsewhere = await page.context.new_page()
        await elsewhere.goto(two)
        row = elsewhere.locator(f"[data-job={job_id}]")
        await expect(elsewhere.locator("#live-state")).to_have_text("Live")
        await expect(row.locator(".badge")).to_have_text("Waiting")

        await elsewhere.goto(f"{two}/films/{job_id}")
        await elsewhere.get_by_role("button", name="Cancel film").first.click()
        await elsewhere.get_by_role("dialog").get_by_role("button", name="Cancel film").click()
        await expect(status).to_have_text("Cancelled")
        await expect(page.get_by_role("button", name="Cancel film")).to_have_count(0)

        await elsewhere.goto(f"{two}/operations")
        services = elsewhere.get_by_role("region", name="Services")
        await expect(services.get_by_role("row").filter(has_text="gateway")).to_have_count(2)
        await expect(services.get_by_role("row").filter(has_text="none runs")).to_have_count(3)
        await page.close()
