"""Where handlings begin: the entries of crash points' chains, told to the hook, and what a fork server prepares."""

import re
from typing import Any

from tests.support.crash import hook

RECONCILER = "reconciler"

_IDS = re.compile(r"(?<=/)(job_|rec)[\w-]+")


def entry_of_request(method: str, path: str) -> str:
    """Return what all requests of one route have in common."""
    return f"{method} /media" if path.startswith("/media/") else f"{method} {_IDS.sub('{id}', path)}"


def name_entries() -> None:
    """Have the hook told whenever a message, a request or a round of the reconciler begins."""
    from services.gateway.middleware import HttpMetrics
    from shared.bus.rabbit_inbox import Inbox
    from shared.reconciler import Reconciler

    work, tick, call = Inbox._work, Reconciler.tick, HttpMetrics.__call__

    async def named_work(self: Inbox, message: Any) -> None:
        hook.enter(self._subscription.queue)
        await work(self, message)

    async def named_tick(self: Reconciler) -> Any:
        hook.enter(RECONCILER)
        return await tick(self)

    async def named_call(self: HttpMetrics, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            hook.enter(entry_of_request(scope["method"], scope["path"]))
        await call(self, scope, receive, send)

    Inbox._work = named_work  # type: ignore[method-assign,assignment]
    Reconciler.tick = named_tick  # type: ignore[method-assign]
    HttpMetrics.__call__ = named_call  # type: ignore[method-assign]


def warm_up() -> None:
    """Load what every service would load, and find out once what they would each find out anew."""
    import shared.entrypoint  # noqa: F401
    from shared.fetch.transport import trusted_certificates
    from shared.film.process import network_fence

    trusted_certificates()
    network_fence()
