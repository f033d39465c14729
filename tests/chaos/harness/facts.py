"""The end of a run, checked by set arithmetic on what the API, the partners, the store of files and the broker say."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.harness.load import FINAL

AMBIGUOUS = "ambiguous"
DEAD = ".dead"


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything there is to know at the end.

    Attributes:
        acknowledged: ids of jobs that a 202 named.
        doomed: prompts that the provider refuses to make a film of.
        jobs: every job by id, as the API shows it.
        tasks: every task at the provider (each was paid for, unless it failed).
        orders: every order the provider received.
        records: every Airtable record, with all attachments and writes it ever saw.
        artifacts: keys in the artifact store.
        queues: messages (ready, unacknowledged) by queue.
    """

    acknowledged: frozenset[str]
    doomed: frozenset[str]
    jobs: Mapping[str, Mapping[str, Any]]
    tasks: tuple[Mapping[str, Any], ...]
    orders: tuple[Mapping[str, Any], ...]
    records: Mapping[str, Mapping[str, Any]]
    artifacts: frozenset[str]
    queues: Mapping[str, tuple[int, int]]


@dataclass
class Verdict:
    """What the check found: numbers for the table, and every broken promise in words."""

    numbers: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def count(self, what: str, problems: list[str]) -> None:
        """Note how many problems of a kind there are."""
        self.numbers[what] = len(problems)
        self.broken += [f"{what}: {problem}" for problem in problems]


def check(facts: Facts) -> Verdict:
    """Hold the facts against the promises."""
    verdict = Verdict()
    by_status = Counter(str(job["status"]) for job in facts.jobs.values())
    verdict.numbers["jobs acknowledged"] = len(facts.acknowledged)
    verdict.numbers["jobs made (some without the user hearing of it)"] = len(facts.jobs)
    verdict.numbers["completed"] = by_status["completed"]
    verdict.numbers["failed for an injected cause"] = by_status["failed"] - len(_wrongly_failed(facts))
    verdict.count("lost", sorted(facts.acknowledged - facts.jobs.keys()))
    stuck = [f"{job_id} is {job['status']}" for job_id, job in facts.jobs.items() if job["status"] not in FINAL]
    verdict.count("stuck", stuck)
    verdict.count("failed without cause", _wrongly_failed(facts))
    verdict.count("completed though doomed", _wrongly_completed(facts))
    verdict.numbers["orders taken"] = len(facts.tasks)
    verdict.count("paid twice", _paid_twice(facts))
    verdict.count("attached twice or never", _attachments(facts))
    verdict.count("records with a stale status", _stale_statuses(facts))
    verdict.count("artifacts missing or left over", _artifacts(facts))
    verdict.count("messages left", _queues(facts, dead=False))
    verdict.count("dead letters", _queues(facts, dead=True))
    return verdict


def _is_doomed(job: Mapping[str, Any], facts: Facts) -> bool:
    return any(clip["prompt"] in facts.doomed for clip in job["clips"])


def _wrongly_failed(facts: Facts) -> list[str]:
    return [
        f"{job_id}: {job['failure']}"
        for job_id, job in facts.jobs.items()
        if job["status"] == "failed" and not _is_doomed(job, facts) and job["failure"]["code"] != AMBIGUOUS
    ]


def _wrongly_completed(facts: Facts) -> list[str]:
    return [job_id for job_id, job in facts.jobs.items() if job["status"] == "completed" and _is_doomed(job, facts)]


def _paid_twice(facts: Facts) -> list[str]:
    """Find prompts (each is one clip of one job) with two taken orders of which the first had not failed."""
    by_prompt: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for task in facts.tasks:
        by_prompt[str(task["prompt"])].append(task)
    by_address = Counter(order["callback_url"] for order in facts.orders if order["task_id"])
    again = [f"{prompt!r} was taken {count} times by one address" for prompt, count in by_address.items() if count > 1]
    unneeded = [
        f"{prompt!r}: {[(task['taskId'], task['state']) for task in tasks]}"
        for prompt, tasks in by_prompt.items()
        if sum(task["state"] != "fail" for task in tasks) > 1
    ]
    return again + unneeded


def _attachments(facts: Facts) -> list[str]:
    problems = []
    for job_id, job in facts.jobs.items():
        record = facts.records[job["recordId"]]
        stored = [a["filename"] for a in record["attachments"] if a["state"] == "ok"]
        wanted = [f"{job_id}.mp4"] if job["status"] == "completed" else []
        if sorted(stored) != wanted:
            problems.append(f"{job_id} is {job['status']}, its record has seen {stored}")
    return problems


def _stale_statuses(facts: Facts) -> list[str]:
    problems = []
    for job_id, job in facts.jobs.items():
        shown = facts.records[job["recordId"]]["fields"].get("Status")
        if shown != str(job["status"]).capitalize():
            problems.append(f"{job_id} is {job['status']}, its record says {shown}")
    return problems


def _artifacts(facts: Facts) -> list[str]:
    wanted: set[str] = set()
    for job_id, job in facts.jobs.items():
        wanted |= {_clip_key(job_id, clip) for clip in job["clips"] if clip["status"] == "ready"}
        if job.get("film"):
            wanted |= {f"jobs/{job_id}/film.mp4", f"jobs/{job_id}/poster.jpg"}
    return [f"{key} is missing" for key in sorted(wanted - facts.artifacts)] + [
        f"{key} is left over" for key in sorted(facts.artifacts - wanted)
    ]


def _clip_key(job_id: str, clip: Mapping[str, Any]) -> str:
    """Return where a clip's file is: every order has a name of its own."""
    attempt = max((attempt["number"] for attempt in clip.get("attempts", ())), default=1)
    again = f"-{attempt}" if attempt > 1 else ""
    return f"jobs/{job_id}/clip-{clip['number']}{again}.mp4"


def _queues(facts: Facts, *, dead: bool) -> list[str]:
    return [
        f"{queue}: {ready} ready, {unacknowledged} unacknowledged"
        for queue, (ready, unacknowledged) in facts.queues.items()
        if queue.endswith(DEAD) is dead and (ready or unacknowledged)
    ]
