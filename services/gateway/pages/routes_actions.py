"""What people do to a film on its page: the same steps as the API's, posted by forms."""

from collections.abc import Awaitable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from services.gateway.errors import ApiError
from services.gateway.fields import usable_prompt, usable_text
from services.gateway.pages.guard import PageRoute, Posting, wants_json
from services.gateway.routes_webhooks import replay
from services.gateway.state import State
from shared.job.model import Job

router = APIRouter(include_in_schema=False, route_class=PageRoute)

DONE = {
    "cancel": "The film is cancelled.",
    "retry": "The film goes on: only what is missing is made.",
    "approve": "Approved: the clips are being joined.",
    "regenerate": "The clip is being made anew.",
    "replay": "The webhook is told again.",
}


def _answer(request: Request, job_id: str, what: str) -> Response:
    if wants_json(request):
        return JSONResponse({"success": True, "message": DONE[what]})
    return RedirectResponse(f"/films/{job_id}?done={what}", 303)


async def _done(request: Request, job_id: str, what: str, change: Awaitable[Job]) -> Response:
    await change
    return _answer(request, job_id, what)


@router.post("/films/{job_id}/cancel", response_model=None)
async def cancel(job_id: str, request: Request, state: State, post: Posting) -> Response:
    """Cancel a film."""
    return await _done(request, job_id, "cancel", state.controlling.cancel(job_id, post.visitor.caller))


@router.post("/films/{job_id}/retry", response_model=None)
async def retry(job_id: str, request: Request, state: State, post: Posting) -> Response:
    """Let a failed film go on."""
    return await _done(request, job_id, "retry", state.controlling.retry(job_id, post.visitor.caller))


@router.post("/films/{job_id}/approve", response_model=None)
async def approve(job_id: str, request: Request, state: State, post: Posting) -> Response:
    """Let the clips of a film be joined."""
    return await _done(request, job_id, "approve", state.controlling.approve(job_id, post.visitor.caller))


@router.post("/films/{job_id}/clips/{number}/regenerate", response_model=None)
async def regenerate(job_id: str, number: int, request: Request, state: State, post: Posting) -> Response:
    """Have a clip made anew; of another prompt, if it was changed."""
    prompt = await _new_prompt(state, job_id, number, "".join(post.form.all("prompt")[:1]))
    change = state.controlling.regenerate(
        job_id, number, post.visitor.caller, prompt=prompt, request_id=post.form.get("requestId")[:100]
    )
    return await _done(request, job_id, "regenerate", change)


@router.post("/films/{job_id}/webhooks/{webhook_id}/replay", response_model=None)
async def replay_webhook(job_id: str, webhook_id: str, request: Request, state: State, _post: Posting) -> Response:
    """Tell a webhook again."""
    await replay(job_id, webhook_id, state)
    return _answer(request, job_id, "replay")


async def _new_prompt(state: State, job_id: str, number: int, typed: str) -> str | None:
    """Return the prompt, or None if it is the one the clip has.

    Raises:
        ApiError: 400; it cannot be used.
    """
    try:
        prompt = usable_text(usable_prompt(typed))
    except ValueError as error:
        raise ApiError(400, "invalid_request", f"The prompt {error}") from error
    job = await state.context.store.get(job_id)
    before = next((clip.prompt for clip in job.clips if clip.number == number), "")
    return None if prompt == before.replace("\r\n", "\n").strip() else prompt
