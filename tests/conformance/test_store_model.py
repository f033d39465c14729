"""Any sequence of operations has the same outcome on every backend as on the in-memory model."""

import dataclasses
import uuid
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.store.memory import MemoryBackend
from shared.store.protocol import Backend, Row
from tests.support.fixtures_store import FakeClock

JOBS = st.sampled_from(["a", "b"])
TIMES = st.one_of(st.none(), st.integers(0, 4))
ROWS = st.builds(
    Row,
    id=JOBS,
    version=st.just(1),
    status=st.sampled_from(["pending", "failed"]),
    created_at=st.integers(0, 4),
    due_at=TIMES,
    expires_at=TIMES,
    document=st.sampled_from(["x", "y", "ü\n z"]),
)
BEHIND = st.sampled_from([0, 0, 0, 1])
"""How many versions behind the present one a writer is."""
AGAIN = st.sampled_from([False, False, False, True])
"""Whether a write repeats the token of the one before."""
KEYS = st.sampled_from(["k", "l"])
VALUES = st.sampled_from(["me", "you"])
STEPS = st.one_of(
    st.tuples(st.just("insert"), ROWS, AGAIN),
    st.tuples(st.just("swap"), ROWS, BEHIND, AGAIN),
    st.tuples(st.just("swap"), ROWS, BEHIND, AGAIN),
    st.tuples(st.just("delete"), JOBS),
    st.tuples(st.just("claim"), KEYS, VALUES, st.just(3_600_000)),
    st.tuples(st.just("release"), KEYS, VALUES),
    st.tuples(st.just("put_mark"), KEYS, VALUES, st.integers(1, 5)),
    st.tuples(st.just("tick"), st.integers(1, 3)),
)
Step = tuple[Any, ...]


class Renamed:
    """A view of a store in which all names carry an example's own prefix, so that examples do not meet."""

    def __init__(self, backend: Backend, clock: FakeClock) -> None:
        self._backend = backend
        self._clock = clock
        self._example = uuid.uuid4().hex

    async def run(self, name: str, *args: Any) -> Any:
        if name == "tick":
            self._clock.now += args[0]
            return None
        first, *rest = args
        if isinstance(first, Row):
            first = dataclasses.replace(first, id=self._example + first.id, status=self._example + first.status)
        else:
            first = self._example + first
        return await getattr(self._backend, name)(first, *rest)

    async def everything(self) -> dict[str, Any]:
        """All that can be asked about this example's jobs and marks."""
        cut = len(self._example)
        seen: dict[str, Any] = {job: await self._backend.load(self._example + job) for job in "ab"}
        for now in range(5):
            for name in ("due", "expired"):
                ids = await getattr(self._backend, name)(now, 10_000)
                seen[f"{name} {now}"] = [job_id[cut:] for job_id in ids if job_id.startswith(self._example)]
        for status in ("pending", "failed"):
            pages = [await self._backend.page(self._example + status, 1, None)]
            while pages[-1].cursor is not None:
                pages.append(await self._backend.page(self._example + status, 1, pages[-1].cursor))
            seen[status] = [page.documents for page in pages]
        counts = await self._backend.counts()
        seen["counts"] = {s[cut:]: n for s, n in counts.items() if n and s.startswith(self._example)}
        seen["marks"] = {key[cut:]: value for key, value in (await self._backend.marks(self._example)).items()}
        return seen


async def resolved(steps: list[Step], model: Renamed) -> AsyncIterator[Step]:
    """Fill in versions and tokens, which depend on how the model stands when a step's turn comes."""
    token = 0
    for step in steps:
        match step:
            case ("insert", row, again):
                token += not again
                yield "insert", row, f"t{token}"
            case ("swap", row, behind, again):
                token += not again
                stored = await model.run("load", row.id)
                expected = max(1, (stored[0] if stored else 1) - behind)
                yield "swap", dataclasses.replace(row, version=expected + 1), expected, f"t{token}"
            case _:
                yield step


@settings(
    max_examples=25,
    deadline=None,
    # Shortening a failure over REST takes minutes, and 25 steps can be read.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=8, max_size=25))
async def test_any_sequence_of_operations_matches_the_model(
    store_backend: Backend, store_clock: FakeClock, steps: list[Step]
) -> None:
    model_clock = FakeClock(store_clock.now)
    expected, actual = Renamed(MemoryBackend(model_clock), model_clock), Renamed(store_backend, store_clock)
    async for step in resolved(steps, expected):
        assert await actual.run(*step) == await expected.run(*step), step
    assert await actual.everything() == await expected.everything()
