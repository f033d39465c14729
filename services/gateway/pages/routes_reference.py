"""The API's reference: a page of ours, for Swagger's would load its scripts from elsewhere and run them inline."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.gateway.pages.guard import PageRoute
from services.gateway.pages.reference_view import reference
from services.gateway.pages.rendering import page
from services.gateway.pages.sessions import read_session
from services.gateway.state import State

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/docs", response_model=None)
async def api_reference(request: Request, state: State) -> Response:
    """Show what can be asked of the API; to everybody, as `/openapi.json` does."""
    session = read_session(request, state.signer, state.access.keys, state.context.clock())
    found = reference(request.app.openapi(), state.base_url)
    return await page(request, state, "reference.html", session, api=found)
