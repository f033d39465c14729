"""The provider's callback: verified, queued as a nudge, answered at once. Nothing it says is believed."""

from typing import Any

import structlog
from fastapi import APIRouter, Request

from services.gateway import answers
from services.gateway.errors import ApiError, unavailable
from services.gateway.state import State
from shared.callbacks import SignatureCheck, check_signature, parse_callback, read_json
from shared.errors import PublishFailed
from shared.events import Event, VideoCallback
from shared.tokens import BadToken

router = APIRouter(tags=["callbacks"])
log = structlog.get_logger(__name__)


@router.post(
    "/api/callback/sora",
    operation_id="soraCallback",
    response_model=None,
    responses=answers.CALLED_BACK,
    openapi_extra=answers.CALLBACK_BODY,
)
async def sora_callback(request: Request, state: State, t: str = "") -> Any:
    """Receive a kie.ai callback. `t` is the signed token that we put into the callback's address."""
    try:
        token = state.signer.read_callback_token(t)
    except BadToken as error:
        raise ApiError(401, "bad_token", f"Callback refused: {error}") from error
    body = await request.body()
    notice = parse_callback(body)
    if state.webhook_key is not None:
        headers = request.headers
        verdict = check_signature(
            state.webhook_key,
            notice.task_id,
            headers.get("x-webhook-timestamp"),
            headers.get("x-webhook-signature"),
            state.context.clock(),
        )
        if verdict is not SignatureCheck.VALID:
            raise ApiError(401, "bad_signature", f"Callback refused: its signature is {verdict}")
    if not isinstance(read_json(body), dict):
        raise ApiError(400, "invalid_request", "Callback refused: the body is not a JSON object")
    if notice.state is None or notice.is_terminal:
        payload = VideoCallback(clip=token.clip, attempt=token.attempt, task_id=notice.task_id)
        step = f"{token.clip}:{token.attempt}:callback"
        try:
            await state.bus.publish(Event.of(token.job_id, payload, source="gateway", step=step))
        except PublishFailed as error:
            log.warning("callback could not be queued", job=token.job_id, clip=token.clip, problem=str(error))
            return unavailable("bus", "The callback could not be queued")
    return {"success": True, "code": 200, "msg": "success"}
