"""The campaign: what places there are, who dies at which, and what came of it.

1. Rehearsal: every scenario once, unharmed; the services note the places they visit. A place is a chain of points,
   from an entry (a queue, a route, the reconciler) down to one wait.
2. Plan: places between which nothing was waited for are one and the same crash. Of each such group one place is
   chosen, so that every point of the code is chosen at least once.
3. Execution: a job for each kill, or for a few in different services at once, which saves two thirds of the time. A
   job that does not end right, or a kill that did not take place, is done again with one kill alone; that verdict
   counts. A point without a kill is tried at other places.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from tests.support.crash.entries import RECONCILER
from tests.support.crash.hook import place_hash
from tests.support.crash.running import ANYBODY, Kill, Run, Scenario
from tests.support.crash.world import Surroundings, World
from tests.support.system import SERVICES

ALONE_TRIES = 3
"""How often a kill is tried that does not take place: some waits come up by chance."""

OTHER_PLACES = 4
"""How many other places of a point are tried if there was no kill at any."""


@dataclass(frozen=True, slots=True)
class Place:
    """A chain of points that a service came by in the rehearsal of a scenario.

    Attributes:
        state: places of one entry with the same state are one and the same crash.
    """

    service: str
    entry: str
    chain: tuple[str, ...]
    state: str
    scenario: str

    @property
    def point(self) -> str:
        """The point at its end."""
        return self.chain[-1]

    @property
    def kill(self) -> Kill:
        """The order to die here."""
        return Kill(self.service, place_hash(self.entry, self.chain))

    def __str__(self) -> str:
        """Show it to a person."""
        return f"{self.service}, {self.entry}: {' > '.join(self.chain)} ({self.scenario})"


@dataclass
class Verdict:
    """What came of killing a process at a place.

    Attributes:
        struck: whether it took place.
        problems: what was wrong afterwards.
    """

    place: Place
    struck: bool = False
    problems: list[str] = field(default_factory=list)


Choice = Callable[[list[Place]], list[Place]]
"""Chooses places of a plan."""


def read_places(path: Path, service: str, scenario: str, offset: int) -> list[Place]:
    """Return the places that a service noted in a file from `offset` on."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(offset)
        lines = [json.loads(line) for line in file]
    return [
        Place(
            ANYBODY if line["entry"] == RECONCILER else service,
            line["entry"],
            tuple(line["chain"]),
            line["state"],
            scenario,
        )
        for line in lines
    ]


def matters(place: Place) -> bool:
    """Whether somebody's work is in hand there: a read over HTTP changes nothing, except that a film is fetched."""
    return not place.entry.startswith(("GET ", "HEAD ")) or place.entry == "GET /media"


def plan(places: Iterable[Place], scenarios: Sequence[Scenario]) -> list[Place]:
    """Choose where to kill: one place of each state, and each point at least once.

    Places of a scenario that is for some places `only` are taken from it alone; any other place is taken from the
    first scenario that led to it.
    """
    only = {scenario.name: scenario.only for scenario in scenarios if scenario.only}
    first: dict[tuple[str, tuple[str, ...]], Place] = {}
    for place in places:
        wanted = only.get(place.scenario, "")
        if matters(place) and any(wanted in point for point in place.chain):
            first.setdefault((place.entry, place.chain), place)
    states: dict[tuple[str, str], list[Place]] = defaultdict(list)
    for place in first.values():
        states[place.entry, place.state].append(place)
    chosen: list[Place] = []
    used: Counter[str] = Counter()
    for group in sorted(states.values(), key=len):
        pick = min(group, key=lambda place: used[place.point])
        used[pick.point] += 1
        chosen.append(pick)
    rest = {place.point: place for place in first.values() if not used[place.point]}
    return [*chosen, *rest.values()]


def grouped(places: Iterable[Place]) -> Iterator[list[Place]]:
    """Yield places that can be tried on one job: of one scenario, each in another service."""
    waiting: dict[tuple[str, str], list[Place]] = defaultdict(list)
    names: dict[str, None] = {}
    for place in places:
        names[place.scenario] = None
        waiting[place.scenario, place.service].append(place)
    for name in names:
        yield from ([place] for place in waiting[name, ANYBODY])
        queues = [waiting[name, service] for service in SERVICES]
        while any(queues):
            yield [queue.pop() for queue in queues if queue]


def _settings(scenario: Scenario) -> list[tuple[str, str]]:
    return sorted(scenario.env.items())


@dataclass
class Campaign:
    """See the module's docstring.

    Attributes:
        choice: which places of the plan to try.
        places: all that were visited in the rehearsal.
        verdicts: by place.
    """

    around: Surroundings
    folder: Path
    scenarios: Sequence[Scenario]
    worlds: int
    choice: "Choice" = list
    places: list[Place] = field(default_factory=list)
    verdicts: dict[Place, Verdict] = field(default_factory=dict)

    async def conduct(self) -> None:
        """Do it all.

        Raises:
            AssertionError: a scenario does not even end right when nobody is killed.
        """
        async with AsyncExitStack() as stack:
            worlds = []
            for number in range(1, self.worlds + 1):
                folder = self.folder / f"world-{number}"
                folder.mkdir()
                worlds.append(await stack.enter_async_context(World(self.around, number, folder).open()))
            await self._rehearse(worlds)
            chosen = self.choice(plan(self.places, self.scenarios))
            self.verdicts = {place: Verdict(place) for place in chosen}
            again: list[list[Place]] = []
            await self._all(worlds, list(grouped(self.verdicts)), again)
            for _ in range(ALONE_TRIES):
                alone, again = again, []
                await self._all(worlds, alone, again)
            for group in again:
                for place in group:
                    self.verdicts[place].struck = False
            for _ in range(OTHER_PLACES):
                others = self._other_places(chosen)
                self.verdicts |= {place: Verdict(place) for place in others}
                await self._all(worlds, [[place] for place in others], [])

    def of_point(self, name: str) -> list[Verdict]:
        """Return what came of the kills at a point that took place."""
        return [verdict for place, verdict in self.verdicts.items() if place.point == name and verdict.struck]

    def _other_places(self, chosen: Sequence[Place]) -> list[Place]:
        """Return another place of each point at which no kill took place; it was come by in the rehearsal by chance."""
        missed = {place.point for place in chosen} - {
            place.point for place, verdict in self.verdicts.items() if verdict.struck
        }
        untried = (place for place in self.places if place not in self.verdicts and matters(place))
        return list({place.point: place for place in untried if place.point in missed}.values())

    async def _rehearse(self, worlds: Sequence[World]) -> None:
        # Other settings mean other processes: what has some of its own is done in one world.
        usual = [[scenario] for scenario in self.scenarios if not scenario.env]
        special = groupby(sorted((each for each in self.scenarios if each.env), key=_settings), key=_settings)
        left = [*usual, *(list(group) for _, group in special)]
        found: dict[str, list[Place]] = {}
        problems: list[str] = []

        async def rehearse(world: World, scenario: Scenario) -> None:
            offsets = {s: world.places(s).stat().st_size if world.places(s).exists() else 0 for s in SERVICES}
            run = Run(world, scenario)
            await run.go(record=True)
            problems.extend(run.problems)
            found[scenario.name] = [
                place
                for service in SERVICES
                for place in read_places(world.places(service), service, scenario.name, offsets[service])
            ]

        async def work(world: World) -> None:
            while left:
                for scenario in left.pop(0):
                    await rehearse(world, scenario)

        await asyncio.gather(*(work(world) for world in worlds))
        assert not problems, "\n".join(problems)
        self.places = [place for scenario in self.scenarios for place in found[scenario.name]]

    async def _all(self, worlds: Sequence[World], groups: list[list[Place]], again: list[list[Place]]) -> None:
        by_name = {scenario.name: scenario for scenario in self.scenarios}
        # Worlds are dressed anew for other settings: jobs of one kind follow one another.
        left = sorted(groups, key=lambda group: _settings(by_name[group[0].scenario]), reverse=True)

        async def work(world: World) -> None:
            while left:
                group = left.pop(0)
                run = Run(world, by_name[group[0].scenario], [place.kill for place in group])
                await run.go()
                for place in group:
                    verdict = self.verdicts[place]
                    struck = place.kill.place in run.struck
                    if len(group) == 1 and struck:
                        verdict.struck, verdict.problems = True, run.problems
                    elif run.problems or not struck:
                        again.append([place])
                    else:
                        verdict.struck = True

        await asyncio.gather(*(work(world) for world in worlds))
