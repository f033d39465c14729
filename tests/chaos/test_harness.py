"""The chaos suite's own parts: a check that finds nothing must be able to find everything."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from tests.chaos.harness.facts import Facts, check
from tests.chaos.harness.plan import ChaosPlan, Strike, blows, wishes

PLAN = ChaosPlan(seed=5)
RECORD: dict[str, Any] = {"fields": {"Status": "Completed"}, "attachments": [{"filename": "job_1.mp4", "state": "ok"}]}
TASK = {"taskId": "t1", "prompt": "a cat", "state": "success"}
ORDER = {"callback_url": "https://us/callback?t=1", "task_id": "t1"}
FILES = frozenset(f"jobs/job_1/{name}" for name in ("clip-1.mp4", "film.mp4", "poster.jpg"))


def job(**changes: Any) -> dict[str, Any]:
    clips = [{"number": 1, "prompt": "a cat", "status": "ready"}]
    return {"status": "completed", "recordId": "rec1", "clips": clips, "film": {"frames": 1}, **changes}


SOUND = Facts(
    acknowledged=frozenset({"job_1"}),
    doomed=frozenset(),
    jobs={"job_1": job()},
    tasks=(TASK,),
    orders=(ORDER,),
    records={"rec1": RECORD},
    artifacts=FILES,
    queues={"uploader.job.stitched": (0, 0), "uploader.job.stitched.dead": (0, 0)},
)


def test_a_sound_end_breaks_no_promise() -> None:
    assert check(SOUND).broken == []


@pytest.mark.parametrize(
    ("promise", "facts"),
    [
        ("lost", replace(SOUND, acknowledged=frozenset({"job_1", "job_2"}))),
        ("stuck", replace(SOUND, jobs={"job_1": job(status="stitching")})),
        ("failed without cause", replace(SOUND, jobs={"job_1": job(status="failed", failure={"code": "timeout"})})),
        ("completed though doomed", replace(SOUND, doomed=frozenset({"a cat"}))),
        ("paid twice", replace(SOUND, tasks=(TASK, {**TASK, "taskId": "t2"}))),
        ("paid twice", replace(SOUND, orders=(ORDER, {**ORDER, "task_id": "t2"}))),
        (
            "attached twice or never",
            replace(SOUND, records={"rec1": {**RECORD, "attachments": RECORD["attachments"] * 2}}),
        ),
        ("attached twice or never", replace(SOUND, records={"rec1": {**RECORD, "attachments": []}})),
        (
            "records with a stale status",
            replace(SOUND, records={"rec1": {**RECORD, "fields": {"Status": "Uploading"}}}),
        ),
        ("artifacts missing or left over", replace(SOUND, artifacts=FILES | {"jobs/job_1/clip-2.mp4"})),
        ("artifacts missing or left over", replace(SOUND, artifacts=FILES - {"jobs/job_1/film.mp4"})),
        ("messages left", replace(SOUND, queues={"uploader.job.stitched": (0, 1)})),
        ("dead letters", replace(SOUND, queues={"uploader.job.stitched.dead": (1, 0)})),
    ],
)
def test_every_broken_promise_is_found(promise: str, facts: Facts) -> None:
    assert check(facts).numbers[promise] == 1


def test_an_order_after_one_that_failed_is_not_paid_twice() -> None:
    again = replace(SOUND, tasks=({**TASK, "state": "fail"}, {**TASK, "taskId": "t2"}))
    assert check(again).broken == []


def test_a_failure_of_unknown_fate_is_a_cause() -> None:
    record = {"fields": {"Status": "Failed"}, "attachments": []}
    failed = job(status="failed", failure={"code": "ambiguous"}, film=None)
    facts = replace(
        SOUND, jobs={"job_1": failed}, records={"rec1": record}, artifacts=frozenset({"jobs/job_1/clip-1.mp4"})
    )
    assert check(facts).broken == []


def test_a_seed_decides_everything_that_is_inflicted() -> None:
    assert blows(PLAN) == blows(PLAN) != blows(replace(PLAN, seed=6))
    assert list(islice(wishes(PLAN), 50)) == list(islice(wishes(PLAN), 50))


def test_every_process_gets_its_share_of_kills() -> None:
    kills = Counter(blow.target for blow in blows(PLAN) if blow.strike is Strike.KILL)
    assert set(kills) == set(PLAN.processes)
    assert max(kills.values()) - min(kills.values()) <= 1


def test_the_size_of_a_run_is_read_from_the_environment() -> None:
    plan = ChaosPlan.from_environment(
        {"CHAOS_SEED": "9", "CHAOS_JOBS": "12", "CHAOS_STITCHERS": "1", "CHAOS_KILLS": ""}
    )
    assert (plan.seed, plan.jobs, plan.replicas["stitcher"], plan.kills) == (9, 12, 1, 100)
