"""The full form, posted alone or in a batch."""

from typing import Any

from services.gateway.bodies import CreateJob
from services.gateway.caller import Caller
from services.gateway.state import GatewayState
from services.gateway.wishes import refuse, urls_of


async def dry_run(state: GatewayState, body: CreateJob, caller: Caller) -> dict[str, Any]:
    """Check everything that can be checked and estimate the job; spends and stores nothing.

    Raises:
        ApiError: the job would be refused.
    """
    accepting = state.accepting
    wish = await accepting.wish_of(body, caller)
    found = await accepting.estimate(wish)
    refuse(found.problems)
    accepting.budgets.check_job(caller, found.cost)
    await accepting.budgets.check_left(caller, found.cost)
    media = [(field, url) for field, url in urls_of(body) if field != "webhookUrl"]
    found.warnings += await accepting.addresses.warnings(media)
    return {"success": True, "data": found.view()}
