import asyncio
import os
import sys
from pathlib import Path

from tests.support.bus import REQUESTED, requested
from tests.support.fixtures_bus import OpenRabbit

ROOT = Path(__file__).parents[3]
POISON = 4
CLIPS = 10


async def test_a_message_that_kills_its_process_is_given_up_and_takes_no_other_along(
    open_rabbit: OpenRabbit, rabbit_url: str, tmp_path: Path
) -> None:
    """Ten messages in hand, one of which ends the process: a delivery limit would bury all ten."""
    notes = tmp_path / "notes"
    notes.touch()
    bus = await open_rabbit(REQUESTED)
    for clip in range(CLIPS):
        await bus.publish(requested(clip))

    deaths = 0
    while f"dead {POISON}" not in notes.read_text().splitlines():
        assert deaths < 10, notes.read_text()
        deaths += await one_life(rabbit_url, notes)

    lines = notes.read_text().splitlines()
    assert deaths == 4, "two among the others, two alone"
    assert [line for line in lines if line.startswith("dead")] == [f"dead {POISON}"]
    assert {int(line) for line in lines if not line.startswith("dead")} == set(range(CLIPS)) - {POISON}
    (letter,) = await bus.dead_letters()
    assert letter.event.data == {"clip": POISON}
    assert "handed out 4 times without an outcome" in letter.reason


async def one_life(url: str, notes: Path) -> int:
    """Let one process work until it dies of the poison (1), or until the poison is dead and the rest done (0)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("poison_worker.py")),
        *(url, str(POISON), str(notes)),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    dying = asyncio.create_task(process.wait())
    try:
        async with asyncio.timeout(30):
            while not dying.done():
                lines = notes.read_text().splitlines()
                if f"dead {POISON}" in lines and len(set(lines)) == CLIPS:
                    return 0
                await asyncio.sleep(0.05)
        return 1
    finally:
        if not dying.done():
            process.kill()
        await dying
