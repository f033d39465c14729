"""API keys, and what is open without one."""

from tests.integration.gateway.answers import GOOD, error_of
from tests.support.fixtures_world import OpenWorld

KEYS = "first-key,zweiter-schlüssel"


async def test_everything_about_jobs_needs_one_of_the_keys(open_world: OpenWorld) -> None:
    w = await open_world(partners=(), services=(), api_keys=KEYS)
    requests = [
        ("POST", "/api/generate-video"),
        ("POST", "/api/process-record"),
        ("POST", "/api/jobs"),
        ("GET", "/api/jobs"),
        ("GET", "/api/job/job_1"),
        ("GET", "/api/jobs/job_1"),
    ]
    wrong: list[dict[str, str] | dict[bytes, bytes]] = [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic first-key"},
        {"Authorization": "first-key"},
        {"X-API-Key": ""},
        {"X-API-Key": "first-key,zweiter"},
        {b"X-API-Key": b"\xff\xfe"},
    ]
    for method, path in requests:
        for headers in wrong:
            answer = await w.http.request(method, path, headers=headers)
            error = error_of(answer, 401)
            assert error["code"] == "unauthorized"
            assert "first-key" not in answer.text
            assert answer.headers["www-authenticate"] == "Bearer"
    assert await w.store.page() == ([], None)


async def test_each_key_opens_in_either_header(open_world: OpenWorld) -> None:
    w = await open_world(partners=(), services=(), api_keys=KEYS)
    right: list[dict[str, str] | dict[bytes, bytes]] = [
        {"Authorization": "Bearer first-key"},
        {"authorization": "bearer  first-key"},
        {"x-api-key": "first-key"},
        {"Authorization": "Basic abc", "X-API-Key": "first-key"},
        {b"X-API-Key": "zweiter-schlüssel".encode()},
    ]
    for headers in right:
        assert (await w.http.get("/api/jobs", headers=headers)).status_code == 200, headers
        assert (await w.http.post("/api/generate-video", json=GOOD, headers=headers)).status_code == 202


async def test_health_and_metrics_are_open_in_the_originals_shape(open_world: OpenWorld) -> None:
    w = await open_world(partners=(), services=(), api_keys=KEYS)
    health = (await w.http.get("/api/health")).json()
    assert health.keys() == {"success", "message", "mode", "timestamp"}
    assert (health["success"], health["message"], health["mode"]) == (True, "API is running", "async-callback")
    assert health["timestamp"].endswith("Z")
    assert (await w.http.get("/healthz")).json() == {"status": "alive"}
    assert (await w.http.get("/readyz")).status_code == 200
    for path in ("/api/health", "/healthz", "/readyz"):
        head = await w.http.head(path)
        assert (head.status_code, head.content) == (200, b"")
    page = await w.http.get("/metrics")
    assert "sora_http_requests_total" in page.text


async def test_metrics_name_routes_and_known_methods_only(open_world: OpenWorld) -> None:
    w = await open_world(partners=(), services=())
    for number in range(3):
        await w.http.request(f"BREW{number}", f"/api/job/job_{number}")
        await w.http.get(f"/api/job/job_{number}")
    page = (await w.http.get("/metrics")).text
    assert 'route="/api/job/{job_id}"' in page
    assert 'method="other"' in page
    assert "BREW" not in page
    assert "job_2" not in page
