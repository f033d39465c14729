"""Signing in with an API key, and out."""

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from services.gateway.errors import ApiError
from services.gateway.pages.guard import PageRoute, Posting, any_session, own_form, own_path
from services.gateway.pages.rendering import page
from services.gateway.pages.sessions import drop_cookie, matching_key, open_session
from services.gateway.state import GatewayState, State

router = APIRouter(include_in_schema=False, route_class=PageRoute)

TRIES = 10
WINDOW_MS = 60_000


def neighbourhood(address: str) -> str:
    """Return what tries are counted by: an address, or the network of 2^64 that every user of IPv6 has."""
    try:
        known = ip_address(address)
    except ValueError:  # none at all, or a word that a proxy put in its place
        return address
    return str(ip_network((known, 64), strict=False)) if isinstance(known, IPv6Address) else str(known)


@router.get("/sign-in", response_model=None)
async def sign_in_page(
    request: Request, state: State, to: Annotated[str, Query(alias="next", max_length=500)] = "/", undone: str = ""
) -> Response:
    """Ask for an API key; `undone` says that what was posted was not done."""
    session = any_session(request, state)
    if session.is_signed_in or not state.access.keys:
        return RedirectResponse(own_path(to), 303)
    return await page(request, state, "sign_in.html", session, to=own_path(to), problem="", undone=bool(undone))


@router.post("/sign-in", response_model=None)
async def sign_in(request: Request, state: State) -> Response:
    """Sign in."""
    session = any_session(request, state)
    form = await own_form(request, state, session)
    to = own_path(form.get("next"))
    await _count(request, state)
    key = matching_key(state.access.keys, form.get("key"))
    if key is None:
        problem = "This is not one of the API keys of this installation."
        undone = bool(form.get("undone"))
        return await page(request, state, "sign_in.html", session, 401, to=to, problem=problem, undone=undone)
    request.state.new_session = open_session(state.signer, state.context.clock(), key)
    return RedirectResponse(to, 303)


@router.post("/sign-out", response_model=None)
async def sign_out(request: Request, state: State, _post: Posting) -> Response:
    """Sign out of this browser."""
    request.state.new_session = None
    response = RedirectResponse("/sign-in", 303)
    drop_cookie(response, secure=state.site.secure)
    return response


async def _count(request: Request, state: GatewayState) -> None:
    """Slow down somebody who guesses keys.

    Raises:
        ApiError: 429.
    """
    address = neighbourhood(request.client.host if request.client is not None else "")
    window = state.context.clock() // WINDOW_MS
    tally = await state.context.store.tally(
        f"sign-in:{address}:{window}", {"tries": 1}, caps={"tries": TRIES}, token=None, ttl_ms=2 * WINDOW_MS
    )
    if tally.refused is not None:
        raise ApiError(429, "rate_limited", "Too many tries; wait a minute", headers={"Retry-After": "60"})
