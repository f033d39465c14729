"""The page of those who run the installation."""

import platform

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from services.gateway.errors import ApiError
from services.gateway.pages.guard import Looking, PageRoute, Posting, wants_json
from services.gateway.pages.operations_view import look_around
from services.gateway.pages.rendering import page
from services.gateway.pages.words import plural
from services.gateway.state import State
from shared.bus.letters import UnknownQueue

router = APIRouter(include_in_schema=False, route_class=PageRoute)

DASHBOARDS = (
    ("sora-pipeline", "Pipeline"),
    ("sora-services", "Services and broker"),
    ("sora-money", "Provider and money"),
)
"""Those of `deploy/grafana`, by their addresses there."""


@router.get("/operations", response_model=None)
async def operations(request: Request, state: State, who: Looking, done: str = "") -> Response:
    """Show how the installation does."""
    return await page(
        request,
        state,
        "operations.html",
        who.session,
        found=await look_around(state),
        python=platform.python_version(),
        grafana_url=state.site.grafana_url or "",
        dashboards=DASHBOARDS,
        airtable_limit=state.site.airtable_monthly_calls,
        done=done[:100],
    )


@router.post("/operations/dead/{queue}/{action}", response_model=None)
async def dead_letters(queue: str, action: str, request: Request, state: State, post: Posting) -> Response:
    """Replay or drop one dead letter, or (without `letter`) all of the queue."""
    letter = post.form.get("letter") or None
    try:
        if action == "replay":
            count, verb = await state.bus.replay_dead(queue, letter), "put back into its queue"
        elif action == "drop":
            count, verb = await state.bus.drop_dead(queue, letter), "dropped"
        else:
            raise ApiError(404, "not_found", "There is no such action")
    except UnknownQueue as error:
        raise ApiError(404, "unknown_queue", str(error)) from error
    message = f"{plural(count, 'dead letter')} {verb}." if count else "There is no such dead letter (any more)."
    if wants_json(request):
        return JSONResponse({"success": True, "message": message})
    return RedirectResponse("/operations?done=1", 303)
