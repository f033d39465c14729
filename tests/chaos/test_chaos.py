"""A short chaos run on a seed of its own; `make chaos` runs long ones (docs/reliability.md)."""

from pathlib import Path

import pytest

from tests.chaos.harness.plan import ChaosPlan, Strike
from tests.chaos.harness.run import run_chaos

SHORT = ChaosPlan(
    seed=20_240_613,
    jobs=20,
    clips=2,
    kills=8,
    broker_kills=1,
    redis_kills=1,
    freezes=2,
    resets=2,
    delays=1,
    lost_replies=3,
    window=14,
    gateways=2,
    generators=1,
    stitchers=1,
    uploaders=1,
    lease_ms=3_000,
    job_timeout_ms=90_000,
)


@pytest.mark.timeout(500)
async def test_nothing_is_lost_or_paid_twice_while_everything_is_killed_in_turn(tmp_path: Path) -> None:
    report = await run_chaos(SHORT, tmp_path)
    assert report.verdict.broken == [], f"seed {SHORT.seed}: {report.verdict.numbers}"
    assert report.inflicted[Strike.KILL] == SHORT.kills
    assert report.inflicted[Strike.KILL_BROKER] == report.inflicted[Strike.KILL_STORE] == 1
