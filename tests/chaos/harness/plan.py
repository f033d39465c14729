"""What one chaos run does, decided from a seed before it starts. Pure."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Self


class Strike(StrEnum):
    """One kind of fault that the run inflicts from outside."""

    KILL = "service killed (SIGKILL)"
    FREEZE = "service frozen past its lease (SIGSTOP)"
    KILL_BROKER = "RabbitMQ killed and restarted"
    KILL_STORE = "Redis killed and restarted"
    RESET = "connections reset"
    DELAY = "connections slowed"
    LOSE_REPLY = "reply lost, request done"


@dataclass(frozen=True, slots=True)
class Blow:
    """One strike.

    Attributes:
        target: a process of the fleet, or `broker` or `store` for strikes on connections.
        lasting_s: how long a process stays down or frozen, or a connection slow.
        count: how many replies are lost.
    """

    strike: Strike
    target: str
    lasting_s: float
    count: int = 1


@dataclass(frozen=True, slots=True)
class Wish:
    """One job that the run asks for: its prompts, and whether it is doomed by a refused prompt."""

    number: int
    prompts: tuple[str, ...]
    doomed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosPlan:
    """The size of a run. Every number can be given as `CHAOS_<NAME>` in the environment.

    Attributes:
        seed: decides who is struck when, and what the jobs are.
        window: jobs under way at the same time.
        lease_ms: `LEASE_MS` of the services.
        job_timeout_ms: `JOB_TIMEOUT` of the services.
        minutes: stop posting and striking after so long, whatever is left to do; 0 = when all is done.
        settle_s: patience for the last job after everything is healed.
    """

    seed: int
    jobs: int = 500
    clips: int = 3
    kills: int = 100
    broker_kills: int = 3
    redis_kills: int = 2
    freezes: int = 6
    resets: int = 8
    delays: int = 4
    lost_replies: int = 10
    window: int = 40
    gateways: int = 2
    generators: int = 2
    stitchers: int = 2
    uploaders: int = 2
    lease_ms: int = 5_000
    job_timeout_ms: int = 240_000
    minutes: int = 0
    settle_s: int = 420

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read `CHAOS_…`; without `CHAOS_SEED` the seed is random."""
        given = {
            known.name: int(environment[f"CHAOS_{known.name.upper()}"])
            for known in fields(cls)
            if environment.get(f"CHAOS_{known.name.upper()}")
        }
        given.setdefault("seed", random.SystemRandom().randrange(1_000_000))
        return cls(**given)

    @property
    def replicas(self) -> dict[str, int]:
        """Processes by service."""
        return {
            "gateway": self.gateways,
            "generator": self.generators,
            "stitcher": self.stitchers,
            "uploader": self.uploaders,
        }

    @property
    def processes(self) -> tuple[str, ...]:
        """Names of all processes, as `tests.support.system` gives them."""
        return tuple(
            service if number == 1 else f"{service}-{number}"
            for service, count in self.replicas.items()
            for number in range(1, count + 1)
        )


@dataclass
class _Round:
    """Deals process names so that all get their share, in an order the seed decides."""

    names: tuple[str, ...]
    dice: random.Random
    left: list[str] = field(default_factory=list)

    def next(self) -> str:
        if not self.left:
            self.left = self.dice.sample(self.names, len(self.names))
        return self.left.pop()


def blows(plan: ChaosPlan) -> tuple[Blow, ...]:
    """Return all strikes of a run in the order in which they fall."""
    dice = random.Random(f"blows {plan.seed}")
    lines = ("store", "broker")
    names = _Round(plan.processes, dice)
    workers = _Round(tuple(name for name in plan.processes if not name.startswith("gateway")), dice)
    frozen_s = plan.lease_ms / 1000 + 2
    dealt = [
        *(Blow(Strike.KILL, names.next(), dice.uniform(0, 1.5)) for _ in range(plan.kills)),
        *(Blow(Strike.FREEZE, workers.next(), frozen_s) for _ in range(plan.freezes)),
        *(Blow(Strike.KILL_BROKER, "broker", dice.uniform(0, 3)) for _ in range(plan.broker_kills)),
        *(Blow(Strike.KILL_STORE, "store", dice.uniform(0, 2)) for _ in range(plan.redis_kills)),
        *(Blow(Strike.RESET, dice.choice(lines), 0) for _ in range(plan.resets)),
        *(Blow(Strike.DELAY, dice.choice(lines), dice.uniform(1, 3)) for _ in range(plan.delays)),
        *(Blow(Strike.LOSE_REPLY, dice.choice(lines), 0, dice.randint(1, 4)) for _ in range(plan.lost_replies)),
    ]
    dice.shuffle(dealt)
    return tuple(dealt)


def wishes(plan: ChaosPlan) -> Iterator[Wish]:
    """Yield jobs without end: a few doomed by content policy, a few whose first order the provider gives up."""
    dice = random.Random(f"jobs {plan.seed}")
    number = 0
    while True:
        lot = dice.random()
        doomed, stumbling = lot < 0.03, 0.03 <= lot < 0.08
        odd = dice.randint(1, plan.clips)
        marker = " [twin:fail=content]" if doomed else " [twin:fail=internal*1]" if stumbling else ""
        prompts = tuple(
            f"chaos job {number} clip {clip}{marker if clip == odd else ''}" for clip in range(1, plan.clips + 1)
        )
        yield Wish(number, prompts, doomed)
        number += 1


KIE_FAULTS: tuple[tuple[str, dict[str, int | str]], ...] = (
    ("callback=lost", {"every": 9}),
    ("callback=duplicate:3", {"every": 5}),
    ("callback=late:2500", {"every": 7}),
    ("callback=reordered:2", {"every": 11, "group": r"job \d+"}),
    ("callback=contradict", {"every": 23}),
    ("create=drop_after", {"every": 41}),
    ("create=500", {"every": 37}),
    ("info=null", {"every": 53}),
    ("file=broken", {"every": 31}),
)
AIRTABLE_FAULTS: tuple[tuple[str, dict[str, int | str]], ...] = (
    ("upload=drop_after", {"every": 17}),
    ("any=500", {"every": 43}),
    ("any=drop_after", {"every": 61}),
    ("any=latency:400", {"every": 29}),
)
"""What the partners do wrong during the whole run, in the twins' words (`sandbox.faults`)."""
