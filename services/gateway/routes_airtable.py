"""Airtable's ping: something changed in the table. It says not what; the watcher looks."""

import structlog
from fastapi import APIRouter, Request, Response

from services.gateway.airtable_hook import PATH
from services.gateway.errors import ApiError
from services.gateway.state import State
from shared.airtable.watch import is_authentic

router = APIRouter(tags=["callbacks"])
log = structlog.get_logger(__name__)


@router.post(PATH, operation_id="airtableCallback", status_code=204, response_class=Response)
async def airtable_ping(request: Request, state: State) -> Response:
    """Receive a ping of Airtable's webhooks API. Only with `AIRTABLE_TRIGGER=webhook`."""
    kept = await state.watching.hook.kept() if state.watching is not None else None
    if state.watching is None or kept is None:
        raise ApiError(404, "not_found", "No webhook of Airtable's is in use here")
    if not is_authentic(await request.body(), request.headers.get("x-airtable-content-mac", ""), kept.secret):
        raise ApiError(401, "bad_signature", "Ping refused: its X-Airtable-Content-MAC is wrong or missing")
    state.watching.wake()
    return Response(status_code=204)
