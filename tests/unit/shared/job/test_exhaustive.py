"""Every state that leases, callbacks and the reconciler can reach together, in a small world.

A breadth-first search, in the manner of TLA+'s model checker, over one or two clips from acceptance to the last clip
being home, with the real transitions. At every moment anything may happen that can happen: any message arrives
(again, late, too early) or none does, the answer to an order is lost, a callback comes before it, after it, twice or
never, whoever works on a clip dies or sleeps through its lease between any two steps, a look at the task is acted on
long after it was taken. Only the reconciler is dutiful: time does not pass over something that is due.

Checked in every state: all of `invariants`, and that no clip is paid for twice. Checked of the graph: it has no
cycle and all its ends are jobs that are settled or have all clips home. So every run comes to its end.

Time is relative to now, so that two moments which differ only in the clock are one state.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from graphlib import TopologicalSorter

import pytest

from shared.errors import Refused
from shared.job.clips import (
    attempt_failed,
    begin_fetch,
    begin_order,
    clip_home,
    order_declined,
    order_taken,
    order_unknown,
    polled,
    settle_order,
)
from shared.job.control import approve, cancel, regenerate, retry
from shared.job.film import fail
from shared.job.lease import Lease
from shared.job.mirror import is_settled
from shared.job.model import Attempt, AttemptState, Clip, ClipStatus, Job, JobStatus, Passage
from shared.job.outstanding import due_at, nudged, overdue
from shared.job.policy import AmbiguousPolicy, Policy
from tests.unit.shared.job.builders import T, accepted, clip_file, failure
from tests.unit.shared.job.invariants import check_calendar, check_job, check_step

SMALL = Policy(
    job_timeout_ms=3,
    lease_ms=1,
    nudge_after_ms=1,
    nudge_max_ms=1,
    poll_after_ms=1,
    poll_every_ms=1,
    max_attempts=2,
    ambiguous_window_ms=2,
)
"""Time comes in ticks: only which of two things is due first matters."""


@dataclass(frozen=True)
class Scope:
    """How much may go wrong in one run.

    Attributes:
        hands: who may be at work (or asleep) at the same time. Dying is always possible and costs nothing. With 0,
            whoever begins goes on to the end of its work, or to its death, before anything else happens.
        failures: tasks that the provider gives up.
        declines: orders that the provider does not take.
        stale_looks: whether a look at the task may be acted on later than at once.
        instant: whether the provider needs no time.
        people: how often somebody cancels, retries, approves or has a clip made anew, in all.
        review: whether the clips wait for approval.
    """

    clips: int
    hands: int
    failures: int
    declines: int
    stale_looks: bool
    instant: bool = False
    people: int = 0
    review: bool = False


@dataclass(frozen=True)
class Hand:
    """Somebody between two steps: before the order goes out (`place`), before its outcome is written (`answer`),
    before a look at the task is acted on (`look`), before the clip is home (`fetch`).
    """

    step: str
    clip: int
    attempt: int
    owner: str = ""
    knows: str = ""


@dataclass(frozen=True)
class Order:
    """The provider's own view of an order it took."""

    clip: int
    attempt: int
    state: str = "running"


@dataclass(frozen=True)
class State:
    job: Job
    hands: frozenset[Hand] = frozenset()
    orders: frozenset[Order] = frozenset()
    failures: int = 0
    declines: int = 0
    people: int = 0

    def __hash__(self) -> int:
        job = self.job
        told = (job.status, job.progress_at, job.nudges, job.nudged_at, job.passages, job.clips, job.retries)
        return hash((told, self.hands, self.orders, self.failures, self.declines, self.people))


class Model:
    def __init__(self, scope: Scope, policy: Policy) -> None:
        self.scope = scope
        self.policy = policy

    def start(self) -> State:
        scope = self.scope
        job = accepted(scope.clips, record_id=None, review=scope.review)
        return State(self.at(job, T), failures=scope.failures, declines=scope.declines, people=scope.people)

    # Everything that can happen next.

    def next(self, state: State) -> Iterator[State]:
        for following in self.steps(state):
            if self.scope.hands:
                yield following
            else:
                yield from self.without_pause(following)

    def without_pause(self, state: State) -> Iterator[State]:
        done = replace(state, hands=frozenset())
        yield done
        for hand in state.hands:
            for following in self.go_on(done, hand):
                yield from self.without_pause(following)

    def steps(self, state: State) -> Iterator[State]:
        if state.job.status is JobStatus.PROCESSING:
            return
        yield from self.time(state)
        yield from self.person(state)
        for clip in state.job.clips:
            yield from self.handle_order(state, clip.number)
        for order in state.orders:
            yield from self.handle_look(state, order)
            yield from self.provider(state, order)
        for hand in state.hands:
            without = replace(state, hands=state.hands - {hand})
            if hand.step != "look":  # to die while looking is the same as not to have looked
                yield without
            yield from self.go_on(without, hand)

    def time(self, state: State) -> Iterator[State]:
        due = due_at(state.job, self.policy)
        if due is None:
            return
        if due <= 0:
            yield replace(state, job=self.reconciled(state.job))
            return
        moments = [lease.expires_at for clip in state.job.clips if (lease := clip.lease) is not None]
        moments += [clip.not_before for clip in state.job.clips]
        step = min(moment for moment in (*moments, due) if moment > 0)
        yield replace(state, job=self.at(state.job, step))

    def person(self, state: State) -> Iterator[State]:
        """Somebody does something to the job, at any moment."""
        if not state.people:
            return
        if state.job.status.is_final:  # time does not pass any more, so whoever comes later comes now
            lapses = [lease.expires_at for clip in state.job.clips if (lease := clip.lease) is not None]
            state = replace(state, job=self.at(state.job, max(lapses, default=0)))
        wishes: list[Callable[[Job], Job]] = [partial(cancel, now=0), partial(retry, now=0), partial(approve, now=0)]
        wishes += [partial(regenerate, number=clip.number, now=0) for clip in state.job.clips]
        for wish in wishes:
            try:
                job = wish(state.job)
            except Refused:
                continue
            assert wish(job) == job, "asked for twice is not asked for once"
            if job is not state.job:
                yield replace(self.wrote(state, job), people=state.people - 1)

    def reconciled(self, job: Job) -> Job:
        problem = overdue(job, 0, self.policy)
        after = fail(job, failure=problem, now=0) if problem is not None else nudged(job, 0)
        check_step(job, after, 0, self.policy)
        return self.at(after, 0)

    def provider(self, state: State, order: Order) -> Iterator[State]:
        if order.state == "running" or (self.scope.instant and order.state == "done"):
            rest = state.orders - {order}
            yield replace(state, orders=rest | {replace(order, state="done")})
            if state.failures:
                failed = replace(order, state="failed")
                yield replace(state, orders=rest | {failed}, failures=state.failures - 1)

    def handle_order(self, state: State, number: int) -> Iterator[State]:
        state = self.wrote(state, settle_order(state.job, number, now=0, policy=self.policy))
        yield state
        if len(state.hands) >= max(self.scope.hands, 1):
            return
        owner = self.free_owner(state)
        try:
            job = begin_order(state.job, number, owner=owner, provider="kie", model="m", now=0, policy=self.policy)
        except Refused:
            return
        attempt = job.clip(number).attempts[-1].number
        yield replace(self.wrote(state, job), hands=state.hands | {Hand("place", number, attempt, owner)})

    def handle_look(self, state: State, order: Order) -> Iterator[State]:
        """A callback, or a poll: the task is looked at."""
        clip = state.job.clip(order.clip)
        if clip.attempt is None or clip.attempt.number != order.attempt:
            return
        if not clip.in_flight and clip.attempt.state is not AttemptState.AMBIGUOUS:
            return
        if clip.attempt.task_id is None:
            state = self.wrote(state, self.taken(state.job, order))
            yield state
        look = Hand("look", order.clip, order.attempt, knows=order.state)
        if not self.scope.stale_looks:
            yield from self.go_on(state, look)
        elif len(state.hands) < self.scope.hands and any(after.job != state.job for after in self.go_on(state, look)):
            yield replace(state, hands=state.hands | {look})

    def go_on(self, state: State, hand: Hand) -> Iterator[State]:
        """The owner of `hand`, who has been taken out of `state`, does its next step."""
        try:
            match hand.step:
                case "place":
                    yield from self.place(state, hand)
                case "answer":
                    yield self.wrote(state, self.answered(state.job, hand))
                case "look":
                    yield self.acted(state, hand)
                case "fetch":
                    yield self.wrote(state, self.home(state.job, hand))
        except Refused:
            yield state

    def place(self, state: State, hand: Hand) -> Iterator[State]:
        """The order goes out, whatever the time is by now."""
        wanted_since = state.job.clip(hand.clip).counted_from
        if self.policy.ambiguous is not AmbiguousPolicy.RESUBMIT and hand.attempt > wanted_since:
            mine = [order for order in state.orders if order.clip == hand.clip and order.attempt > wanted_since]
            live = [order for order in mine if order.state != "failed"]
            assert not live, f"clip {hand.clip} is paid twice"
        order = Order(hand.clip, hand.attempt, "done" if self.scope.instant else "running")
        orders = state.orders | {order}
        yield replace(state, orders=orders, hands=state.hands | {replace(hand, step="answer", knows="taken")})
        yield replace(state, orders=orders, hands=state.hands | {replace(hand, step="answer", knows="lost")})
        if state.declines:
            answer = replace(hand, step="answer", knows="declined")
            yield replace(state, hands=state.hands | {answer}, declines=state.declines - 1)

    def answered(self, job: Job, hand: Hand) -> Job:
        number, attempt = hand.clip, hand.attempt
        if hand.knows == "taken":
            return self.taken(job, Order(number, attempt))
        if hand.knows == "lost":
            return order_unknown(job, number, attempt, reason="time-out", now=0)
        return order_declined(job, number, attempt, failure=failure(number), again_at=1, now=0)

    def acted(self, state: State, hand: Hand) -> State:
        """What a look showed, perhaps long ago, is written, or the result is fetched."""
        job, number, attempt = state.job, hand.clip, hand.attempt
        if hand.knows == "running":
            job = polled(job, number, attempt, provider_state="running", next_poll_at=self.policy.poll_every_ms, now=0)
        elif hand.knows == "failed":
            again_at = 1 if attempt < self.policy.max_attempts else None
            job = attempt_failed(job, number, attempt, failure=failure(number), again_at=again_at, now=0)
        else:
            if len(state.hands) >= max(self.scope.hands, 1):
                return state
            owner = self.free_owner(state)
            job = begin_fetch(job, number, attempt, owner=owner, now=0, policy=self.policy)
            state = replace(state, hands=state.hands | {Hand("fetch", number, attempt, owner)})
        return self.wrote(state, job)

    def taken(self, job: Job, order: Order) -> Job:
        task_id = f"task-{order.clip}-{order.attempt}"
        return order_taken(job, order.clip, order.attempt, task_id=task_id, now=0, policy=self.policy)

    def home(self, job: Job, hand: Hand) -> Job:
        file = clip_file(job, hand.clip)
        return clip_home(job, hand.clip, hand.attempt, owner=hand.owner, artifact=file, credits_spent=None, now=0)

    # States.

    def free_owner(self, state: State) -> str:
        used = {hand.owner for hand in state.hands}
        used |= {clip.lease.owner for clip in state.job.clips if clip.lease is not None}
        return next(name for name in "abcdefghij" if name not in used)

    def wrote(self, state: State, job: Job) -> State:
        if job is state.job:
            return state
        check_step(state.job, job, 0, self.policy)
        return replace(state, job=self.at(job, 0))

    def at(self, job: Job, now: int) -> Job:
        """Return the job as it looks at `now`, which becomes 0; the past beyond what matters is forgotten."""
        policy = self.policy
        nudges = min(job.nudges, 1)
        last = job.passages[-1]
        return job.but(
            created_at=0,
            updated_at=0,
            progress_at=max(job.progress_at - now, -policy.job_timeout_ms),
            passages=(
                *(Passage(status=passage.status, at=0) for passage in job.passages[:-1]),
                last.but(at=max(last.at - now, -policy.nudge_after_ms)),
            ),
            finished_at=0 if job.finished_at is not None else None,
            clips=tuple(self.clip_at(clip, now) for clip in job.clips),
            timeline=(),
            nudges=nudges,
            nudged_at=max(job.nudged_at - now, -policy.nudge_max_ms) if nudges else 0,
        )

    def clip_at(self, clip: Clip, now: int) -> Clip:
        lease = clip.lease
        return clip.but(
            changed_at=max(clip.changed_at - now, -self.policy.ambiguous_window_ms),
            not_before=max(clip.not_before - now, 0),
            poll_at=max(clip.poll_at - now, 0) if clip.poll_at is not None else None,
            polls=0,
            fetches=0,
            lease=Lease(owner=lease.owner, expires_at=max(lease.expires_at - now, 0)) if lease is not None else None,
            attempts=tuple(self.attempt_at(attempt) for attempt in clip.attempts),
        )

    def attempt_at(self, attempt: Attempt) -> Attempt:
        return attempt.but(
            started_at=0,
            submitted_at=0 if attempt.submitted_at is not None else None,
            ended_at=0 if attempt.ended_at is not None else None,
        )


def explore(model: Model) -> dict[State, set[State]]:
    """Return every reachable state and what can follow it (staying the same left out)."""
    graph: dict[State, set[State]] = {}
    waiting = deque([model.start()])
    while waiting:
        state = waiting.popleft()
        if state in graph:
            continue
        check_job(state.job, model.policy)
        check_calendar(state.job, 0, model.policy)
        graph[state] = {following for following in model.next(state) if following != state}
        waiting.extend(graph[state])
    return graph


def check_ends(graph: dict[State, set[State]], policy: Policy) -> set[str]:
    """Check that every run ends, and well; return how runs can end."""
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError
    ends = [state for state, following in graph.items() if not following]
    for state in ends:
        assert state.job.status is JobStatus.PROCESSING or is_settled(state.job), f"stuck: {state}"
        if state.job.status is JobStatus.PROCESSING and policy.ambiguous is not AmbiguousPolicy.RESUBMIT:
            for clip in state.job.clips:
                paid = [order for order in state.orders if order.clip == clip.number and order.state == "done"]
                assert clip.attempt is not None
                assert sum(order.attempt == clip.attempt.number for order in paid) == 1
                assert all(order.attempt in (clip.attempt.number, *range(clip.counted_from + 1)) for order in paid)
                assert clip.status is ClipStatus.READY
    return {ending(state.job) for state in ends}


def ending(job: Job) -> str:
    if job.status is JobStatus.CANCELLED:
        return "cancelled"
    return job.failure.code if job.failure is not None else "all home"


WAIT, RESUBMIT, FAIL = AmbiguousPolicy.WAIT, AmbiguousPolicy.RESUBMIT, AmbiguousPolicy.FAIL


@pytest.mark.parametrize(
    ("ambiguous", "scope", "ends"),
    [
        (WAIT, Scope(clips=1, hands=2, failures=0, declines=1, stale_looks=False), {"ambiguous"}),
        (FAIL, Scope(clips=1, hands=2, failures=0, declines=0, stale_looks=False), {"ambiguous"}),
        (WAIT, Scope(clips=1, hands=1, failures=1, declines=0, stale_looks=True), {"ambiguous"}),
        (RESUBMIT, Scope(clips=1, hands=1, failures=0, declines=0, stale_looks=False), {"ambiguous"}),
    ],
)
def test_one_clip_is_never_paid_twice_and_always_comes_to_an_end(
    ambiguous: AmbiguousPolicy, scope: Scope, ends: set[str]
) -> None:
    policy = replace(SMALL, ambiguous=ambiguous)
    assert check_ends(explore(Model(scope, policy)), policy) == {"all home", "timeout", *ends}


@pytest.mark.parametrize(
    ("ambiguous", "scope"),
    [
        (WAIT, Scope(clips=2, hands=0, failures=0, declines=0, stale_looks=False, instant=True)),
        (FAIL, Scope(clips=2, hands=0, failures=0, declines=0, stale_looks=False, instant=True)),
    ],
)
def test_two_clips_bring_their_job_to_an_end_together(ambiguous: AmbiguousPolicy, scope: Scope) -> None:
    policy = replace(SMALL, ambiguous=ambiguous, job_timeout_ms=2, ambiguous_window_ms=1)
    assert check_ends(explore(Model(scope, policy)), policy) == {"all home", "timeout", "ambiguous"}


@pytest.mark.parametrize(
    ("ambiguous", "hands", "people", "review"),
    [(WAIT, 1, 1, False), (FAIL, 1, 1, False), (WAIT, 0, 2, True)],
)
def test_whatever_people_do_a_clip_is_paid_again_only_if_they_asked_for_it(
    ambiguous: AmbiguousPolicy, hands: int, people: int, review: bool
) -> None:
    policy = replace(SMALL, ambiguous=ambiguous, job_timeout_ms=2, ambiguous_window_ms=1, review_timeout_ms=1)
    scope = Scope(1, hands, failures=0, declines=0, stale_looks=False, instant=True, people=people, review=review)
    ends = {"all home", "timeout", "ambiguous", "cancelled"}
    assert check_ends(explore(Model(scope, policy)), policy) == ends | ({"review_timeout"} if review else set())
