"""Metrics as Prometheus asks for them: its text format, or OpenMetrics with exemplars."""

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response


def metrics_response(request: Request) -> Response:
    """Answer a scrape in the format that its `Accept` header prefers."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(REGISTRY), headers={"Content-Type": content_type})
