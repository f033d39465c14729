"""What all page routes share: who the visitor is, errors as pages, posts only from our own pages."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.routing import APIRoute

from services.gateway.caller import Caller
from services.gateway.errors import ApiError, error_response, invalid_request
from services.gateway.pages.forms import Form, read_form
from services.gateway.pages.rendering import page
from services.gateway.pages.sessions import (
    CSRF_FIELD,
    Session,
    open_session,
    put_cookie,
    read_session,
    renewed,
    require_form_token,
    require_own_origin,
)
from services.gateway.state import GatewayState, State, gateway_state
from shared.errors import DependencyDown, JobNotFound, Refused

Handler = Callable[[Request], Awaitable[Response]]


class SignInRequired(Exception):
    """The page is for people who signed in."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page."""

    session: Session
    caller: Caller


@dataclass(frozen=True, slots=True)
class Post:
    """Who posted what."""

    visitor: Visitor
    form: Form


def any_session(request: Request, state: GatewayState) -> Session:
    """Return the visitor's session; a new one, given with the answer, for somebody who has none."""
    now = state.context.clock()
    session = read_session(request, state.signer, state.access.keys, now)
    if session is None:
        current = open_session(state.signer, now)
    elif request.method == "GET":
        current = renewed(session, state.signer, state.access.keys, now)
    else:
        current = session
    if session is None or current.cookie != session.cookie:
        request.state.new_session = current
    return current


async def visitor(request: Request, state: State) -> Visitor:
    """Return who looks.

    Raises:
        SignInRequired: nobody we know.
    """
    session = any_session(request, state)
    if state.access.keys and not session.is_signed_in:
        raise SignInRequired
    request.state.session = session
    address = request.client.host if request.client is not None else ""
    return Visitor(session, Caller(session.token.key_name if session.is_signed_in else None, address))


async def own_form(request: Request, state: GatewayState, session: Session) -> Form:
    """Return the form, which must have been posted from a page of this session.

    Raises:
        ApiError: 403, or it is no form.
    """
    require_own_origin(request, state.base_url)
    form = await read_form(request)
    require_form_token(session, form.get(CSRF_FIELD))
    return form


async def posted(request: Request, state: State, who: Annotated[Visitor, Depends(visitor)]) -> Post:
    """Return who posted what.

    Raises:
        ApiError: 403, 429, or it is no form.
    """
    form = await own_form(request, state, who.session)
    await state.rate_limit.count(who.caller)
    return Post(who, form)


Looking = Annotated[Visitor, Depends(visitor)]
Posting = Annotated[Post, Depends(posted)]


def wants_json(request: Request) -> bool:
    """Whether a script of ours asks."""
    return "application/json" in request.headers.get("accept", "")


class PageRoute(APIRoute):
    """A route that answers with pages, its errors too."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Wrap the route's handler."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            state = gateway_state(request)
            try:
                response: Response = await handle(request)
            except SignInRequired:
                response = _to_sign_in(request, state.base_url)
            except (ApiError, RequestValidationError, JobNotFound, Refused, DependencyDown) as error:
                response = await _error(request, state, as_api_error(error))
            new: Session | None = getattr(request.state, "new_session", None)
            if new is not None:
                put_cookie(response, new, secure=state.site.secure)
            return response

        return handled


def own_path(text: str) -> str:
    """Return where to go on to after signing in: a path of ours, never another site's."""
    plain = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and "\\" not in text
    return text if plain else "/"


def _to_sign_in(request: Request, base_url: str) -> Response:
    if wants_json(request):
        return error_response(401, "signed_out", "You are signed out: sign in again")
    if request.method == "GET":
        back, undone = request.url.path + (f"?{request.url.query}" if request.url.query else ""), ""
    else:
        back, undone = _page_of_form(request, base_url), "" if request.url.path == "/sign-out" else "&undone=yes"
    to = f"/sign-in?next={quote(back, safe='/')}{undone}"
    return RedirectResponse(to, 303, headers={"Cache-Control": "no-store"})


def _page_of_form(request: Request, base_url: str) -> str:
    """Return the page of ours whose form was posted; the list of films if that is not known."""
    came_from = urlsplit(request.headers.get("referer", ""))
    ours = {request.headers.get("host", ""), urlsplit(base_url).netloc}
    return own_path(came_from.path) if came_from.netloc in ours else "/"


def as_api_error(error: Exception) -> ApiError:
    """Return what pages say about an error; one that is none of ours is raised again."""
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return invalid_request(error.errors())
        case JobNotFound():
            return ApiError(404, "job_not_found", "There is no such film (any more)")
        case Refused():
            return ApiError(409, error.reason, f"Not possible now: {error}")
        case DependencyDown():
            return ApiError(
                503,
                f"{error.dependency}_unavailable",
                f"The {error.dependency} does not answer at this moment; try again soon",
                headers={"Retry-After": "5"},
            )
    raise error


async def _error(request: Request, state: GatewayState, error: ApiError) -> Response:
    if wants_json(request):
        answer: JSONResponse = error_response(
            error.status, error.code, error.message, details=error.details, headers=error.headers
        )
        return answer
    session: Session | None = getattr(request.state, "session", None)
    response = await page(request, state, "error.html", session, error.status, error=error)
    response.headers.update(error.headers)
    return response
