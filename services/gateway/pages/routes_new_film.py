"""A new film: the form, what it would cost, and making it."""

import secrets
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import ValidationError

from services.gateway.accepting import Order
from services.gateway.bodies import CreateJob
from services.gateway.caller import Caller
from services.gateway.claims import Idempotency
from services.gateway.errors import ApiError, invalid_request
from services.gateway.fields import NO_TRANSITION
from services.gateway.making import dry_run
from services.gateway.pages.film_form import (
    FilmForm,
    Problems,
    body_of,
    changed,
    line_problems,
    new_form,
    problems_of,
    read_film_form,
)
from services.gateway.pages.guard import Looking, PageRoute, Posting, as_api_error, wants_json
from services.gateway.pages.problem_words import warning_in_words
from services.gateway.pages.rendering import page
from services.gateway.pages.sessions import Session
from services.gateway.pages.words import duration
from services.gateway.state import GatewayState, State
from shared.errors import DependencyDown
from shared.film.wishes import TRANSITIONS
from shared.models.catalogue import MODELS

router = APIRouter(include_in_schema=False, route_class=PageRoute)

CREATE, ESTIMATE = "create", "estimate"
RESOLUTIONS = ("480p", "720p", "1080p", "1440p", "2160p")
SHAPES = (("landscape", "Landscape 16:9"), ("portrait", "Portrait 9:16"), ("square", "Square 1:1"))
_FIRST_TRANSITIONS = ("fade", "dissolve", "fadeblack", "wipeleft", "slideleft")
_TRANSITIONS = (
    (NO_TRANSITION, "Hard cut"),
    *((name, name) for name in (*_FIRST_TRANSITIONS, *sorted(set(TRANSITIONS) - set(_FIRST_TRANSITIONS)))),
)


@router.get("/films/new", response_model=None)
async def new_film(request: Request, state: State, who: Looking) -> Response:
    """Show the empty form."""
    return await _shown(request, state, who.session, new_form(_request_id()))


@router.post("/films/new", response_model=None)
async def make_film(request: Request, state: State, post: Posting) -> Response:
    """Make the film, say what it would cost, or add, remove or move a clip (for browsers without scripts)."""
    film = read_film_form(post.form)
    operation = post.form.get("op") or CREATE
    caller, session = post.visitor.caller, post.visitor.session
    if operation == ESTIMATE:
        return await _estimate(request, state, session, film, caller)
    if operation != CREATE:
        return await _shown(request, state, session, changed(film, operation))
    try:
        body = _parsed(film)
        order = Order(
            lambda: state.accepting.wish_of(body, caller),
            endpoint="jobs",
            caller=caller,
            idempotency=Idempotency.of(caller, film.request_id or _request_id(), "page", body.model_dump_json()),
        )
        job = await state.accepting.accept(order)
    except (ApiError, DependencyDown) as error:
        return await _refused(request, state, session, film, as_api_error(error))
    return RedirectResponse(f"/films/{job.id}", 303)


async def _refused(
    request: Request, state: GatewayState, session: Session, film: FilmForm, error: ApiError
) -> Response:
    """Show the form as it was typed, and what is wrong.

    It keeps its request id, so that a film that may be made already is not made twice; but for one that is known to
    have been used for another film.
    """
    if error.code == "idempotency_conflict":
        film = replace(film, request_id=_request_id())
    response = await _shown(request, state, session, film, problems=problems_of(error), status=error.status)
    response.headers.update(error.headers)
    return response


async def _estimate(
    request: Request, state: GatewayState, session: Session, film: FilmForm, caller: Caller
) -> Response:
    problems, estimate = Problems(), None
    try:
        found = (await dry_run(state, _parsed(film), caller))["data"]
        estimate = _in_words(found)
    except ApiError as error:
        problems = problems_of(error)
    except DependencyDown as error:
        if wants_json(request):
            raise
        return await _refused(request, state, session, film, as_api_error(error))
    if not wants_json(request):
        return await _shown(request, state, session, film, problems=problems, estimate=estimate)
    return JSONResponse({"estimate": estimate, "problems": problems.by_field, "general": list(problems.general)})


def _parsed(film: FilmForm) -> CreateJob:
    """Return the body.

    Raises:
        ApiError: 400; names every field.
    """
    problems = line_problems(film)
    try:
        # As JSON comes: strict in its types, so that this form is held to what the API accepts.
        body = CreateJob.model_validate(body_of(film))
    except ValidationError as error:
        refused = invalid_request(error.errors())
        details = [*problems, *(refused.details or ())]
        raise ApiError(refused.status, refused.code, refused.message, details=details) from error
    if problems:
        raise ApiError(400, "invalid_request", f"{problems[0]['field']}: {problems[0]['message']}", details=problems)
    return body


def _in_words(found: dict[str, object]) -> dict[str, object]:
    credits_range = found["credits"]
    assert isinstance(credits_range, dict)
    low, high = credits_range["min"], credits_range["max"]
    seconds, wait_s, warnings = found["seconds"], found["estimatedSeconds"], found["warnings"]
    assert isinstance(seconds, int | float)
    assert isinstance(wait_s, int)
    assert isinstance(warnings, list)
    return {
        "credits": f"{low:g}" if low == high else f"{low:g} to {high:g}",
        "film": f"{seconds:g} s",
        "wait": f"about {duration(wait_s * 1000)}",
        "models": ", ".join(map(str, found["models"])) if isinstance(found["models"], list) else "",
        "warnings": [warning_in_words(str(each)) for each in warnings],
    }


async def _shown(
    request: Request,
    state: GatewayState,
    session: Session,
    film: FilmForm,
    *,
    problems: Problems | None = None,
    estimate: dict[str, object] | None = None,
    status: int = 200,
) -> Response:
    return await page(
        request,
        state,
        "new.html",
        session,
        status,
        form=film,
        is_blank=request.method == "GET",
        problems=problems or Problems(),
        estimate=estimate,
        models=list(MODELS),
        model_options=[(name, name) for name in MODELS],
        shapes=SHAPES,
        first_models=", ".join(state.site.models),
        transition_options=_TRANSITIONS,
        resolutions=RESOLUTIONS,
        max_clips=state.site.max_clips,
    )


def _request_id() -> str:
    return secrets.token_urlsafe(16)
