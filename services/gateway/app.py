"""The gateway's HTTP application."""

from fastapi import FastAPI

from services.gateway import routes_callback, routes_health, routes_jobs, routes_media
from services.gateway.errors import install_error_handlers
from services.gateway.middleware import BodyGuard, HttpMetrics
from services.gateway.state import GatewayState
from shared.version import VERSION

DESCRIPTION = """\
Prompts in, one finished film in the Airtable record out.

Every `POST` that makes a job answers `202` at once; ask `GET /api/job/{jobId}` how it stands.
Errors are `{"success": false, "error": "…", "code": "…"}`, for bad input with `details`.
"""


def create_app(state: GatewayState) -> FastAPI:
    """Return the application with all its routes."""
    app = FastAPI(title="Sora Video Stitcher", version=VERSION, description=DESCRIPTION, redoc_url=None)
    app.state.gateway = state
    install_error_handlers(app)
    for module in (routes_jobs, routes_callback, routes_media, routes_health):
        app.include_router(module.router)
    app.add_middleware(BodyGuard)
    app.add_middleware(HttpMetrics)
    return app
