"""What was used of the provider."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from services.gateway import answers
from services.gateway.auth import require_key
from services.gateway.state import State
from shared.usage import book_of, rows_of, total

router = APIRouter(prefix="/api", dependencies=[Depends(require_key)], tags=["usage"])

MAX_DAYS = 92


@router.get("/usage", operation_id="getUsage", response_model=None, responses=answers.USED)
async def get_usage(
    state: State,
    days: Annotated[int, Query(ge=1, le=MAX_DAYS, description="How many days, today (UTC) included.")] = 30,
    key: Annotated[str | None, Query(max_length=60, description="Only of the API key of this name.")] = None,
) -> dict[str, Any]:
    """Show clips, seconds and credits by day, model and API key. Every clip counts once, on the day it was made.

    Credits are those the provider charged; where it does not say, the list price, or 0.
    """
    today = datetime.fromtimestamp(state.context.clock() / 1000, UTC).date()
    rows = []
    for back in range(days):
        day = (today - timedelta(days=back)).isoformat()
        found = rows_of(day, await state.context.store.amounts(book_of(day)))
        rows += [row for row in found if key is None or row.key == key]
    listed = [
        {
            "day": row.day,
            "key": row.key,
            "model": row.model,
            "clips": row.clips,
            "seconds": row.seconds,
            "credits": row.credits,
        }
        for row in rows
    ]
    return {"success": True, "data": {"days": days, "total": total(rows), "usage": listed}}
