"""The gateway's HTTP application."""

from typing import Any

from fastapi import FastAPI

from services.gateway import (
    routes_airtable,
    routes_batch,
    routes_callback,
    routes_control,
    routes_events,
    routes_health,
    routes_jobs,
    routes_making,
    routes_media,
    routes_usage,
    routes_webhooks,
)
from services.gateway.errors import install_error_handlers
from services.gateway.middleware import AnswerHeaders, BodyGuard, HttpMetrics
from services.gateway.openapi import describe
from services.gateway.pages import routes as pages
from services.gateway.state import GatewayState
from shared.version import VERSION

DESCRIPTION = """\
Prompts in, one finished film in the Airtable record out.

Every `POST` that makes a job answers `202` at once; ask `GET /api/job/{jobId}` how it stands.
Errors are `{"success": false, "error": "…", "code": "…"}`, for bad input with `details`.
"""

ROUTES = (
    routes_making,
    routes_jobs,
    routes_batch,
    routes_control,
    routes_events,
    routes_usage,
    routes_webhooks,
    routes_callback,
    routes_airtable,
    routes_media,
    routes_health,
    pages,
)


class Gateway(FastAPI):
    """FastAPI with an OpenAPI document that is ours."""

    def openapi(self) -> dict[str, Any]:
        """Return the document."""
        if not self.openapi_schema:
            self.openapi_schema = describe(self)
        return self.openapi_schema


def create_app(state: GatewayState | None) -> FastAPI:
    """Return the application with all its routes; without a state it only describes itself."""
    # FastAPI's own pages at /docs load their scripts from elsewhere: `pages` has one instead.
    app = Gateway(title="Sora Video Stitcher", version=VERSION, description=DESCRIPTION, docs_url=None, redoc_url=None)
    app.state.gateway = state
    install_error_handlers(app)
    for module in ROUTES:
        app.include_router(module.router)
    app.add_middleware(BodyGuard)
    app.add_middleware(AnswerHeaders)
    app.add_middleware(HttpMetrics, routes=app.routes)
    return app
