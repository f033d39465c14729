"""What the gateway's routes work with, put together once at start."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.gateway.accepting import Accepting
from shared.bus.protocol import Bus
from shared.context import Context
from shared.media_links import MediaLinks
from shared.tokens import Signer


@dataclass(frozen=True)
class GatewayState:
    """The surroundings of every route.

    Attributes:
        base_url: where people and partners reach this gateway.
        api_keys: any of these opens the API; empty means it is open.
        webhook_key: verifies kie.ai's signatures, if set.
    """

    context: Context
    bus: Bus
    accepting: Accepting
    signer: Signer
    links: MediaLinks
    base_url: str
    api_keys: tuple[str, ...] = ()
    webhook_key: str | None = None


def gateway_state(request: Request) -> GatewayState:
    """Return the state of the running app."""
    state: GatewayState = request.app.state.gateway
    return state


State = Annotated[GatewayState, Depends(gateway_state)]
