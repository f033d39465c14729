"""The job under any interleaving, duplication, loss and delay of facts, with crashes, frozen owners and clock steps.

Hypothesis plays the world: several owners work on the same job at once, any of them may stop for any time
between two steps, answers come late, twice, out of order or never, and the clock jumps both ways. After every
step all that `invariants` knows must hold, and every step written twice must change nothing the second time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared.errors import Refused
from shared.job.clips import (
    attempt_failed,
    begin_fetch,
    begin_order,
    clip_home,
    defer_order,
    give_up_order,
    order_declined,
    order_taken,
    order_unknown,
    polled,
    release_clip,
    renew_clip,
    settle_order,
)
from shared.job.control import approve, cancel, regenerate, retry
from shared.job.film import begin_delivery, begin_stitch, delivered, fail, film_stitched, release_step, renew_step
from shared.job.mirror import begin_mirror, end_mirror, mirror_failed, mirrored, next_status, renew_mirror
from shared.job.model import Artifact, ClipStatus, Job, JobStatus
from shared.job.outstanding import due_at, nudged, outstanding, overdue
from shared.job.policy import AmbiguousPolicy, Policy
from shared.job.wishes import ClipFailurePolicy
from tests.unit.shared.job.builders import (
    PROOF,
    T,
    accepted,
    all_home,
    failure,
    film_of,
    stitched,
    taken,
)
from tests.unit.shared.job.driver import Driver
from tests.unit.shared.job.invariants import check_calendar, check_job, check_step

Transition = Callable[[Job], Job]
PICK = st.integers(0, 1_000)
DOCUMENT_LIMIT_BYTES = 300_000
MOST_ROUNDS = 1_000
MOST_RETRIES = 4
"""People lose patience: without an end to it a story could be drawn out for ever."""


@dataclass
class Order:
    """What the provider itself knows of an order it took; `live` until it gave it up."""

    clip: int
    attempt: int
    admitted: bool
    live: bool = True
    """Not given up by the provider, and no person has asked for another one in its place."""

    @property
    def task_id(self) -> str:
        return f"task-{self.clip}-{self.attempt}"


@dataclass(frozen=True)
class Hand:
    """Somebody at work: holds (or held) a lease and has not yet come to the end of its step."""

    step: str
    owner: str
    clip: int = 0
    attempt: int = 0


class Result:
    """What the owner of a lease found out; worth nothing once the lease is another's."""

    def __init__(self, transition: Transition, by: Hand) -> None:
        self.transition = transition
        self.owner = by.owner
        self._clip = by.clip

    def __call__(self, job: Job) -> Job:
        return self.transition(job)

    def lease_of(self, job: Job) -> str | None:
        """Return who holds the lease that the result needs."""
        lease = job.clip(self._clip).lease if self._clip else job.lease
        return lease.owner if lease is not None else None


@dataclass(frozen=True)
class Move:
    """Something that can happen in the world.

    Attributes:
        happens: takes the world, a number to pick by, and one of the options if there are any.
        when: whether it can happen now.
    """

    happens: Callable[..., None]
    options: tuple[Any, ...]
    when: Callable[["World"], object]


MOVES: list[Move] = []


def move(
    *options: Any, when: Callable[["World"], object] = lambda _: True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a method of the world one of the things that can happen in it."""

    def register(happens: Callable[..., None]) -> Callable[..., None]:
        MOVES.append(Move(happens, options, when))
        return happens

    return register


def any_clip(*statuses: ClipStatus) -> Callable[["World"], bool]:
    return lambda world: any(clip.status in statuses for clip in world.job.clips)


def any_hand(*steps: str) -> Callable[["World"], bool]:
    return lambda world: any(hand.step in steps for hand in world.hands)


class World(RuleBasedStateMachine):
    job: Job
    policy: Policy

    def __init__(self) -> None:
        super().__init__()
        self.now = T
        self.owners = 0
        self.hands: list[Hand] = []
        self.facts: list[Transition] = []
        self.orders: list[Order] = []

    @initialize(
        start=st.sampled_from(["accepted", "ordered", "ordered", "generating", "home", "stitched"]),
        clips=st.integers(1, 3),
        record=st.booleans(),
        ambiguous=st.sampled_from(AmbiguousPolicy),
        attempts=st.integers(1, 3),
        on_clip_failure=st.sampled_from(ClipFailurePolicy),
        review=st.booleans(),
    )
    def accept(
        self,
        start: str,
        clips: int,
        record: bool,
        ambiguous: AmbiguousPolicy,
        attempts: int,
        on_clip_failure: ClipFailurePolicy,
        review: bool,
    ) -> None:
        self.policy = Policy(ambiguous=ambiguous, max_attempts=attempts)
        record_id = "rec1" if record else None
        if start == "stitched":
            self.job = stitched(clips, record_id=record_id)
        else:
            make = all_home if start == "home" else accepted
            wishes: dict[str, Any] = {"on_clip_failure": on_clip_failure, "min_clips": clips // 2 + 1, "review": review}
            self.job = make(clips, record_id=record_id, **wishes)
        for number in range(1, clips + 1):
            if start in ("ordered", "generating"):
                self.begin_order(number)
            if start == "generating":
                self.provider_takes(self.hands.pop(), admitted=True)
                self.job = taken(self.job, number)

    @rule(which=PICK, pick=PICK, option=PICK)
    def something_happens(self, which: int, pick: int, option: int) -> None:
        """One rule for all: Hypothesis would leave out some of many for a whole run, and so miss long stories."""
        possible = [move for move in MOVES if move.when(self)]
        chosen = possible[which % len(possible)]
        options = (chosen.options[option % len(chosen.options)],) if chosen.options else ()
        note(f"{chosen.happens.__name__} {pick} {options}")
        chosen.happens(self, pick, *options)

    # What the world does with our writes.

    def write(self, transition: Transition) -> bool:
        """Apply a transition, perhaps much later than it was decided on; return whether it was accepted.

        The word of an owner whose lease is not its own any more must change nothing.
        """
        try:
            after = transition(self.job)
        except Refused:
            return False
        try:
            again = transition(after)
        except Refused:
            again = after
        assert again == after, "written twice is not written once"
        check_step(self.job, after, self.now, self.policy)
        if isinstance(transition, Result) and transition.lease_of(self.job) != transition.owner:
            assert after == self.job, f"{transition.owner} was believed, and holds no lease"
        self.job = after
        return True

    def later(self, transition: Transition, *, by: Hand | None = None) -> None:
        """Something was found out; when, how often and whether it is written is the world's to decide."""
        self.facts.append(transition if by is None else Result(transition, by))

    @move("arrives", "arrives", "arrives", "will arrive again", "is lost", when=lambda self: self.facts)
    def a_fact(self, pick: int, fate: str) -> None:
        index = pick % len(self.facts)
        if fate != "is lost":
            self.write(self.facts[index])
        if fate != "will arrive again":
            del self.facts[index]

    @move(1, 400, 5_000, -20_000)
    def time_passes(self, _pick: int, pause: int) -> None:
        """By a while, or the clock is set back."""
        self.now += pause

    @move()
    def the_time_comes(self, pick: int) -> None:
        """For something in the document: a lease lapses, a window is over, the deadline is there."""
        job, policy = self.job, self.policy
        moments = [job.progress_at + policy.job_timeout_ms, due_at(job, policy) or 0, job.mirror.not_before]
        moments += [lease.expires_at for lease in (job.lease, job.mirror.lease) if lease is not None]
        for clip in job.clips:
            moments += [clip.lease.expires_at if clip.lease is not None else 0, clip.poll_at or 0, clip.not_before]
            moments.append(clip.changed_at + policy.ambiguous_window_ms)
        coming = sorted({moment for moment in moments if moment > self.now})
        if coming:
            # Of the next few the first is the likeliest.
            self.now = coming[min(pick % 7 // 3, len(coming) - 1)]

    @move(when=lambda self: self.hands)
    def somebody_crashes(self, pick: int) -> None:
        del self.hands[pick % len(self.hands)]

    @move()
    def the_reconciler_looks(self, _pick: int) -> None:
        problem = overdue(self.job, self.now, self.policy)
        if problem is not None:
            assert self.write(partial(fail, failure=problem, now=self.now))
        elif outstanding(self.job, self.now, self.policy):
            self.job = nudged(self.job, self.now)

    @move("order", "fetch", "stitch", "deliver", "mirror")
    def a_message_comes_at_the_wrong_time(self, pick: int, what: str) -> None:
        number = pick % len(self.job.clips) + 1
        if what == "order":
            self.begin_order(number)
        elif what == "fetch":
            self.begin_fetch(number, len(self.job.clip(number).attempts))
        else:
            self.begin_step(what)

    # Who is at work.

    def new_owner(self) -> str:
        self.owners += 1
        return f"owner-{self.owners}"

    def clip(self, pick: int, *statuses: ClipStatus) -> int:
        found = [clip.number for clip in self.job.clips if clip.status in statuses]
        return found[pick % len(found)]

    def hand(self, pick: int, *steps: str) -> Hand:
        """Return somebody at one of these steps, who has then done it."""
        found = [hand for hand in self.hands if hand.step in steps]
        hand = found[pick % len(found)]
        self.hands.remove(hand)
        return hand

    @move(False, True, when=lambda self: self.hands)
    def a_lease_is_renewed(self, pick: int, progress: bool) -> None:
        hand = self.hands[pick % len(self.hands)]
        keep: dict[str, Any] = {"owner": hand.owner, "now": self.now, "policy": self.policy, "progress": progress}
        if hand.step in ("stitch", "deliver"):
            self.write(partial(renew_step, **keep))
        elif hand.step == "mirror":
            self.write(partial(renew_mirror, owner=hand.owner, now=self.now, policy=self.policy))
        else:
            self.write(partial(renew_clip, number=hand.clip, **keep))

    # Ordering.

    def begin_order(self, number: int) -> None:
        self.write(partial(settle_order, number=number, now=self.now, policy=self.policy))
        owner, now = self.new_owner(), self.now
        begin = partial(begin_order, number=number, owner=owner, provider="kie", model="m", now=now, policy=self.policy)
        if self.write(begin):
            attempt = self.job.clip(number).attempt
            assert attempt is not None
            self.hands.append(Hand("order", owner, number, attempt.number))

    @move(when=any_clip(ClipStatus.PENDING, ClipStatus.SUBMITTING))
    def an_order_begins(self, pick: int) -> None:
        self.begin_order(self.clip(pick, ClipStatus.PENDING, ClipStatus.SUBMITTING))

    @move("waits", "waits", "waits", "given up", when=any_clip(ClipStatus.PENDING))
    def an_order_does_not_begin(self, pick: int, instead: str) -> None:
        number = self.clip(pick, ClipStatus.PENDING)
        if instead == "waits":
            until = self.now + 10 * pick
            self.write(partial(defer_order, number=number, until=until, why="rate limit", now=self.now))
        else:
            self.write(partial(give_up_order, number=number, failure=failure(number, code="no_model"), now=self.now))

    @move("taken", "taken", "lost", "declined", "declined for good", "lie", "not sent", when=any_hand("order"))
    def an_order_is_placed(self, pick: int, answer: str) -> None:
        """Perhaps long after its owner's lease lapsed: it was frozen just before the request went out."""
        hand = self.hand(pick, "order")
        here: dict[str, Any] = {"number": hand.clip, "attempt_number": hand.attempt, "now": self.now}
        if answer in ("taken", "lost", "lie"):
            self.provider_takes(hand, admitted=answer != "lie")
        if answer == "taken":
            order = self.orders[-1]
            self.later(partial(order_taken, **here, task_id=order.task_id, policy=self.policy))
        elif answer in ("lost", "not sent"):
            self.later(partial(order_unknown, **here, reason="time-out"))
        else:
            again_at = None if answer == "declined for good" else self.now + pick
            self.later(partial(order_declined, **here, failure=failure(hand.clip), again_at=again_at))

    def provider_takes(self, hand: Hand, *, admitted: bool) -> None:
        """The promise: while an order that may be billed is out, the clip is not ordered again.

        Unless somebody asks for it: to make the clip anew, or to retry though nobody knows an order's fate.
        """
        wanted_since = self.job.clip(hand.clip).counted_from
        if self.policy.ambiguous is not AmbiguousPolicy.RESUBMIT and hand.attempt > wanted_since:
            mine = [order for order in self.orders if order.clip == hand.clip and order.attempt > wanted_since]
            others = [order for order in mine if order.live and order.admitted]
            assert not others, f"clip {hand.clip} is paid twice: {others}"
        self.orders.append(Order(hand.clip, hand.attempt, admitted))

    # Hearing of it and bringing it home.

    @move("took it", "waiting", "generating", "failed", "failed for good", when=lambda self: self.orders)
    def the_provider_speaks(self, pick: int, says: str) -> None:
        order = self.orders[pick % len(self.orders)]
        here: dict[str, Any] = {"number": order.clip, "attempt_number": order.attempt, "now": self.now}
        if says == "took it":
            self.later(partial(order_taken, **here, task_id=order.task_id, policy=self.policy))
        elif says.startswith("failed"):
            order.live = False
            again_at = self.now + pick if says == "failed" else None
            self.later(partial(attempt_failed, **here, failure=failure(order.clip), again_at=again_at))
        else:
            due = self.now + self.policy.poll_every_ms
            self.later(partial(polled, **here, provider_state=says, next_poll_at=due))

    def begin_fetch(self, number: int, attempt: int) -> None:
        owner = self.new_owner()
        begin = partial(begin_fetch, number=number, attempt_number=attempt, owner=owner)
        if self.write(partial(begin, now=self.now, policy=self.policy)):
            self.hands.append(Hand("fetch", owner, number, attempt))

    @move(when=any_clip(ClipStatus.GENERATING))
    def a_download_begins(self, pick: int) -> None:
        number = self.clip(pick, ClipStatus.GENERATING)
        self.begin_fetch(number, self.job.clip(number).attempts[-1].number)

    @move("home", "home", "home", "problem", "handed back", "useless", when=any_hand("fetch"))
    def a_download_ends(self, pick: int, end: str) -> None:
        hand = self.hand(pick, "fetch")
        here: dict[str, Any] = {"number": hand.clip, "owner": hand.owner, "now": self.now}
        if end == "home":
            home = partial(clip_home, **here, attempt_number=hand.attempt)
            key = f"jobs/job_1/clip-{hand.clip}-{hand.attempt}.mp4"
            self.later(partial(home, artifact=Artifact(key=key, size_bytes=pick), credits_spent=None), by=hand)
        elif end == "useless":
            useless = partial(attempt_failed, **here, attempt_number=hand.attempt)
            why = failure(hand.clip, code="not_a_video")
            self.later(partial(useless, failure=why, again_at=None, result_waits=bool(pick % 2)), by=hand)
        else:
            problem = "HTTP 503" if end == "problem" else None
            self.later(partial(release_clip, **here, again_at=self.now + pick, problem=problem), by=hand)

    # The film and the record.

    def begin_step(self, what: str) -> None:
        begin = {"stitch": begin_stitch, "deliver": begin_delivery, "mirror": begin_mirror}[what]
        owner = self.new_owner()
        if self.write(partial(begin, owner=owner, now=self.now, policy=self.policy)):
            self.hands.append(Hand(what, owner))

    @move(when=lambda self: self.job.status in (JobStatus.PROCESSING, JobStatus.STITCHING, JobStatus.UPLOADING))
    def a_step_begins(self, _pick: int) -> None:
        self.begin_step("stitch" if self.job.film is None else "deliver")

    @move("done", "done", "done", "handed back", "failed", when=any_hand("stitch", "deliver"))
    def a_step_ends(self, pick: int, end: str) -> None:
        hand = self.hand(pick, "stitch", "deliver")
        if end == "handed back":
            self.later(partial(release_step, owner=hand.owner), by=hand)
        elif end == "failed":
            self.later(partial(fail, failure=failure(None, code="broken"), now=self.now, owner=hand.owner), by=hand)
        elif hand.step == "stitch":
            self.later(partial(film_stitched, owner=hand.owner, film=film_of(self.job), now=self.now), by=hand)
        else:
            proof = PROOF if self.job.record_id is not None else None
            self.later(partial(delivered, owner=hand.owner, delivery=proof, now=self.now), by=hand)

    @move(when=lambda self: self.job.record_id is not None)
    def a_writer_begins(self, _pick: int) -> None:
        self.begin_step("mirror")

    @move("wrote", "wrote", "wrote", "ends", "fails", "gives up", when=any_hand("mirror", "deliver"))
    def the_record_is_written(self, pick: int, end: str) -> None:
        writers = [hand for hand in self.hands if hand.step in ("mirror", "deliver")]
        here: dict[str, Any] = {"owner": writers[pick % len(writers)].owner, "now": self.now}
        due = next_status(self.job, now=self.now, policy=self.policy)
        if end == "wrote" and due is not None:
            self.later(partial(mirrored, **here, written=due[1], policy=self.policy))
        elif end == "fails":
            self.later(partial(mirror_failed, **here, problem="429", again_at=self.now + pick))
        elif end == "gives up":
            self.later(partial(mirror_failed, **here, problem="404", again_at=None))
        else:
            self.later(partial(end_mirror, **here, policy=self.policy))

    # What people do.

    @move(when=lambda self: True)
    def somebody_cancels(self, pick: int) -> None:
        if pick % 4 == 0:  # or few jobs would have a long story
            self.write(partial(cancel, now=self.now))

    @move(when=lambda self: self.job.status is JobStatus.FAILED)
    def somebody_retries(self, _pick: int) -> None:
        if self.job.retries < MOST_RETRIES:
            assert self.write(partial(retry, now=self.now))

    @move(when=lambda self: self.job.status is JobStatus.REVIEW)
    def somebody_approves(self, _pick: int) -> None:
        assert self.write(partial(approve, now=self.now))

    @move(None, "another prompt", when=any_clip(ClipStatus.READY, ClipStatus.FAILED))
    def somebody_wants_a_clip_made_anew(self, pick: int, prompt: str | None) -> None:
        number = self.clip(pick, ClipStatus.READY, ClipStatus.FAILED)
        if self.job.clip(number).takes < MOST_RETRIES:
            request = f"request-{pick}"
            self.write(partial(regenerate, number=number, prompt=prompt, now=self.now, request_id=request))

    # What must be true.

    @invariant()
    def the_document_makes_sense(self) -> None:
        check_job(self.job, self.policy)

    @invariant()
    def the_reconciler_knows_when_to_look(self) -> None:
        check_calendar(self.job, self.now, self.policy)

    @move(0.0, 0.2, 0.5)
    def from_here_the_job_would_come_to_its_end(self, seed: int, trouble: float) -> None:
        Driver(self.job, self.now, self.policy, trouble=trouble, seed=seed).run(most_rounds=MOST_ROUNDS)

    def teardown(self) -> None:
        if hasattr(self, "job"):
            document = self.job.model_dump_json()
            assert len(document) < DOCUMENT_LIMIT_BYTES
            assert Job.model_validate_json(document) == self.job
            Driver(self.job, self.now, self.policy).run(most_rounds=MOST_ROUNDS)


TestJobUnderAnyInterleaving = World.TestCase
TestJobUnderAnyInterleaving.settings = settings(
    max_examples=100, stateful_step_count=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("ambiguous", AmbiguousPolicy)
@pytest.mark.parametrize("record_id", [None, "rec1"])
@pytest.mark.parametrize("trouble", [0.0, 0.1, 0.3, 0.6])
def test_every_job_comes_to_its_end_by_what_is_outstanding_alone(
    ambiguous: AmbiguousPolicy, record_id: str | None, trouble: float
) -> None:
    policy = Policy(ambiguous=ambiguous)
    for seed in range(5):
        driver = Driver(accepted(3, record_id=record_id), T, policy, trouble=trouble, seed=seed)
        assert driver.run(most_rounds=MOST_ROUNDS).status.is_final
        if trouble == 0.0:
            assert driver.job.status == "completed"
