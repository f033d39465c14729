"""Finding the one message that kills the process among those that merely died with it."""

import asyncio
from random import Random
from types import TracebackType

GATHER_S = 0.1


class Quarantine:
    """Lets suspects through one at a time, in random order.

    When a process is killed, the broker counts that against every message it held, though only one of them may be
    to blame. Handled alone, an innocent suspect ends well as soon as its turn comes before the culprit's, which
    random order makes happen with probability 1/2 each round; the culprit never ends. So it alone reaches a limit
    that lies some rounds away. (Broker-side delivery limits bury nine innocents of ten; measured.)
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._waiting: list[asyncio.Future[None]] = []
        self._busy = False

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        if not self._busy:
            self._busy = True
            # The broker hands all of them out within an instant; choose when they are all there.
            loop.call_later(GATHER_S, self._next)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._next()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._next()

    def _next(self) -> None:
        self._waiting = [turn for turn in self._waiting if not turn.done()]
        self._busy = bool(self._waiting)
        if self._busy:
            self._waiting.pop(self._random.randrange(len(self._waiting))).set_result(None)
