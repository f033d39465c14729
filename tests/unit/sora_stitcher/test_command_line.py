"""The commands that talk to a gateway: what they send, print and exit with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shared.version import VERSION
from sora_stitcher.cli import app
from tests.support.scripted_partner import Reply, ScriptedPartner
from tests.unit.sora_stitcher.answers import (
    BEGAN,
    JOB_ID,
    accepted,
    answered,
    completed,
    failed,
    job,
    refused,
    streamed,
)

COMMANDS = (
    "up", "demo", "submit", "watch", "jobs", "show", "cancel", "retry", "approve", "regenerate", "usage",
    "webhooks", "stitch", "doctor", "dead", "mcp",
)  # fmt: skip
HEAVY = (
    "asyncio",
    "httpx",
    "pydantic",
    "rich",
    "fastapi",
    "aio_pika",
    "av",
    "numpy",
    "mcp",
    "shared.settings",
    "shared.film",
)


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner(env=env).invoke(app, list(arguments), prog_name="sora-stitcher")


def one_line(result: Result) -> str:
    """The error: one line on standard error, nothing on standard output."""
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def test_help_names_every_command_and_exit_code() -> None:
    shown = run("--help").stdout
    for word in (*COMMANDS, "Exit codes", "130"):
        assert word in shown
    assert run().stdout == shown


def test_the_version_is_told() -> None:
    assert run("--version").stdout == f"sora-stitcher {VERSION}\n"


def test_nothing_heavy_is_imported_for_help() -> None:
    """What keeps the start below 300 ms; a time would only measure the machine."""
    code = f"import sys, sora_stitcher.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["watch"], "Missing argument 'JOB'"),
        (["jobs", "--limit", "x"], "--limit"),
        (["jobs", "--limit", "0"], "--limit"),
        (["submit"], "give a prompt for each clip"),
        (["submit", "--record", "recSANDBOX0000001", "--model", "m"], "need prompts"),
        (["submit", "x", "--duration", "0"], "--duration"),
        (["watch", "j", "--url", "nowhere"], "no address of the API"),
        (["watch", "j", "--url", "http://[::1"], "no address of the API"),
        (["submit", "x", "--meta", "score=Infinity"], "--meta score: JSON has no NaN and no Infinity"),
        (["submit", "x", "--meta", "score=[1e999]"], "--meta score: JSON has no NaN and no Infinity"),
        (["submit", "x", "--meta", "x=" + "[" * 100_000], "--meta x: its value is nested too deeply"),
        (["submit", "x", "--fps", "nan"], "JSON cannot say it"),
        (["submit", "a boat \udcff"], "not valid Unicode"),
        (["regenerate", "j", "1", "--prompt", "a boat \udcff"], "not valid Unicode"),
        (["submit", "x", "--idempotency-key", "schlüssel"], "no request can carry"),
        (["demo", "--real"], "--real needs prompts"),
        (["demo", "a prompt", "--real"], "--real needs SORA_API_KEY"),
        (["up", "--port", "70000"], "--port"),
        (["up", "--log-level", "loud"], "LOG_LEVEL"),
        (["dead", "list"], "RABBITMQ_URL is not set"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(arguments: list[str], part: str) -> None:
    result = run(*arguments)
    assert part in one_line(result)
    assert result.exit_code == 2


def test_a_malformed_environment_is_told_by_the_variables_name() -> None:
    result = run("jobs", env={"PORT": "abc"})
    assert "PORT" in one_line(result)
    assert result.exit_code == 2


def test_a_system_that_does_not_run_is_told_with_what_to_do(free_port: int) -> None:
    result = run("jobs", env={"PORT": str(free_port)})
    assert f"http://127.0.0.1:{free_port}" in one_line(result)
    assert "sora-stitcher up" in result.stderr
    assert result.exit_code == 3


@pytest.mark.parametrize(
    ("reply", "part", "code"),
    [
        (Reply(400, refused("invalid_request", "aspectRatio: must be one of …")), "aspectRatio", 4),
        (Reply(401, refused("unauthorized", "an API key is required")), "SORA_STITCHER_API_KEY", 4),
        (Reply(404, refused("job_not_found", "Job not found: x")), "sora-stitcher jobs", 4),
        (Reply(429, refused("rate_limited", "too many"), {"Retry-After": "9"}), "Try again in 9 s", 4),
        (Reply(503, refused("store_unavailable", "The store is not available"), {"Retry-After": "9"}), "in 9 s", 3),
        (Reply(402, refused("budget_exceeded", "of the 10, 2 are left")), "sora-stitcher usage", 4),
        (Reply(409, refused("idempotency_conflict", "used with another")), "Leave out --idempotency-key", 4),
        (Reply(200, "hello"), "is not Sora Video Stitcher", 3),
        (Reply(400, refused("x", "two\nlines and \x1b[31mred")), "two lines and  [31mred", 4),
    ],
)
def test_a_refusal_is_told_in_one_line(gateway: ScriptedPartner, reply: Reply, part: str, code: int) -> None:
    gateway.script = [reply]
    result = run("submit", "a prompt", "--url", gateway.url)
    assert " ".join(part.split()) in one_line(result)
    assert result.exit_code == code


def test_several_wrong_fields_are_all_told(gateway: ScriptedPartner) -> None:
    details = [{"field": f"clips.{number}.prompt", "message": "is required"} for number in range(7)]
    gateway.script = [Reply(400, refused("invalid_request", "clips.0.prompt: is required") | {"details": details})]
    told = one_line(run("submit", "a prompt", "--url", gateway.url))
    assert "clips.0.prompt: is required; clips.1.prompt: is required; " in told
    assert "and 2 more" in told


@pytest.mark.parametrize(
    "reply",
    [
        Reply(drop=True),
        Reply(503, refused("store_unavailable", "The store is not available")),
        Reply(503, refused("store_unavailable", "The store is not available"), {"Retry-After": "60"}),
        Reply(502, "<html>bad gateway</html>", {"Content-Type": "text/html"}),
    ],
)
def test_an_order_without_an_answer_is_told_with_the_key_to_repeat_it(
    gateway: ScriptedPartner, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    monkeypatch.setattr("sora_stitcher._repeating.random.uniform", lambda *_: 0.0)
    gateway.script = [reply]
    result = run("submit", "a prompt", "--url", gateway.url)
    assert f"--idempotency-key {gateway.requests[0].headers['Idempotency-Key']}" in one_line(result)
    assert result.exit_code == 3


def test_an_order_is_sent_and_the_next_step_named(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(202, accepted())]
    wishes = ["--record", "recSANDBOX0000001", "--aspect", "9:16", "--duration", "10", "--model", "wan/3-0-video"]
    result = run("submit", "one", "two", *wishes, "--url", gateway.url)
    assert gateway.requests[0].body == {
        "clips": [{"prompt": "one", "durationSeconds": 10}, {"prompt": "two", "durationSeconds": 10}],
        "model": "wan/3-0-video",
        "recordId": "recSANDBOX0000001",
        "aspectRatio": "9:16",
    }
    assert f"watch {JOB_ID}" in result.stdout
    assert result.exit_code == 0


def test_an_order_as_json_is_nothing_but_json(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(202, accepted())]
    result = run("submit", "one", "--json", "--url", gateway.url)
    assert json.loads(result.stdout) == accepted()["data"]
    assert result.stderr == ""


def test_a_records_own_prompts_are_used_when_none_are_given(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(202, accepted())]
    assert run("submit", "--record", "recSANDBOX0000001", "--url", gateway.url).exit_code == 0
    assert gateway.requests[0].path == "/api/process-record"


def test_watching_tells_what_happens_and_ends_well(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(200, answered(job())), Reply(200, answered(completed(updatedAt=BEGAN + 8000)))]
    result = run("watch", JOB_ID, "--url", gateway.url)
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if "accepted with 2 clips" in line], "said once"
    assert result.stdout.count("accepted with 2 clips") == 1
    assert "clip 1: clip is home" in result.stdout
    assert "completed in 8.0 s" in result.stdout
    assert "http://localhost:3000/media/token/film.mp4" in result.stdout


def test_watching_a_failed_job_exits_with_1_and_the_reason(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(200, answered(failed()))]
    result = run("watch", JOB_ID, "--url", gateway.url)
    assert result.exit_code == 1
    reason = "failed (generating, credits): Video 2 generation failed: Insufficient credits"
    assert result.stderr == f"sora-stitcher: {JOB_ID} {reason}\n"
    assert reason in run("show", JOB_ID, "--url", gateway.url).stdout


def test_watching_as_json_prints_the_ended_job_alone(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(200, answered(failed()))]
    result = run("watch", JOB_ID, "--json", "--url", gateway.url)
    assert json.loads(result.stdout) == failed()
    assert result.exit_code == 1


def test_the_film_is_saved_where_asked_for(gateway: ScriptedPartner, tmp_path: Path) -> None:
    gateway.script = [*streamed(completed()), Reply(200, b"film")]
    result = run("watch", JOB_ID, "-o", "films/mine.mp4", "--url", gateway.url)
    assert result.exit_code == 0
    assert (tmp_path / "films/mine.mp4").read_bytes() == b"film"


def test_a_film_that_cannot_be_saved_is_told(gateway: ScriptedPartner, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    gateway.script = [*streamed(completed()), Reply(200, b"film")]
    result = run("watch", JOB_ID, "-o", "taken/mine.mp4", "--url", gateway.url)
    assert result.exit_code == 1
    assert "cannot save the film as taken/mine.mp4" in result.stderr


def test_jobs_are_listed_in_columns_and_as_json(gateway: ScriptedPartner) -> None:
    summary = {"jobId": JOB_ID, "status": "failed", "createdAt": BEGAN, "updatedAt": BEGAN, "progress": 10,
               "title": "a [bold]red[/bold] boat :smile:", "clips": 2, "clipsReady": 1}  # fmt: skip
    gateway.script = [Reply(200, {"success": True, "data": [summary], "nextCursor": "more"})]
    shown = run("jobs", "--status", "failed", "--limit", "1", "--url", gateway.url).stdout
    assert f"{JOB_ID}  failed" in shown
    assert "a [bold]red[/bold] boat :smile:" in shown, "a prompt is no markup"
    assert "There are more" in shown
    assert json.loads(run("jobs", "--json", "--limit", "1", "--url", gateway.url).stdout) == [summary]


def test_more_jobs_than_a_page_holds_are_listed(gateway: ScriptedPartner) -> None:
    summary = {"jobId": JOB_ID, "status": "failed", "createdAt": BEGAN, "updatedAt": BEGAN}
    first = {"success": True, "data": [summary] * 200, "nextCursor": "c2"}
    gateway.script = [Reply(200, first), Reply(200, first | {"data": [summary] * 30, "nextCursor": None})]
    assert len(json.loads(run("jobs", "--json", "--limit", "250", "--url", gateway.url).stdout)) == 230
    assert [request.path for request in gateway.requests] == [
        "/api/jobs?limit=200",
        "/api/jobs?limit=50&cursor=c2",
    ]


def test_no_jobs_is_said_so(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(200, {"success": True, "data": [], "nextCursor": None})]
    assert run("jobs", "--url", gateway.url).stdout == "No jobs yet.\n"


def test_a_job_is_shown_with_clips_events_and_film(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(200, answered(completed()))]
    shown = run("show", JOB_ID, "--url", gateway.url).stdout
    for part in (
        f"{JOB_ID} · completed",
        "prompt 1",
        "Clip 2 · ready",
        "stitching 2 clips",
        "record recSANDBOX0000001",
    ):
        assert part in shown
    assert json.loads(run("show", JOB_ID, "--json", "--url", gateway.url).stdout) == completed()


def key_sent(gateway: ScriptedPartner, *arguments: str, env: dict[str, str]) -> str | None:
    gateway.script = [Reply(200, {"success": True, "data": [], "nextCursor": None})]
    gateway.requests.clear()
    assert run("jobs", *arguments, env=env).exit_code == 0
    return gateway.requests[0].headers.get("Authorization")


def test_the_key_comes_from_the_option_the_variable_or_this_machines_api_keys(gateway: ScriptedPartner) -> None:
    keys = {"API_KEYS": "first, second", "SORA_STITCHER_URL": gateway.url}
    assert key_sent(gateway, env=keys) == "Bearer first"
    assert key_sent(gateway, env=keys | {"SORA_STITCHER_API_KEY": "mine"}) == "Bearer mine"
    assert key_sent(gateway, "--api-key", "given", env=keys) == "Bearer given"
    assert key_sent(gateway, env={"PORT": gateway.url.rpartition(":")[2]}) is None


def test_this_machines_keys_are_never_sent_to_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from sora_stitcher.cli.target import open_client

    monkeypatch.setenv("API_KEYS", "first")
    with open_client("https://stitcher.example.com", None) as remote, open_client(None, None) as local:
        assert remote.api_key is None
        assert local.api_key == "first"
