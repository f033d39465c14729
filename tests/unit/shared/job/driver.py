"""A whole system in small: does what the reconciler finds outstanding, with handlers that behave.

Knows of a job only what the document says, so that wherever a job is picked up, nothing but `outstanding`,
`overdue` and the handlers brings it to its end.
"""

from collections.abc import Callable
from random import Random

from shared.errors import Refused
from shared.events import EventData, JobCreated, JobStitched, VideoCallback, VideoReady, VideoRequested, WebhookDue
from shared.job.clips import (
    attempt_failed,
    begin_fetch,
    begin_order,
    clip_home,
    defer_order,
    order_declined,
    order_taken,
    order_unknown,
    polled,
    release_clip,
    settle_order,
)
from shared.job.film import begin_delivery, begin_stitch, delivered, fail, film_stitched, release_step
from shared.job.mirror import begin_mirror, end_mirror, mirror_failed, mirrored, next_status
from shared.job.model import ClipStatus, Job
from shared.job.outstanding import due_at, nudged, outstanding, overdue
from shared.job.policy import Policy
from shared.job.webhooks import begin_webhook, webhook_delivered
from tests.unit.shared.job.builders import PROOF, clip_file, failure, film_of
from tests.unit.shared.job.invariants import check_calendar, check_job, check_step


class Crash(Exception):
    """The process that handles the message dies here; its leases lapse."""


class Driver:
    """Drives one job to its end.

    Args:
        trouble: how often (0 to 1) something goes wrong: a crash between two steps, a declined or lost order, a
            failed task or download, an Airtable that does not answer. 0 is the perfect world.
    """

    def __init__(self, job: Job, now: int, policy: Policy, *, trouble: float = 0.0, seed: int = 0) -> None:
        self.job = job
        self.now = now
        self.policy = policy
        self.rounds = 0
        self._trouble = trouble
        self._random = Random(seed)
        self._owners = 0

    def run(self, *, most_rounds: int) -> Job:
        """Return the settled job; fail if it is not settled after `most_rounds` looks of the reconciler."""
        while (due := due_at(self.job, self.policy)) is not None:
            self.rounds += 1
            assert self.rounds <= most_rounds, f"stuck: {self.job.model_dump_json(exclude={'timeline'})}"
            self.now = max(self.now, due)
            self._reconcile()
        return self.job

    def _reconcile(self) -> None:
        check_calendar(self.job, self.now, self.policy)
        problem = overdue(self.job, self.now, self.policy)
        if problem is not None:
            self._write(lambda job: fail(job, failure=problem, now=self.now))
            return
        nudges = outstanding(self.job, self.now, self.policy)
        self.job = nudged(self.job, self.now)
        for nudge in nudges:
            self.deliver(nudge.payload)

    def deliver(self, payload: EventData) -> None:
        """Hand an event to everybody who listens to it."""
        for handler in (self._work, self._mirror):
            try:
                handler(payload)
            except (Refused, Crash):
                continue

    def _work(self, payload: EventData) -> None:
        match payload:
            case VideoRequested(clip=number):
                self._order(number)
            case JobCreated():
                for clip in self.job.clips:
                    self._order(clip.number)
            case VideoCallback(clip=number, attempt=attempt):
                self._look(number, attempt)
            case VideoReady():
                self._stitch()
            case JobStitched():
                self._deliver_film()
            case WebhookDue(webhook=webhook_id):
                self._tell(webhook_id)

    def _order(self, number: int) -> None:
        policy = self.policy
        self._write(lambda job: settle_order(job, number, now=self.now, policy=policy))
        clip = self.job.clip(number)
        if clip.status is not ClipStatus.PENDING or self.now < clip.not_before or self.job.failure is not None:
            return
        if self._goes_wrong():
            later = self.now + 1_000
            self._write(lambda job: defer_order(job, number, until=later, why="rate limit", now=self.now))
            return
        owner = self._owner()
        self._write(
            lambda job: begin_order(job, number, owner=owner, provider="kie", model="m", now=self.now, policy=policy)
        )
        self._may_crash()
        attempt = len(self.job.clip(number).attempts) and self.job.clip(number).attempts[-1].number
        if self._goes_wrong():
            self._write(lambda job: order_unknown(job, number, attempt, reason="time-out", now=self.now))
        elif self._goes_wrong():
            again_at = self.now + 1_000 if self._random.random() < 0.9 else None
            why = failure(number)
            self._write(lambda job: order_declined(job, number, attempt, failure=why, again_at=again_at, now=self.now))
        else:
            task_id = f"driver-{number}-{attempt}"
            self._write(lambda job: order_taken(job, number, attempt, task_id=task_id, now=self.now, policy=policy))

    def _look(self, number: int, attempt: int) -> None:
        if self._goes_wrong():
            due = self.now + self.policy.poll_every_ms
            self._write(
                lambda job: polled(job, number, attempt, provider_state="generating", next_poll_at=due, now=self.now)
            )
            return
        if self._goes_wrong():
            failed = sum(known.failure is not None for known in self.job.clip(number).attempts)
            again_at = self.now if failed + 1 < self.policy.max_attempts else None
            why = failure(number)
            self._write(lambda job: attempt_failed(job, number, attempt, failure=why, again_at=again_at, now=self.now))
            return
        owner = self._owner()
        self._write(lambda job: begin_fetch(job, number, attempt, owner=owner, now=self.now, policy=self.policy))
        self._may_crash()
        if self._goes_wrong():
            later = self.now + 1_000
            self._write(
                lambda job: release_clip(job, number, owner=owner, again_at=later, problem="HTTP 503", now=self.now)
            )
            return
        self._write(
            lambda job: clip_home(
                job, number, attempt, owner=owner, artifact=clip_file(job, number), credits_spent=None, now=self.now
            )
        )

    def _stitch(self) -> None:
        owner = self._owner()
        self._write(lambda job: begin_stitch(job, owner=owner, now=self.now, policy=self.policy))
        self._may_crash()
        if self._goes_wrong():
            self._write(lambda job: release_step(job, owner=owner))
            return
        self._write(lambda job: film_stitched(job, owner=owner, film=film_of(job), now=self.now))

    def _deliver_film(self) -> None:
        owner = self._owner()
        self._write(lambda job: begin_delivery(job, owner=owner, now=self.now, policy=self.policy))
        self._may_crash()
        self._write_statuses(owner)
        if self._goes_wrong():
            self._write(lambda job: release_step(job, owner=owner))
            return
        proof = PROOF if self.job.record_id is not None else None
        self._write(lambda job: delivered(job, owner=owner, delivery=proof, now=self.now))

    def _tell(self, webhook_id: str) -> None:
        owner = self._owner()
        self._write(lambda job: begin_webhook(job, webhook_id, owner=owner, now=self.now, policy=self.policy))
        self._may_crash()
        self._write(lambda job: webhook_delivered(job, webhook_id, owner=owner, status=200, now=self.now))

    def _mirror(self, _payload: EventData) -> None:
        owner = self._owner()
        self._write(lambda job: begin_mirror(job, owner=owner, now=self.now, policy=self.policy))
        self._may_crash()
        if self._goes_wrong():
            again_at = self.now + 1_000
            self._write(lambda job: mirror_failed(job, owner=owner, problem="429", again_at=again_at, now=self.now))
            return
        self._write_statuses(owner)
        self._write(lambda job: end_mirror(job, owner=owner, now=self.now, policy=self.policy))

    def _write_statuses(self, owner: str) -> None:
        while (due := next_status(self.job, now=self.now, policy=self.policy)) is not None:
            written = due[1]
            self._write(lambda job: mirrored(job, owner=owner, written=written, now=self.now, policy=self.policy))  # noqa: B023
            self._may_crash()

    def _write(self, transition: Callable[[Job], Job]) -> None:
        after = transition(self.job)
        check_step(self.job, after, self.now, self.policy)
        check_job(after, self.policy)
        self.job = after

    def _owner(self) -> str:
        self._owners += 1
        return f"driver/{self._owners}"

    def _goes_wrong(self) -> bool:
        return self._random.random() < self._trouble

    def _may_crash(self) -> None:
        if self._goes_wrong():
            raise Crash
