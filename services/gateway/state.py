"""What the gateway's routes work with, put together once at start."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from services.gateway.accepting import Accepting
from services.gateway.airtable_watch import Watching
from services.gateway.caller import Access, RateLimit
from services.gateway.controlling import Controlling
from services.gateway.live import Live
from services.gateway.pages.site import Site
from shared.bus.protocol import Bus
from shared.context import Context
from shared.media_links import MediaLinks
from shared.tokens import Signer


@dataclass(frozen=True)
class GatewayState:
    """The surroundings of every route.

    Attributes:
        access: who may ask, and how much.
        live: what live pages show.
        watching: the watcher of the Airtable table, if there is one.
        base_url: where people and partners reach this gateway.
        webhook_key: verifies kie.ai's signatures, if set.
        site: what the pages know of the installation.
        redirect_media: whether media links lead on to the artifact store where it has an address of its own.
    """

    context: Context
    bus: Bus
    accepting: Accepting
    controlling: Controlling
    access: Access
    rate_limit: RateLimit
    signer: Signer
    links: MediaLinks
    live: Live
    base_url: str
    site: Site = field(default_factory=Site)
    webhook_key: str | None = None
    redirect_media: bool = False
    watching: Watching | None = None


def gateway_state(request: Request) -> GatewayState:
    """Return the state of the running app."""
    state: GatewayState = request.app.state.gateway
    return state


async def _found_state(request: Request) -> GatewayState:
    """Return the same: FastAPI would hand a plain function to another thread, with every request."""
    return gateway_state(request)


State = Annotated[GatewayState, Depends(_found_state)]
