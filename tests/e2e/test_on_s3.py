"""One job through four real processes whose files are kept on S3."""

from pathlib import Path

import httpx

from tests.support.redis import RedisServer
from tests.support.s3 import S3Server
from tests.support.system import System

RECORD = "recONS30000000001"


async def test_a_film_is_made_kept_and_delivered_on_s3(
    rabbit_url: str, own_redis_server: RedisServer, s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    backing = {"RABBITMQ_URL": rabbit_url, "REDIS_URL": own_redis_server.url}
    env = {**s3_server.environment(bucket), "MEDIA_REDIRECT": "true"}
    async with System(tmp_path, backing, services_env=env) as system, system.client() as http:
        await system.airtable.post("seed", {"records": [{"id": RECORD, "fields": {}}]})
        body = {"prompt1": "a boat", "prompt2": "a harbour", "recordId": RECORD}
        job_id = (await http.post("/api/generate-video", json=body)).json()["data"]["jobId"]
        view = (await system.until_finished(http, [job_id]))[job_id]
        assert view["status"] == "completed", view
        redirect = await http.get(view["videoUrl"])
        film = await http.get(view["videoUrl"], follow_redirects=True)
        record = await system.airtable.get(f"records/{RECORD}")
    assert redirect.status_code == 307
    assert redirect.headers["location"].startswith(s3_server.url)
    assert (film.status_code, film.content[4:8]) == (200, b"ftyp")
    assert record["fields"]["Status"] == "Completed"
    kept = s3_server.objects(bucket)
    for name in ("clip-1.mp4", "clip-2.mp4", "film.mp4", "poster.jpg"):
        assert f"<Key>some/prefix/jobs/{job_id}/" in kept
        assert name in kept or name.replace("-", "/") in kept, kept
    assert not (tmp_path / "data" / "artifacts").exists()
    assert isinstance(redirect, httpx.Response)


async def test_what_is_encoded_ahead_waits_on_s3_for_the_last_clip(
    rabbit_url: str, own_redis_server: RedisServer, s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    backing = {"RABBITMQ_URL": rabbit_url, "REDIS_URL": own_redis_server.url}
    env = s3_server.environment(bucket)
    async with System(tmp_path, backing, services_env=env) as system, system.client() as http:
        prompts = ("a boat", "a harbour [twin:size=160x120]", "a storm [twin:task=slow:5000]")
        accepted = await http.post("/api/jobs", json={"clips": [{"prompt": each} for each in prompts]})
        job_id = accepted.json()["data"]["jobId"]
        view = (await system.until_finished(http, [job_id]))[job_id]
        assert view["status"] == "completed", view
        told = (await http.get(f"http://127.0.0.1:{system.ports['stitcher']}/metrics")).text
    assert 'sora_pieces_ahead_total{outcome="made"} 1.0' in told
    assert 'sora_pieces_ahead_total{outcome="used"} 1.0' in told
    kept = s3_server.objects(bucket)
    assert f"<Key>some/prefix/jobs/{job_id}/" in kept
    assert f"jobs/{job_id}/ahead/" not in kept
