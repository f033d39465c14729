"""Entries (prototype)."""

import re
from typing import Any
from tests.support.crash import hook


def name_entries() -> None:
    from shared.bus.rabbit_inbox import Inbox
    from shared.reconciler import Reconciler
    from services.gateway.middleware import HttpMetrics

    work, tick, call = Inbox._work, Reconciler.tick, HttpMetrics.__call__

    async def _work(self: Any, w: Any) -> None:
        hook.enter(self._subscription.queue)
        await work(self, w)

    async def _tick(self: Any) -> Any:
        hook.enter("reconciler")
        return await tick(self)

    async def _call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            path = re.sub(r"(job|rec)_?\w{8,}", "{id}", scope["path"])
            if path.startswith("/media/"):
                path = "/media"
            hook.enter(f"{scope['method']} {path}")
        await call(self, scope, receive, send)

    Inbox._work = _work
    Reconciler.tick = _tick
    HttpMetrics.__call__ = _call


def warm_up() -> None:
    import services.gateway.bootstrap, services.generator.bootstrap, services.stitcher.bootstrap, services.uploader.bootstrap
    import shared.entrypoint
    from shared.film.process import network_fence
    from shared.film.ffmpeg_binary import ffmpeg_exe
    from shared.fetch.transport import trusted_certificates

    network_fence()
    ffmpeg_exe()
    trusted_certificates()
