"""A real Prometheus scrapes four live services and their broker while jobs run: every query and rule answers."""

import asyncio
import re
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from shared.metrics import FAMILIES
from tests.support.ports import free_port
from tests.support.prometheus import PrometheusServer, dashboards, expressions
from tests.support.rabbit import RabbitServer
from tests.support.redis import RedisServer
from tests.support.system import SERVICES, System

JOBS = 6
EMPTY_WHEN_HEALTHY = {
    ("Annotations", "version"): "the version has been the same for five minutes, or for as long as there is data",
}
"""Queries that rightly answer nothing here: title, a word of the expression, and why."""


@dataclass
class Watched:
    """A system under the eyes of Prometheus; `first` is what each service exposed before there was any work."""

    system: System
    prometheus: PrometheusServer
    first: dict[str, str]
    jobs: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Four services that have made some films."""
    folder = tmp_path_factory.mktemp("monitoring")
    for name in ("rabbit", "redis", "system", "prometheus"):
        (folder / name).mkdir()
    metrics_port = free_port()
    listener = f'[{{rabbitmq_prometheus, [{{tcp_config, [{{port, {metrics_port}}}, {{ip, "127.0.0.1"}}]}}]}}].'
    rabbit = RabbitServer(folder / "rabbit", listener, name="watched", plugins=["rabbitmq_prometheus"])
    redis = RedisServer(folder / "redis")
    try:
        rabbit.start()
        redis.start()
        rabbit.add_vhost("watched")
        backing = {"RABBITMQ_URL": rabbit.url("watched"), "REDIS_URL": redis.url}
        system = System(folder / "system", backing, services_env={"AIRTABLE_MONTHLY_CALLS": "1000"})
        asyncio.run(system.__aenter__())
        try:
            first = {service: exposed(system.ports[service]) for service in SERVICES}
            targets = {service: f"127.0.0.1:{system.ports[service]}" for service in SERVICES}
            broker = f"127.0.0.1:{metrics_port}"
            prometheus = PrometheusServer(
                folder / "prometheus", {**targets, "rabbitmq": broker, "rabbitmq-queues": broker}
            )
            prometheus.start()
            try:
                until(lambda: len(prometheus.values("up == 1")) == 6, "all targets are scraped")
                yield Watched(system, prometheus, first, asyncio.run(make_films(system)))
            finally:
                prometheus.stop()
        finally:
            asyncio.run(system.__aexit__(None, None, None))
    finally:
        redis.stop()
        rabbit.close()


def exposed(port: int) -> str:
    """Return what a service tells Prometheus now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


async def make_films(system: System) -> dict[str, dict[str, Any]]:
    """Make some films for records."""
    records = [f"recWATCHED{number:07d}" for number in range(JOBS)]
    await system.airtable.post("seed", {"records": [{"id": record, "fields": {}} for record in records]})
    async with system.client() as http:

        async def post(record: str) -> str:
            body = {"prompt1": f"{record} first", "prompt2": f"{record} second", "recordId": record}
            return str((await http.post("/api/generate-video", json=body)).json()["data"]["jobId"])

        jobs = await system.until_finished(http, [await post(record) for record in records], timeout_s=60)
    assert {job["status"] for job in jobs.values()} == {"completed"}
    return jobs


def until(condition: Any, what: str, timeout_s: float = 30) -> None:
    """Return as soon as the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.1)


def is_empty_when_healthy(title: str, expr: str) -> bool:
    return any(title == known and word in expr for known, word in EMPTY_WHEN_HEALTHY)


@pytest.mark.parametrize("name", dashboards())
def test_every_query_of_a_dashboard_answers(watched: Watched, name: str) -> None:
    queries = [query for query in expressions(dashboards()[name]) if not is_empty_when_healthy(*query)]
    assert queries

    def unanswered() -> list[tuple[str, str]]:
        return [(title, expr) for title, expr in queries if not watched.prometheus.values(expr)]

    until(lambda: not unanswered(), f"every query answers; not {unanswered()}")


@pytest.mark.parametrize("service", SERVICES)
def test_the_first_scrape_shows_everything_a_service_measures(watched: Watched, service: str) -> None:
    shown = set(re.findall(r"^(sora_\w+)", watched.first[service], re.MULTILINE))
    mine = [family for family in FAMILIES if service in family.services]
    names = {family.name + ("_count" if family.kind == "histogram" else "") for family in mine}
    # One generator of all asks for the balance and the breakers, soon after its start.
    assert names - shown <= {"sora_provider_credits_remaining", "sora_provider_breaker_open"}


def test_what_is_empty_when_healthy_is_well_formed(watched: Watched) -> None:
    for dashboard in dashboards().values():
        for title, expr in expressions(dashboard):
            if is_empty_when_healthy(title, expr):
                watched.prometheus.get("query", query=expr)


def test_every_rule_is_evaluated_and_every_metric_it_names_is_there(watched: Watched) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in watched.prometheus.get("rules")["groups"] for rule in group["rules"]]

    until(lambda: all(rule["health"] == "ok" for rule in rules()), "every rule is evaluated without an error")
    known = set(watched.prometheus.get("label/__name__/values"))
    for rule in rules():
        named = set(re.findall(r"\b((?:sora|rabbitmq|job:sora|stage:sora)_\w+(?::\w+)?)", rule["query"]))
        assert named <= known, rule["name"]
        if rule["type"] == "recording":
            assert watched.prometheus.values(rule["name"]), rule["name"]


def test_a_healthy_system_raises_no_alarm(watched: Watched) -> None:
    alerts = {alert["labels"]["alertname"] for alert in watched.prometheus.get("alerts")["alerts"]}
    assert alerts == {"SoraWatchdog"}


@pytest.mark.parametrize("name", [family.name for family in FAMILIES if family.kind == "histogram"])
def test_what_is_slow_leads_to_its_trace(watched: Watched, name: str) -> None:
    def traces() -> set[str]:
        now = time.time()
        found = watched.prometheus.get("query_exemplars", query=f"{name}_bucket", start=str(now - 600), end=str(now))
        return {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}

    until(lambda: bool(traces()), "exemplars were scraped")
    assert all(re.fullmatch("[0-9a-f]{32}", trace) for trace in traces())


def test_what_was_done_is_what_is_counted(watched: Watched) -> None:
    for expr, expected in (
        ("sum(sora_jobs_accepted_total)", JOBS),
        ('sum(sora_jobs_total{outcome="completed"})', JOBS),
        ("sum(sora_job_duration_seconds_count)", JOBS),
        ('max(sora_jobs_stored{status="completed"})', JOBS),
        ('sum(sora_provider_requests_total{operation="create", outcome="taken"})', 2 * JOBS),
        ("sum(sora_stitches_total)", JOBS),
        ('sum(sora_deliveries_total{way="airtable"})', JOBS),
        ("sum(sora_stage_dead_letters_total)", 0),
        ("sum(sora_stage_in_flight)", 0),
    ):
        until(lambda expr=expr, expected=expected: watched.prometheus.values(expr) == [expected], expr)


def test_a_stitcher_that_is_killed_raises_the_alarm_until_it_is_back(watched: Watched) -> None:
    def state() -> str | None:
        for alert in watched.prometheus.get("alerts")["alerts"]:
            # Another service's scrape may have come too late, here where machines are loaded.
            if (alert["labels"]["alertname"], alert["labels"].get("job")) == ("SoraServiceDown", "stitcher"):
                return str(alert["state"])
        return None

    watched.system.processes["stitcher"].kill()
    until(lambda: state() == "pending", "the alert is pending")
    until(lambda: state() == "firing", "the alert fires")
    watched.system.processes["stitcher"].start()
    asyncio.run(watched.system.until_ready("stitcher"))
    until(lambda: state() is None, "the alert is over")
