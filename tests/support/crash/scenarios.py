"""Jobs and what befalls them: together they lead to every crash point that a job can reach."""

import os
import shutil
import signal
from contextlib import suppress
from functools import partial

import httpx

from shared.clock import now_ms
from shared.events import Event, EventName
from shared.film.ffmpeg_binary import ffmpeg_exe
from shared.job.model import ClipStatus, Job, JobStatus
from shared.models.marks import DOWN, PAUSE
from shared.settings import DEFAULT_MODELS
from tests.support.crash.hook import place_hash
from tests.support.crash.looking import Ending
from tests.support.crash.people import PEOPLE
from tests.support.crash.running import IMPATIENT, Run, Scenario

SLOW = {"times": 1}
FAILED = partial(Ending, status=JobStatus.FAILED, attached=0, word="Failed")
ONE_WAY_IN = "shared.bus.rabbit_inbox:Inbox._work:0"
"""Where every message comes by first."""


async def _another_replica_was_told_to_wait(run: Run) -> None:
    await run.world.store.put_mark(PAUSE, str(now_ms() + 3000), 3000)


async def _all_models_are_down(run: Run) -> None:
    for model in DEFAULT_MODELS.split(","):
        await run.world.store.put_mark(DOWN + model, "model_paused", 60_000)


async def _hold_the_stitcher(run: Run) -> None:
    run.world.signal("stitcher", signal.SIGSTOP)


async def _hold_the_uploader(run: Run) -> None:
    run.world.signal("uploader", signal.SIGSTOP)


def _being_fetched(job: Job) -> bool:
    return any(clip.status is ClipStatus.GENERATING and clip.lease is not None for clip in job.clips)


def _worked_on(status: JobStatus, job: Job) -> bool:
    return job.status is status and job.lease is not None


def _turned_back(job: Job) -> bool:
    return job.status is JobStatus.STITCHING and job.film is None and job.step_tries > 0 and job.lease is None


async def _drain_the_generator(run: Run) -> None:
    await run.until_job(_being_fetched, "a clip is being fetched")
    run.world.signal("generator", signal.SIGTERM)


async def _drain_the_stitcher(run: Run) -> None:
    await run.until_job(partial(_worked_on, JobStatus.STITCHING), "the film is being made")
    run.world.signal("stitcher", signal.SIGTERM)


async def _drain_the_uploader(run: Run) -> None:
    await run.until_job(partial(_worked_on, JobStatus.UPLOADING), "the film is being delivered")
    run.world.signal("uploader", signal.SIGTERM)


async def _drain_the_mirror(run: Run) -> None:
    await run.until_job(lambda job: job.mirror.lease is not None, "a status is being written")
    run.world.signal("uploader", signal.SIGTERM)


async def _leave_no_room_for_the_film(run: Run) -> None:
    obstacle = run.artifacts / "film.mp4" / "in the way"
    obstacle.mkdir(parents=True)
    await run.until_job(_turned_back, "the stitcher finds no room")
    shutil.rmtree(obstacle.parent)


async def _damage_a_clip(run: Run) -> None:
    await run.until_job(lambda job: job.status is JobStatus.PROCESSING, "the clips are home")
    path = run.artifacts / "clip-1.mp4"
    os.truncate(path, path.stat().st_size // 2)
    run.world.signal("stitcher", signal.SIGCONT)


async def _install_a_failing_encoder(run: Run) -> None:
    script = run.world.folder / "bin" / "ffmpeg"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f'#!/bin/sh\n[ -e "{script}.fails" ] && exit 1\nexec "{ffmpeg_exe()}" "$@"\n')
    script.chmod(0o755)
    script.with_name("ffmpeg.fails").touch()


async def _mend_the_encoder(run: Run) -> None:
    await run.until_job(_turned_back, "the encoder fails")
    (run.world.folder / "bin" / "ffmpeg.fails").unlink()


async def _take_the_store_away(run: Run) -> None:
    log = run.world.folder / "generator.log"
    before = log.stat().st_size
    await run.until_job(lambda job: job.clips[0].status is ClipStatus.SUBMITTING, "the order is on its way")
    await run.world.detour.refuse()

    async def noticed() -> bool:
        return "the answer to an order is not written yet" in log.read_text()[before:]

    try:
        # A process that is started again while the store is away does not get so far.
        with suppress(AssertionError):
            await run.until(noticed, "the store is missed", timeout_s=5.0)
    finally:
        await run.world.detour.heal()


async def _kill_behind_the_upload(run: Run) -> None:
    async def arrived() -> bool:
        return bool((await run.world.around.airtable.get(f"records/{run.record_id}"))["attachments"])

    await run.until(arrived, "the film has arrived")
    run.world.signal("uploader", signal.SIGKILL)


async def _look_away(run: Run) -> None:
    await run.world.around.airtable.fault("get=500", times=3, match=run.record_id)


async def _lose_the_record(run: Run) -> None:
    await run.world.around.airtable.fault("any=missing", match=run.record_id)


async def _hide_the_record(run: Run) -> None:
    await run.world.around.airtable.fault("any=missing_403", match=run.record_id)


async def _leave_an_earlier_film(run: Run) -> None:
    twins = run.world.around.twins
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.patch(
            f"{twins['airtable_url']}/v0/{twins['base_id']}/{twins['table']}/{run.record_id}",
            json={"fields": {"Video": [{"url": f"{run.world.base_url}/healthz", "filename": f"{run.job_id}.mp4"}]}},
            headers={"Authorization": f"Bearer {twins['api_keys']['airtable']}"},
        )
    assert answer.status_code == 200, answer.text

    async def fetched() -> bool:
        record = await run.world.around.airtable.get(f"records/{run.record_id}")
        return bool(record["fields"]["Video"][0].get("size"))

    await run.until(fetched, "the earlier film is in the record")
    run.world.signal("uploader", signal.SIGCONT)


async def _send_nonsense(run: Run) -> None:
    await run.until_job(lambda job: job.status is JobStatus.PROCESSING, "the clips are home")
    nonsense = Event(
        id=f"{run.job_id}:nonsense",
        source="/services/nobody",
        type=f"{EventName.VIDEO_CALLBACK}.v1",
        subject=run.job_id,
        time="2026-01-01T00:00:00.000Z",
        data={"clip": "the first"},
    )
    await run.world.bus.publish(nonsense)
    await run.until_job(lambda job: job.status is JobStatus.FAILED, "the job is given up")
    run.world.signal("stitcher", signal.SIGCONT)


DEADLY = place_hash("generator.job.created", (ONE_WAY_IN,))


async def _make_the_first_message_deadly(run: Run) -> None:
    run.world.arm("generator", DEADLY)


async def _let_it_kill_twice_more(run: Run) -> None:
    async def struck() -> bool:
        return DEADLY in run.struck

    for _ in range(2):
        await run.until(struck, "the generator dies of the message")
        run.struck.discard(DEADLY)
        run.world.arm("generator", DEADLY)
    await run.until(struck, "the generator dies of the message")
    run.arm()


HAPPY = Scenario(name="two clips", clips=("", ""), route="generate-video", ends=Ending(orders=(1, 1)))

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(name="an order", env=IMPATIENT, only="generator.ordering:Ordering._order:"),
    HAPPY,
    Scenario(name="from the record", route="process-record"),
    Scenario(name="no record", record=False),
    Scenario(name="order declined once", clips=("create=500*1",)),
    Scenario(name="first model is paused", clips=("create=paused*1",)),
    Scenario(name="told to wait", clips=("create=429*1",)),
    Scenario(name="another replica was told to wait", before=_another_replica_was_told_to_wait),
    Scenario(name="all models are down", before=_all_models_are_down, ends=FAILED(code="no_model", orders=(0,))),
    Scenario(name="answer to the order is lost", clips=("create=drop_after",)),
    Scenario(
        name="answer and callback are lost",
        clips=("create=drop_after,callback=lost",),
        env=IMPATIENT,
        ends=FAILED(code="ambiguous"),
    ),
    Scenario(name="order takes long", clips=("create=latency:1000",)),
    Scenario(name="download takes long", clips=("file=slow:30000",)),
    Scenario(name="upload takes long", airtable=({"fault": "upload=latency:1000"},)),
    Scenario(name="status takes long", airtable=({"fault": "update=latency:1000", "times": 1},)),
    Scenario(name="encoding takes long", clips=("fps=12", "fps=24"), ends=Ending(orders=(1, 1))),
    Scenario(name="content is refused", clips=("fail=content",), ends=FAILED(code="content_policy")),
    Scenario(name="task fails once", clips=("fail=internal*1",), ends=Ending(orders=(2,))),
    Scenario(name="model is withdrawn", clips=("fail=505*1",), ends=Ending(orders=(2,))),
    Scenario(name="look is refused once", clips=("info=500*1",)),
    Scenario(name="task is unknown at first", clips=("info=null*1",)),
    Scenario(name="look is cut off once", clips=("info=drop_before*1",)),
    Scenario(name="look is cut off twice", clips=("info=drop_before*2",)),
    Scenario(name="no callback, and not done yet", clips=("callback=lost,task=slow:1200",)),
    Scenario(name="task is stuck", clips=("task=stuck",), env=IMPATIENT, ends=FAILED(code="timeout")),
    Scenario(name="looks are limited", clips=("", ""), env={"PROVIDER_LOOKS_PER_S": "1"}, ends=Ending(orders=(1, 1))),
    Scenario(name="link has expired", clips=("file=link_only",)),
    Scenario(name="download ends too early", clips=("file=truncated*1",)),
    Scenario(name="result is no video", clips=("file=not_video",), ends=FAILED(code="not_video")),
    Scenario(name="generator is drained", clips=("file=slow:15000",), meanwhile=_drain_the_generator),
    Scenario(
        name="stitcher is drained",
        clips=("fps=12", "fps=24"),
        meanwhile=_drain_the_stitcher,
        ends=Ending(orders=(1, 1)),
    ),
    Scenario(name="uploader is drained", airtable=({"fault": "upload=latency:700"},), meanwhile=_drain_the_uploader),
    Scenario(
        name="mirror is drained", airtable=({"fault": "update=latency:700", "times": 1},), meanwhile=_drain_the_mirror
    ),
    Scenario(name="no room for the film", meanwhile=_leave_no_room_for_the_film),
    Scenario(
        name="a clip is damaged", before=_hold_the_stitcher, meanwhile=_damage_a_clip, ends=FAILED(code="truncated")
    ),
    Scenario(name="Airtable cannot be read", meanwhile=_look_away),
    Scenario(name="Airtable cannot be written", airtable=({"fault": "update=500", "times": 3},)),
    Scenario(name="record is deleted", meanwhile=_lose_the_record, ends=FAILED(code="record_not_found", word=None)),
    Scenario(name="upload is refused", airtable=({"fault": "upload=413"},)),
    Scenario(name="answer to the upload is lost", airtable=({"fault": "upload=drop_after", "times": 1},)),
    Scenario(name="upload is lost", airtable=({"fault": "upload=drop_before", "times": 1},)),
    Scenario(
        name="record holds an earlier film",
        before=_hold_the_uploader,
        meanwhile=_leave_an_earlier_film,
        ends=Ending(attached=2),
    ),
    Scenario(
        name="nonsense arrives",
        before=_hold_the_stitcher,
        meanwhile=_send_nonsense,
        ends=FAILED(code="internal", dead=1),
    ),
    Scenario(
        name="message kills its process",
        before=_make_the_first_message_deadly,
        meanwhile=_let_it_kill_twice_more,
        arms_itself=True,
    ),
    Scenario(name="server ignores ranges", clips=("file=broken*1,file=no_range",)),
    Scenario(
        name="store is away",
        clips=("create=latency:1200",),
        env={"generator.REDIS_URL": "{detour}"},
        meanwhile=_take_the_store_away,
        order_may_be_cut_off=True,
    ),
    Scenario(
        name="encoder fails once",
        clips=("fps=12", "fps=24"),
        env={"stitcher.IMAGEIO_FFMPEG_EXE": "{folder}/bin/ffmpeg"},
        before=_install_a_failing_encoder,
        meanwhile=_mend_the_encoder,
        ends=Ending(orders=(1, 1)),
    ),
    Scenario(name="record is hidden", meanwhile=_hide_the_record, ends=FAILED(code="record_not_found", word=None)),
    Scenario(
        name="uploader dies behind the upload",
        airtable=({"fault": "upload=late:1500", "times": 1},),
        meanwhile=_kill_behind_the_upload,
    ),
    Scenario(name="job is purged", env={"JOB_TTL": "1"}, ends=Ending(status=None)),
    *PEOPLE,
)
