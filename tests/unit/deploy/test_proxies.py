"""Whose `X-Forwarded-For` each host's deployment believes: callers have addresses of their own, and choose none."""

from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from shared.settings import Settings
from tests.support.image import showing_python, start
from tests.support.manifests.files import ROOT, Document, documents

CALLER = "99.61.165.29"
CLAIMED = "6.6.6.6"
CLOUDFLARE = "104.22.17.40"
RENDER_PROXY = "10.21.157.68"
RAILWAY_PROXY = "100.64.0.3"
ON_RENDER = {"RENDER_EXTERNAL_URL": "https://films.onrender.com"}
ON_RAILWAY = {"RAILWAY_PUBLIC_DOMAIN": "films.up.railway.app"}


def started(folder: Path, **environment: str) -> dict[str, str]:
    """Return the environment that the image's entry point gives to the gateway."""
    code, given, said = start(showing_python(folder / "bin"), "gateway", **environment)
    assert code == 0, said
    return given


async def client_of(believed: str | None, peer: str, *forwarded: str) -> str:
    """Return whom the gateway takes a request to come from."""
    proxies = Settings.model_validate({"forwarded_allow_ips": believed} if believed else {}).forwarded_allow_ips
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["client"][0])

    async def receive() -> Message:
        raise AssertionError("nobody reads the body")

    async def send(_message: Message) -> None:
        raise AssertionError("nobody answers")

    headers = [(b"x-forwarded-for", ", ".join(forwarded).encode())] if forwarded else []
    scope: Scope = {"type": "http", "client": (peer, 1), "scheme": "http", "headers": headers}
    await ProxyHeadersMiddleware(app, list(proxies))(scope, receive, send)  # type: ignore[arg-type]
    return seen[0]


@pytest.mark.parametrize("claimed", [(), (CLAIMED,)])
async def test_on_render_a_caller_is_known_behind_two_proxies(tmp_path: Path, claimed: tuple[str, ...]) -> None:
    believed = started(tmp_path, **ON_RENDER)["FORWARDED_ALLOW_IPS"]
    assert await client_of(believed, RENDER_PROXY, *claimed, CALLER, CLOUDFLARE) == CALLER


async def test_on_render_a_program_at_cloudflare_cannot_claim_an_address(tmp_path: Path) -> None:
    believed = started(tmp_path, **ON_RENDER)["FORWARDED_ALLOW_IPS"]
    worker = "2a06:98c0:3600::103"
    assert await client_of(believed, RENDER_PROXY, CLAIMED, worker, CLOUDFLARE) == worker


@pytest.mark.parametrize("edge", ["152.233.33.161", "79.127.151.146"])
async def test_on_railway_a_caller_is_the_first_whom_the_edge_names(tmp_path: Path, edge: str) -> None:
    believed = started(tmp_path, **ON_RAILWAY)["FORWARDED_ALLOW_IPS"]
    assert await client_of(believed, RAILWAY_PROXY, CALLER, edge) == CALLER


@pytest.mark.parametrize("host", [ON_RENDER, ON_RAILWAY])
def test_what_was_said_is_left_alone(tmp_path: Path, host: dict[str, str]) -> None:
    assert started(tmp_path, FORWARDED_ALLOW_IPS="10.1.0.0/16", **host)["FORWARDED_ALLOW_IPS"] == "10.1.0.0/16"


async def test_where_no_proxy_is_known_nobody_is_believed(tmp_path: Path, compose: Document) -> None:
    assert "FORWARDED_ALLOW_IPS" not in started(tmp_path)
    assert "FORWARDED_ALLOW_IPS" not in compose["services"]["gateway"]["environment"]
    bridge = "172.18.0.1"
    assert await client_of(None, bridge, CLAIMED) == bridge


async def test_in_production_only_pods_are_believed() -> None:
    (kustomization,) = documents(ROOT / "deploy" / "k8s" / "overlays" / "prod" / "kustomization.yaml")
    (generator,) = kustomization["configMapGenerator"]
    given = dict(literal.split("=", 1) for literal in generator["literals"])
    believed = given["FORWARDED_ALLOW_IPS"]
    assert await client_of(believed, "10.244.3.7", CLAIMED, CALLER) == CALLER
    node = "10.0.0.5"
    assert await client_of(believed, node, CLAIMED) == node
