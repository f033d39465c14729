"""Jobs that people steer, that are made of existing files, or whose user is told what happens."""

import os
import signal
from functools import partial

from services.gateway.bodies import ProcessRecord
from services.gateway.caller import Caller
from services.gateway.claims import Idempotency
from shared.events import Event, VideoReady
from shared.job.model import Job, JobStatus
from shared.job.webhook_model import WebhookState
from tests.support.crash.looking import Ending
from tests.support.crash.partner import LOGO, MUSIC
from tests.support.crash.running import IMPATIENT, Run, Scenario

DAY_MS = 86_400_000
FORGOTTEN = "job_1500000000000_0123456789abcdef"
"""A job whose claims outlived it."""
HOOK = "{partner}/hooks/{mark}"


def _in_review(takes: int, job: Job) -> bool:
    return job.status is JobStatus.REVIEW and job.clips[0].takes == takes


def _is(status: JobStatus, job: Job) -> bool:
    return job.status is status


async def _hold(service: str, run: Run) -> None:
    run.world.signal(service, signal.SIGSTOP)


async def _freeze(service: str, point: str, run: Run) -> None:
    run.world.freeze_at(service, point)


async def _frozen(run: Run, service: str) -> None:
    async def froze() -> bool:
        return run.world.froze(service)

    await run.until(froze, f"the {service} freezes")


async def _replay(run: Run) -> None:
    job = await run.until_job(_all_told, "everything is told")
    await run.ask(f"webhooks/{job.webhooks[-1].id}/replay")


def _all_told(job: Job) -> bool:
    return job.status.is_final and all(webhook.state is WebhookState.DELIVERED for webhook in job.webhooks)


async def _have_it_made_anew_and_approve(run: Run) -> None:
    await run.until_job(partial(_in_review, 0), "the clips wait for approval")
    await run.ask("clips/1/regenerate", key=f"again-{run.mark}")
    await run.until_job(partial(_in_review, 1), "the new clip waits for approval")
    await run.ask("approve")


async def _cancel_in_review(run: Run) -> None:
    await run.until_job(partial(_is, JobStatus.REVIEW), "the clips wait for approval")
    await run.ask("cancel")


async def _drain_while_told_and_retry(run: Run) -> None:
    def being_told_for_long(job: Job) -> bool:
        lease = job.webhooks[0].lease if job.webhooks else None
        if lease is not None:
            leases.add((lease.owner, lease.expires_at))
        owners = [owner for owner, _ in leases]
        return len(owners) > len(set(owners)) or _all_told(job)  # a killed one may be told by the next already

    leases: set[tuple[str, int]] = set()
    await run.until_job(being_told_for_long, "the failure is being told")
    run.world.signal("uploader", signal.SIGTERM)
    await run.ask("retry")


STITCHED = "stitcher.stitching:Stitching._record:0"


async def _say_again_that_clips_are_home(run: Run) -> None:
    """Publish what the stitcher has handled, as the reconciler or the broker may."""
    await run.world.bus.publish(Event.of(run.job_id, VideoReady(clip=1), source="test", step="again"))


async def _cancel_and_thaw(run: Run) -> None:
    await _frozen(run, "stitcher")
    await run.ask("cancel")
    run.world.signal("stitcher", signal.SIGCONT)
    await _say_again_that_clips_are_home(run)


async def _retry_and_thaw(run: Run) -> None:
    await _frozen(run, "stitcher")
    await run.until_job(partial(_is, JobStatus.FAILED), "the deadline is over")
    await run.ask("retry")
    run.world.signal("stitcher", signal.SIGCONT)
    await run.until_job(partial(_is, JobStatus.COMPLETED), "the film is delivered")
    await _say_again_that_clips_are_home(run)


async def _damage_a_source_and_have_it_made_anew(run: Run) -> None:
    await run.until_job(lambda job: job.status is JobStatus.PROCESSING, "the clips are home")
    path = run.artifacts / "clip-1.mp4"
    os.truncate(path, path.stat().st_size // 2)
    run.world.signal("stitcher", signal.SIGCONT)
    await run.until_job(partial(_is, JobStatus.FAILED), "the film cannot be made")
    await run.ask("clips/1/regenerate")


def _again(run: Run) -> str:
    return f"second-{run.mark}"


async def _hold_the_stitcher_and_leave_old_claims(run: Run) -> None:
    run.world.signal("stitcher", signal.SIGSTOP)
    await run.world.store.claim(f"record:{run.record_id}", FORGOTTEN, DAY_MS)
    body = ProcessRecord.model_validate({"recordId": run.record_id}).model_dump_json()
    claim = Idempotency.of(Caller(), _again(run), "process-record", body)
    await run.world.store.claim(claim.claim, f"{FORGOTTEN} {claim.fingerprint}", DAY_MS)


async def _ask_twice_more(run: Run) -> None:
    for _ in range(2):
        answer = await run.world.ask("/api/process-record", {"recordId": run.record_id}, key=_again(run))
        assert answer["jobId"] == run.job_id, f"{answer['jobId']} was made, too"
    run.world.signal("stitcher", signal.SIGCONT)


CANCELLED = partial(Ending, status=JobStatus.CANCELLED, attached=0, word="Cancelled", orders=())
DONE = partial(Ending, orders=())

PEOPLE: tuple[Scenario, ...] = (
    Scenario(
        name="a batch of existing files",
        route="jobs:batch",
        keyed=True,
        clips=("fail=content",),
        sources=("url", "artifact"),
        more={
            "onClipFailure": "skip",
            "audio": {"soundtrack": {"url": f"{{partner}}/{MUSIC}"}},
            "overlay": {"url": f"{{partner}}/{LOGO}"},
            "webhookUrl": HOOK,
            "webhookEvents": ["video.ready"],
        },
        meanwhile=_replay,
        ends=Ending(reserved=1),
    ),
    Scenario(
        name="a clip is made anew and approved",
        sources=("url",),
        clips=(),
        more={"review": True, "webhookUrl": HOOK},
        meanwhile=_have_it_made_anew_and_approve,
        goes_back=True,
        ends=DONE(told=("job.review", "job.review", "job.completed")),
    ),
    Scenario(
        name="cancelled in review",
        sources=("url",),
        clips=(),
        more={"review": True, "webhookUrl": HOOK},
        meanwhile=_cancel_in_review,
        ends=CANCELLED(told=("job.review", "job.cancelled")),
    ),
    Scenario(
        name="failed, told slowly, retried",
        clips=("fail=content*1",),
        more={"webhookUrl": f"{HOOK}/slow"},
        meanwhile=_drain_while_told_and_retry,
        goes_back=True,
        ends=Ending(orders=(2,), told=("job.failed", "job.completed")),
    ),
    Scenario(
        name="begun anew by itself",
        clips=("fail=content*1",),
        more={"onClipFailure": "retry"},
        ends=Ending(orders=(2,)),
    ),
    Scenario(
        name="cancelled while the film is joined",
        sources=("url",),
        clips=(),
        before=partial(_freeze, "stitcher", STITCHED),
        meanwhile=_cancel_and_thaw,
        ends=CANCELLED(),
    ),
    Scenario(
        name="stitcher froze, retried",
        sources=("url",),
        clips=(),
        env=IMPATIENT,
        before=partial(_freeze, "stitcher", STITCHED),
        meanwhile=_retry_and_thaw,
        goes_back=True,
        ends=DONE(),
    ),
    Scenario(
        name="a damaged clip is made anew",
        sources=("url",),
        clips=(),
        before=partial(_hold, "stitcher"),
        meanwhile=_damage_a_source_and_have_it_made_anew,
        goes_back=True,
        ends=DONE(),
    ),
    Scenario(
        name="refused at first",
        route="process-record",
        keyed=True,
        airtable=({"fault": "any=missing", "times": 1},),
        refused=(404,),
        ends=Ending(reserved=1),
    ),
    Scenario(
        name="asked for three times",
        route="process-record",
        before=_hold_the_stitcher_and_leave_old_claims,
        meanwhile=_ask_twice_more,
    ),
)
