"""A process that consumes and is killed by one of its messages; started by `test_poison.py`.

Arguments: URL, the clip whose handling kills the process, file to note handled clips in.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from shared.bus.protocol import Delivery
from shared.bus.rabbit import RabbitBus
from shared.bus.rabbit_inbox import CrashLimits
from tests.support.bus import REQUESTED
from tests.support.fixtures_bus import DELAYS_MS


async def main(url: str, poison: int, notes: Path) -> None:
    everything_arrived = asyncio.Event()
    arrived = 0

    async def handler(delivery: Delivery) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 10:
            everything_arrived.set()
        if delivery.event.data["clip"] == poison:
            if not delivery.redelivered:
                # The first time, take all the others along.
                await everything_arrived.wait()
            os.kill(os.getpid(), signal.SIGKILL)
        if not delivery.redelivered:
            await asyncio.Event().wait()
        with notes.open("a") as file:
            file.write(f"{delivery.event.data['clip']}\n")

    told = 0

    async def on_dead(delivery: Delivery, reason: str) -> None:
        nonlocal told
        told += 1
        if told == 1:
            raise RuntimeError("the store is down")
        with notes.open("a") as file:
            file.write(f"dead {delivery.event.data['clip']}\n")

    bus = RabbitBus(url, [REQUESTED], delays_ms=DELAYS_MS, limits=CrashLimits(suspect_after=2, give_up_after=2))
    await bus.start()
    await bus.consume(REQUESTED, handler, on_dead)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
