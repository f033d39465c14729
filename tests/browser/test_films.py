"""What people do with films on the pages, in a real browser against the whole system."""

import re

import pytest
from playwright.async_api import Page, expect

from shared.job.model import JobStatus
from tests.support.world import FIRST_RECORD, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG_MS = 30_000


def url(w: World, path: str = "/") -> str:
    return w.parts.settings.base_url + path


async def test_a_film_is_made_from_an_empty_page_to_the_playing_result(studio: World, page: Page) -> None:
    await page.goto(url(studio))
    await page.get_by_role("link", name="Make the first film").click()
    await page.get_by_label("What is to be seen and heard").first.fill("A lighthouse at dawn")
    await page.get_by_role("button", name="Make the film").last.click()
    await expect(page.locator("#e-prompt-1")).to_have_text("Must not be empty or blank")
    await page.get_by_label("What is to be seen and heard").nth(1).fill("The keeper pours coffee")
    await page.get_by_role("button", name="Add a clip").click()
    await page.get_by_label("What is to be seen and heard").nth(2).fill("Gulls over the sea")
    await page.keyboard.press("Alt+ArrowUp")
    await page.get_by_label("Airtable record id").fill(FIRST_RECORD)
    await expect(page.locator("[data-e=film]")).to_have_text("30 s")
    await page.get_by_role("button", name="Make the film").last.click()

    await expect(page.get_by_role("heading", level=1)).to_have_text("A lighthouse at dawn")
    player = page.locator("#player")
    await expect(player).to_be_visible(timeout=LONG_MS)
    await expect(page.locator("#part-stage .badge")).to_have_text("Completed", timeout=LONG_MS)
    seconds = await player.evaluate(
        """async (video) => { video.muted = true; await video.play();
        await new Promise((done) => { video.ontimeupdate = () => video.currentTime > 0.3 && done(); });
        return video.duration; }"""
    )
    assert seconds == pytest.approx(3, abs=0.2)
    prompts = await page.locator("#strip .prompt").all_text_contents()
    assert prompts == ["A lighthouse at dawn", "Gulls over the sea", "The keeper pours coffee"]
    await expect(page.locator("#part-plan")).to_contain_text("taken over bit by bit")


async def test_clips_with_wishes_of_their_own_are_checked_beside_their_fields(studio: World, page: Page) -> None:
    await page.goto(url(studio, "/films/new"))
    prompts = page.get_by_label("What is to be seen and heard")
    await prompts.first.fill("A lighthouse")
    await page.get_by_role("button", name="Add a clip").click()
    cards = page.locator(".prompt-card")
    await cards.nth(1).get_by_text("More for this clip").click()
    await cards.nth(1).get_by_label("Existing film").fill("nonsense")
    await cards.nth(1).get_by_label("Transition to the next clip").select_option("wipeleft")
    await prompts.nth(2).fill("Gulls")
    await page.get_by_text("Advanced", exact=True).click()
    await page.get_by_label("Your own data").fill("spring")
    await page.get_by_role("button", name="Make the film").last.click()
    await expect(page.locator("#e-metadata")).to_contain_text("Line 1 is no name and value")
    await page.get_by_label("Your own data").fill("campaign: spring")
    await page.get_by_role("button", name="Estimate").click()
    await expect(page.locator("#e-clipUrl-1")).to_have_text("Must be an address like https://host/path")
    await cards.nth(1).get_by_label("Existing film").fill("")
    await prompts.nth(1).fill("A keeper")
    await expect(page.locator("[data-e=film]")).to_have_text("30 s")
    await page.get_by_label("Wait for approval before joining").check()
    await page.get_by_role("button", name="Make the film").last.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("A lighthouse")
    job = await studio.job(page.url.rpartition("/")[2])
    assert [joint.kind for joint in job.wishes.joints] == ["none", "wipeleft"]
    assert job.metadata == {"campaign": "spring"}


async def test_the_form_works_without_scripts(studio: World, page: Page) -> None:
    await page.context.route("**/*.js", lambda route: route.abort())
    await page.goto(url(studio, "/films/new"))
    await page.get_by_label("What is to be seen and heard").first.fill("First")
    await page.get_by_label("What is to be seen and heard").nth(1).fill("Second")
    await page.get_by_role("button", name="Move clip 2 up").click()
    await page.get_by_role("button", name="Remove clip 2").click()
    await expect(page.get_by_label("What is to be seen and heard")).to_have_value("Second")
    await page.get_by_role("button", name="Estimate").click()
    await expect(page.locator("[data-e=film]")).to_have_text("10 s")
    await page.get_by_role("button", name="Make the film").last.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Second")


async def test_a_clip_is_made_anew_in_a_review_which_is_then_approved(studio: World, page: Page) -> None:
    job_id = await studio.submit("a red boat", "a harbour", review=True)
    await page.goto(url(studio, f"/films/{job_id}"))
    await expect(page.locator("#part-stage .badge")).to_have_text("Needs approval", timeout=LONG_MS)
    second = page.locator("#clip-2")
    await expect(second.locator("video")).to_be_visible()
    await second.get_by_text("Make anew", exact=True).click()
    await second.get_by_label("Prompt of clip 2").fill("a harbour in the fog")
    await second.get_by_role("button", name="Make clip 2 anew").click()
    await expect(second.locator(".prompt")).to_have_text("a harbour in the fog")
    approve = page.get_by_role("button", name="Approve and join")
    await expect(second).to_have_attribute("data-clip-status", "ready", timeout=LONG_MS)
    await approve.click()
    await expect(page.locator("#part-stage .badge")).to_have_text("Completed", timeout=LONG_MS)
    job = await studio.job(job_id)
    assert (job.clip(2).takes, job.clip(2).prompt) == (1, "a harbour in the fog")


async def test_a_film_is_cancelled_after_a_question(studio: World, page: Page) -> None:
    job_id = await studio.submit("a long voyage", review=True)
    await page.goto(url(studio, f"/films/{job_id}"))
    await page.get_by_role("button", name="Cancel film").first.click()
    dialog = page.get_by_role("dialog", name="Cancel this film?")
    await dialog.get_by_role("button", name="Keep it").click()
    await expect(dialog).to_be_hidden()
    await page.get_by_role("button", name="Cancel film").first.click()
    await dialog.get_by_role("button", name="Cancel film").click()
    await expect(page.locator("#part-stage .badge")).to_have_text("Cancelled")
    await expect(page.get_by_role("button", name="Cancel film")).to_have_count(0)


async def test_a_cancelling_that_did_not_work_is_said_where_it_is_seen(studio: World, page: Page) -> None:
    job_id = await studio.submit("a longer voyage", review=True)
    await page.goto(url(studio, f"/films/{job_id}"))
    await page.route("**/cancel", lambda route: route.abort())
    await page.get_by_role("button", name="Cancel film").first.click()
    dialog = page.get_by_role("dialog", name="Cancel this film?")
    await dialog.get_by_role("button", name="Cancel film").click()
    await expect(page.locator("#said")).to_have_text("The gateway does not answer; try again.")
    await expect(dialog).to_be_hidden()


# Everything the page said aloud, in its order; "" is where it fell silent.
WHAT_WAS_SAID = """
const said = document.getElementById("said");
window.heard = [];
new MutationObserver((changes) => {
  for (const { addedNodes } of changes) window.heard.push(addedNodes[0]?.data ?? "");
}).observe(said, { childList: true });
"""


async def test_why_something_did_not_work_is_not_talked_over_by_what_happens(studio: World, page: Page) -> None:
    job_id = await studio.submit("a voyage that goes on meanwhile", review=True)
    await page.clock.install()
    await page.goto(url(studio, f"/films/{job_id}"))
    await expect(page.locator("#part-stage .badge")).to_have_text("Needs approval", timeout=LONG_MS)
    await page.evaluate(WHAT_WAS_SAID)
    await page.route("**/cancel", lambda route: route.abort())
    await page.get_by_role("button", name="Cancel film").first.click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel film").click()
    problem = "The gateway does not answer; try again."
    await expect(page.locator("#said")).to_have_text(problem)
    assert (await studio.http.post(f"/api/job/{job_id}/approve")).status_code == 200
    await expect(page.locator("#part-stage .badge")).to_have_text("Completed", timeout=LONG_MS)
    await page.clock.fast_forward(13_000)
    await page.wait_for_function("heard.includes('The film: Completed.')")
    heard: list[str] = await page.evaluate("heard")
    assert heard[heard.index(problem) + 1] == ""


async def test_a_failed_film_says_why_and_is_retried(studio: World, page: Page) -> None:
    job_id = await studio.submit("a boat that meets a problem [twin:create=402*1]", "a calm sea")
    await studio.until_finished(job_id)
    await page.goto(url(studio, "/?status=failed"))
    row = page.locator(f"[data-job={job_id}]")
    await expect(row.locator(".error")).to_contain_text("Insufficient credits")
    await row.get_by_role("link").click()
    await page.get_by_role("button", name="Retry what is missing").click()
    await expect(page.locator("#part-stage .badge")).to_have_text("Completed", timeout=LONG_MS)


async def test_the_page_of_a_film_that_is_over_notices_when_it_goes_on(studio: World, page: Page) -> None:
    job_id = await studio.submit("another boat in trouble [twin:create=402*1]", review=True)
    await studio.until_finished(job_id)
    await page.clock.install()
    await page.goto(url(studio, f"/films/{job_id}"))
    await expect(page.locator("#part-stage .badge")).to_have_text("Failed")
    await page.route(f"**/films/{job_id}", lambda route: route.abort())
    await page.clock.fast_forward(16_000)
    await expect(page.locator("#live-state")).to_contain_text("No answer; last read")
    await page.unroute(f"**/films/{job_id}")
    assert (await studio.http.post(f"/api/job/{job_id}/retry")).status_code == 200
    await page.evaluate("document.title = 'old'")
    await page.clock.fast_forward(16_000)
    await expect(page.locator("#part-stage .badge")).to_have_text("Needs approval", timeout=LONG_MS)
    await expect(page).to_have_title(re.compile("^another boat in trouble"))


# What the page reads again is held until right after its stream has told of the next review.
SLOW_READING = """
window.held = [];
const ask = window.fetch;
window.fetch = async (...request) => {
  const answer = await ask(...request), text = await answer.text();
  if (window.held) await new Promise((go) => window.held.push(go));
  return new Response(text, { status: answer.status });
};
window.EventSource = class extends EventSource {
  constructor(from) {
    super(from);
    this.addEventListener("job", (event) => {
      const held = window.held ?? [];
      if (JSON.parse(event.data).status !== "review" || !held.length) return;
      window.held = null;
      setTimeout(() => { for (const go of held) go(); });
    });
  }
};
"""


async def test_what_happens_while_the_page_is_read_again_is_seen_too(studio: World, page: Page) -> None:
    job_id = await studio.submit("a boat that is looked at", review=True)
    await studio.until(job_id, lambda job: job.status is JobStatus.REVIEW, "its clip is home")
    await page.add_init_script(SLOW_READING)
    await page.goto(url(studio, f"/films/{job_id}"))
    await expect(page.locator("#live-state")).to_have_text("Live")
    await studio.kie.fault("info=500")
    assert (await studio.http.post(f"/api/job/{job_id}/clips/1/regenerate", json={})).status_code == 200
    await page.wait_for_function("() => window.held.length > 0")
    await studio.kie.clear_faults()
    await page.wait_for_function("() => window.held === null")
    await expect(page.locator("#part-stage .badge")).to_have_text("Needs approval")
    await expect(page.locator("#clip-1")).to_contain_text("Ready")


async def test_a_long_prompt_is_folded_and_opened_and_runs_in_its_own_direction(studio: World, page: Page) -> None:
    prompt = "\u05e1\u05d9\u05e8\u05d4 " + "a boat that sails on and on, " * 40 + "home"
    job_id = await studio.submit(prompt, review=True)
    await page.goto(url(studio, f"/films/{job_id}"))
    shown = page.locator("#clip-1 .prompt")
    folded = await shown.evaluate("(each) => [each.clientHeight, each.scrollHeight]")
    assert folded[0] < folded[1]
    await shown.click()
    await expect(page.locator("#clip-1 .whole")).to_have_attribute("open", "")
    opened = await shown.evaluate("(each) => [each.clientHeight, each.scrollHeight]")
    assert opened[0] == opened[1]
    for place in (shown, page.get_by_role("heading", level=1)):
        assert await place.evaluate("(each) => getComputedStyle(each).direction") == "rtl"


async def test_hostile_text_is_shown_as_text(studio: World, page: Page) -> None:
    hostile = '<img src=x onerror="window.bad=1"><script>window.bad=1</script>{{7*7}}</textarea>'
    await page.goto(url(studio))
    job_id = await studio.submit(hostile, metadata={"<b>": "</dl><script>window.bad=1</script>"}, review=True)
    row = page.locator(f"[data-job={job_id}]")  # drawn by the script, as it came live
    await expect(row.locator("[data-f=title]")).to_have_text(hostile)
    await page.goto(url(studio, f"/films/{job_id}"))
    await expect(page.get_by_role("heading", level=1)).to_have_text(hostile)
    await expect(page.locator("#part-stage .badge")).to_have_text("Needs approval", timeout=LONG_MS)
    await expect(page.locator("#prompt-1")).to_have_value(hostile)
    await expect(page.locator(".prompt")).to_have_text(hostile)
    assert await page.evaluate("() => window.bad") is None


async def test_the_list_searches_prompts_and_says_how_far_it_looked(studio: World, page: Page) -> None:
    job_id = await studio.submit("an unmistakable zeppelin", review=True)
    await page.goto(url(studio))
    await page.get_by_label("Search films").fill("ZEPPELIN")
    await page.keyboard.press("Enter")
    await expect(page.locator(f"[data-job={job_id}]")).to_be_visible()
    await expect(page.locator("#films > li")).to_have_count(1)
    await expect(page.locator("main .note")).to_contain_text("1 film found; looked at")


async def test_a_webhook_that_nobody_took_is_told_again(studio: World, page: Page) -> None:
    job_id = await studio.submit("a bottle with a letter", webhookUrl="http://127.0.0.1:9/hook")
    await page.goto(url(studio, f"/films/{job_id}"))
    hook = page.locator("#part-webhooks li")
    await expect(hook).to_contain_text("1 try;", timeout=LONG_MS)
    await hook.get_by_role("button", name="Tell again").click()
    await expect(hook).to_contain_text(re.compile(r"([2-9]|\d\d) tries;"), timeout=LONG_MS)  # beside our own retries
    await expect(hook).to_contain_text("job.completed")
