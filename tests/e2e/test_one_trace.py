"""One trace tells a film's life: from the request, through four processes, to Airtable and the webhook."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.otlp import Collector, Seen, collector
from tests.support.redis import RedisServer
from tests.support.system import SERVICES, System

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
RECORD = "recTRACED00000001"
STEPS = {
    ("gateway", "POST /api/jobs"),
    ("gateway", "publish job.created"),
    ("generator", "generator job.created"),
    ("generator", "publish video.requested"),
    ("generator", "generator video.requested"),
    ("generator", "kie create"),
    ("generator", "bring clip home"),
    ("generator", "kie look"),
    ("generator", "publish video.ready"),
    ("stitcher", "stitcher video.ready"),
    ("stitcher", "join film"),
    ("stitcher", "publish job.stitched"),
    ("uploader", "uploader job.stitched"),
    ("uploader", "airtable update"),
    ("uploader", "publish job.completed"),
    ("uploader", "webhook"),
}


@contextmanager
def receiver() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Run somebody who takes webhooks; gives the address and the headers that came."""
    came: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            came.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", came
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_one_trace_shows_a_films_life(rabbit_url: str, own_redis_server: RedisServer, tmp_path: Path) -> None:
    backing = {"RABBITMQ_URL": rabbit_url, "REDIS_URL": own_redis_server.url}
    with collector() as otlp, receiver() as (hook, came):
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url}
        async with System(tmp_path, backing, services_env=env) as system, system.client() as http:
            await system.airtable.post("seed", {"records": [{"id": RECORD, "fields": {}}]})
            body = {"clips": [{"prompt": "a"}, {"prompt": "b"}], "recordId": RECORD, "webhookUrl": hook}
            headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
            job_id = (await http.post("/api/jobs", json=body, headers=headers)).json()["data"]["jobId"]
            job = (await system.until_finished(http, [job_id]))[job_id]
            assert job["status"] == "completed", job

            await until_told(otlp)
            lines = [line for service in SERVICES for line in lines_about(system, service, job_id)]
    check_tree([span for span in otlp.spans if span.trace_id == TRACE])
    assert came[0]["traceparent"].startswith(f"00-{TRACE}-")
    assert came[0]["traceparent"][36:52] in {span.span_id for span in otlp.spans if span.name == "webhook"}
    assert lines
    assert {line.get("trace_id") for line in lines} == {TRACE}


async def until_told(otlp: Collector, timeout_s: float = 30) -> None:
    """Return once every step has been told of: spans are sent every second, and the webhook comes last."""
    deadline = time.monotonic() + timeout_s
    while missing := STEPS - steps_of(otlp):
        assert time.monotonic() < deadline, f"not told of {missing}, but of {steps_of(otlp)}"
        await asyncio.sleep(0.2)


def steps_of(otlp: Collector) -> set[tuple[str, str]]:
    return {(span.service, span.name) for span in otlp.spans if span.trace_id == TRACE}


def lines_about(system: System, service: str, job_id: str) -> list[dict[str, Any]]:
    """Return a service's log lines that were written while it worked on a job's step."""
    lines = [json.loads(line) for line in system.processes[service].log.read_text().splitlines()]
    return [line for line in lines if line.get("job") == job_id and line["logger"].startswith("services.")]


def check_tree(spans: list[Seen]) -> None:
    """All spans hang together below the caller's, each with an id of its own, and none failed."""
    assert len({span.span_id for span in spans}) == len(spans)
    known = {CALLER, *(span.span_id for span in spans)}
    assert [span for span in spans if span.parent_id not in known] == []
    roots = {(span.service, span.name) for span in spans if span.parent_id == CALLER}
    assert roots == {("gateway", "POST /api/jobs")}
    assert {span.service for span in spans} == set(SERVICES)
