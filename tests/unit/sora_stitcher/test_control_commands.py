"""`submit` with all its wishes, `cancel`, `retry`, `approve`, `regenerate`, `usage`, `webhooks`: sent and told."""

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
from typer.testing import CliRunner, Result

from sora_stitcher.cli import app
from tests.support.scripted_partner import Reply, ScriptedPartner
from tests.unit.sora_stitcher.answers import (
    BEGAN,
    JOB_ID,
    accepted,
    answered,
    clip,
    completed,
    failed,
    frame,
    job,
    refused,
    stream,
    streamed,
)


def run(gateway: ScriptedPartner, *arguments: str, stdin: str | None = None) -> Result:
    runner = CliRunner(env={"SORA_STITCHER_URL": gateway.url})
    return runner.invoke(app, list(arguments), prog_name="sora-stitcher", input=stdin)


def review() -> dict[str, Any]:
    ready = clip(1, "ready", url="http://localhost:3000/media/token/clip-1.mp4")
    return job("review", clips=[ready], updatedAt=BEGAN + 6000)


# --- submit -----------------------------------------------------------------------------------------------------


def test_every_wish_reaches_the_api(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(202, accepted())]
    told = run(
        gateway, "submit", "a boat", "a storm", "--clip", "2:seed=7", "--intro", "https://example.com/intro.mp4",
        "--model", "a", "--model", "b", "--resolution", "1080p", "--fps", "30", "--fit", "cover", "-t", "fade:0.5",
        "--codec", "hevc", "--loudness", "-14", "--music", "https://example.com/song.mp3", "--music-duck", "12",
        "--overlay", "https://example.com/logo.png", "--overlay-position", "top-left", "--poster-at", "1.5",
        "--record", "recSANDBOX0000001", "--field", "Reviewed=false", "--meta", "campaign=spring",
        "--webhook", "https://example.com/hook", "--webhook-event", "video.ready", "--on-clip-failure", "skip",
        "--min-clips", "2", "--review", "--priority", "high", "--idempotency-key", "once",
    )  # fmt: skip
    assert told.exit_code == 0, told.stderr
    assert gateway.requests[0].headers["Idempotency-Key"] == "once"
    assert gateway.requests[0].body == {
        "clips": [
            {"url": "https://example.com/intro.mp4"},
            {"prompt": "a boat"},
            {"prompt": "a storm", "seed": 7},
        ],
        "models": ["a", "b"],
        "resolution": "1080p",
        "fps": 30.0,
        "fit": "cover",
        "codec": "hevc",
        "transition": {"type": "fade", "seconds": 0.5},
        "audio": {"loudness": -14.0, "soundtrack": {"url": "https://example.com/song.mp3", "duck": 12.0}},
        "overlay": {"url": "https://example.com/logo.png", "position": "top-left"},
        "posterAtSeconds": 1.5,
        "recordId": "recSANDBOX0000001",
        "fields": {"Reviewed": False},
        "metadata": {"campaign": "spring"},
        "webhookUrl": "https://example.com/hook",
        "webhookEvents": ["video.ready"],
        "onClipFailure": "skip",
        "minClips": 2,
        "review": True,
        "priority": "high",
    }


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["x", "--music-duck", "3"], "need --music"),
        (["x", "--overlay-opacity", "1"], "need --overlay"),
        (["x", "--force"], "--force is for a record's own prompts"),
        (["--record", "recSANDBOX0000001", "--review"], "review need prompts"),
        (["--record", "recSANDBOX0000001", "--dry-run"], "dry run need prompts"),
        (["--record", "recSANDBOX0000001", "--outro", "https://e.com/a.mp4"], "intro or outro need prompts"),
        (["x", "--file", "jobs.jsonl"], "--file stands alone"),
        (["--file", "jobs.jsonl"], "cannot read jobs.jsonl"),
    ],
)
def test_wishes_that_do_not_go_together_are_told(gateway: ScriptedPartner, arguments: list[str], part: str) -> None:
    result = run(gateway, "submit", *arguments)
    assert part in result.stderr
    assert (result.exit_code, result.stdout, gateway.requests) == (2, "", [])


def test_a_dry_run_tells_what_it_would_cost(gateway: ScriptedPartner) -> None:
    estimate = {
        "dryRun": True,
        "clips": 1,
        "seconds": 10,
        "credits": {"min": 30, "max": 60},
        "estimatedSeconds": 190,
        "warnings": ["clip 1: m makes 10 s, not 8 s"],
        "models": ["m"],
    }
    gateway.script = [Reply(200, answered(estimate))]
    shown = run(gateway, "submit", "a boat", "--dry-run")
    assert shown.exit_code == 0
    for part in ("nothing was ordered", "30 to 60", "190 s", "m makes 10 s"):
        assert part in shown.stdout
    assert json.loads(run(gateway, "submit", "a boat", "--dry-run", "--json").stdout) == estimate


def test_a_record_can_be_forced(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(202, accepted())]
    assert run(gateway, "submit", "--record", "recSANDBOX0000001", "--force").exit_code == 0
    assert gateway.requests[0].body == {"recordId": "recSANDBOX0000001", "force": True}


@pytest.mark.parametrize("options", [["--watch"], ["--watch", "--json"], ["-o", "film.mp4"]])
def test_an_order_that_cannot_be_watched_any_more_is_named(gateway: ScriptedPartner, options: list[str]) -> None:
    gateway.script = [Reply(202, accepted()), Reply(401, refused("unauthorized", "an API key is required"))]
    result = run(gateway, "submit", "a boat", *options)
    assert f"{JOB_ID} was ordered and goes on: sora-stitcher watch {JOB_ID}" in result.stderr
    assert "SORA_STITCHER_API_KEY" in result.stderr
    assert result.exit_code == 4


@pytest.mark.parametrize("options", [["--watch"], ["--watch", "--json"]])
def test_an_order_whose_watching_is_interrupted_is_named(
    gateway: ScriptedPartner, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    def interrupted(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("sora_stitcher._blocking.Client.events", interrupted)
    gateway.script = [Reply(202, accepted())]
    result = run(gateway, "submit", "a boat", *options)
    told = f"stopped watching; {JOB_ID} was ordered and goes on: sora-stitcher watch {JOB_ID}"
    assert told in result.stderr
    assert result.exit_code == 130


def test_an_order_whose_film_cannot_be_saved_is_named(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(202, accepted()), *streamed(completed()), Reply(404, refused("not_found", "gone"))]
    result = run(gateway, "submit", "a boat", "-o", "film.mp4")
    assert f"{JOB_ID} was ordered and is completed: sora-stitcher show {JOB_ID}" in result.stderr
    assert result.exit_code == 4


# --- submit --file ----------------------------------------------------------------------------------------------

LINES = '{"clips": [{"prompt": "one"}]}\n\n{"clips": []}\n'
TAKEN = {"index": 0, "status": 202, "jobId": JOB_ID, "statusUrl": "http://x"}
NOT_TAKEN = {"index": 1, "status": 400, "error": "clips: too few", "code": "invalid_request"}


def test_a_file_is_ordered_line_by_line_with_one_summary(gateway: ScriptedPartner, tmp_path: Path) -> None:
    (tmp_path / "jobs.jsonl").write_text(LINES)
    gateway.script = [Reply(200, answered({"accepted": 1, "refused": 1, "items": [TAKEN, NOT_TAKEN]}))]
    result = run(gateway, "submit", "--file", "jobs.jsonl", "--idempotency-key", "k")
    assert gateway.lines() == ["POST /api/jobs:batch"]
    assert gateway.requests[0].body == [{"clips": [{"prompt": "one"}]}, {"clips": []}]
    assert result.stdout.splitlines() == [f"1  ✔ {JOB_ID}", "3  ✘ clips: too few", "1 film accepted; 1 refused"]
    assert "1 film of 2 refused" in result.stderr
    assert "--idempotency-key k" in result.stderr
    assert result.exit_code == 4


def test_a_file_of_which_not_all_could_be_ordered_is_told_with_the_key_to_repeat_it(gateway: ScriptedPartner) -> None:
    taken = [TAKEN | {"index": number} for number in range(100)]
    gateway.script = [
        Reply(200, answered({"accepted": 100, "refused": 0, "items": taken})),
        Reply(429, refused("rate_limited", "too many"), {"Retry-After": "60"}),
    ]
    lines = '{"clips": [{"prompt": "one"}]}\n' * 101
    result = run(gateway, "submit", "--file", "-", stdin=lines)
    key = gateway.requests[0].headers["Idempotency-Key"].removesuffix(".0")
    assert f"some of the films may be ordered; repeated with --idempotency-key {key}" in result.stderr
    assert "Try again in 60 s" in result.stderr
    assert result.exit_code == 4


def test_a_file_of_which_nothing_was_ordered_names_no_key(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(429, refused("rate_limited", "too many"), {"Retry-After": "60"})]
    result = run(gateway, "submit", "--file", "-", stdin='{"clips": [{"prompt": "one"}]}')
    assert "--idempotency-key" not in result.stderr
    assert result.exit_code == 4


def test_a_files_summary_as_json_says_which_lines(gateway: ScriptedPartner) -> None:
    gateway.script = [
        Reply(200, answered({"accepted": 1, "refused": 0, "items": [TAKEN]})),
        *streamed(completed()),
    ]
    text = '[{"clips": [{"prompt": "one"}]}]'
    result = run(gateway, "submit", "--file", "-", "--json", "--watch", stdin=text)
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert (summary["accepted"], summary["refused"], summary["completed"]) == (1, 0, 1)
    assert (summary["items"][0]["line"], summary["items"][0]["job"]["status"]) == (1, "completed")
    assert gateway.requests[0].headers["Idempotency-Key"] == f"{summary['idempotencyKey']}.0"


def test_a_film_of_a_file_that_fails_is_told(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(200, answered({"accepted": 1, "refused": 0, "items": [TAKEN]})), *streamed(failed())]
    result = run(gateway, "submit", "--file", "-", "--watch", stdin='{"clips": [{"prompt": "one"}]}')
    assert result.exit_code == 1
    assert "Insufficient credits" in result.stdout
    assert "1 film of 1 not completed" in result.stderr


def test_films_that_cannot_be_watched_any_more_are_not_lost(gateway: ScriptedPartner) -> None:
    gateway.script = [
        Reply(200, answered({"accepted": 1, "refused": 0, "items": [TAKEN]})),
        Reply(401, refused("unauthorized", "an API key is required")),
    ]
    line = '{"clips": [{"prompt": "one"}]}'
    result = run(gateway, "submit", "--file", "-", "--watch", "--idempotency-key", "k", stdin=line)
    assert result.exit_code == 4
    assert "the films go on; repeated with --idempotency-key k" in result.stderr


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"clips": []}\n{"clips": \n', "-, line 2: no valid JSON"),
        ('"a prompt"', "-, 1: a film is a JSON object"),
        ("[{]", "-: no valid JSON"),
        ("\n", "asks for no film"),
    ],
)
def test_a_file_that_makes_no_sense_orders_nothing(gateway: ScriptedPartner, text: str, part: str) -> None:
    result = run(gateway, "submit", "--file", "-", stdin=text)
    assert part in result.stderr
    assert (result.exit_code, gateway.requests) == (2, [])


# --- control ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "line", "view", "part"),
    [
        (["cancel", JOB_ID], f"/api/job/{JOB_ID}/cancel", job("cancelled"), f"{JOB_ID} is cancelled"),
        (["retry", JOB_ID], f"/api/job/{JOB_ID}/retry", job(), f"{JOB_ID} goes on: generating"),
        (["approve", JOB_ID], f"/api/job/{JOB_ID}/approve", job("processing"), f"watch {JOB_ID}"),
        (["regenerate", JOB_ID, "2"], f"/api/job/{JOB_ID}/clips/2/regenerate", job(), "goes on: generating"),
    ],
)
def test_a_job_is_changed_and_the_outcome_told(
    gateway: ScriptedPartner, arguments: list[str], line: str, view: dict[str, Any], part: str
) -> None:
    gateway.script = [Reply(200, answered(view))]
    result = run(gateway, *arguments)
    assert result.exit_code == 0, result.stderr
    assert part in result.stdout
    assert gateway.lines() == [f"POST {line}"]
    assert json.loads(run(gateway, *arguments, "--json").stdout) == view


def test_a_new_take_can_be_watched_to_its_end(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(200, answered(job())), *streamed(job(), completed(updatedAt=BEGAN + 8000))]
    result = run(gateway, "regenerate", JOB_ID, "2", "--prompt", "better", "--watch")
    assert gateway.requests[0].body == {"prompt": "better"}
    assert "completed in 8.0 s" in result.stdout


def test_a_change_that_is_not_possible_says_where_to_look(gateway: ScriptedPartner) -> None:
    gateway.script = [Reply(409, refused("not_failed", "Not possible now: the job is completed"))]
    result = run(gateway, "retry", JOB_ID)
    assert result.exit_code == 4
    assert "sora-stitcher show JOB" in result.stderr


# --- watching a job in review -----------------------------------------------------------------------------------


def test_watching_says_what_a_review_wants_and_can_stop_there(gateway: ScriptedPartner) -> None:
    gateway.script = [
        stream(frame(job(), 1), frame({"percent": 1, "message": "x"}, name="progress"), frame(review(), 2))
    ]
    result = run(gateway, "watch", JOB_ID, "--until", "review")
    assert result.exit_code == 0
    for part in ("waits for review", "clip 1  http://localhost:3000/media/token/clip-1.mp4", f"approve {JOB_ID}"):
        assert part in result.stdout
    gateway.script = [Reply(200, answered(review()))]
    assert f"approve {JOB_ID}" in run(gateway, "show", JOB_ID).stdout


def test_a_cancelled_job_ends_watching_with_1(gateway: ScriptedPartner) -> None:
    gateway.script = streamed(job("cancelled", cancelledAt=BEGAN + 5000))
    result = run(gateway, "watch", JOB_ID)
    assert (result.exit_code, result.stderr) == (1, f"sora-stitcher: {JOB_ID} was cancelled\n")


# --- usage and webhooks -----------------------------------------------------------------------------------------


def test_usage_is_shown_in_columns_and_as_json(gateway: ScriptedPartner) -> None:
    row = {"day": "2026-01-31", "key": "airtable", "model": "m", "clips": 3, "seconds": 30.5, "credits": 90}
    data = {"days": 7, "total": {"clips": 3, "seconds": 30.5, "credits": 90}, "usage": [row]}
    gateway.script = [Reply(200, answered(data))]
    lines = run(gateway, "usage", "--days", "7").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["DAY", "KEY", "MODEL", "CLIPS", "SECONDS", "CREDITS"],
        ["2026-01-31", "airtable", "m", "3", "30.5", "90"],
        ["total", "3", "30.5", "90"],
    ]
    assert json.loads(run(gateway, "usage", "--json").stdout) == data
    gateway.script = [Reply(200, answered(data | {"usage": []}))]
    assert run(gateway, "usage").stdout == "Nothing was used in 7 days.\n"


def webhook(number: int, state: str, **changes: Any) -> dict[str, Any]:
    tries = [{"at": BEGAN, "status": 500, "problem": "the receiver answered 500, an error"}]
    view = {"id": f"{JOB_ID}-{number}-job-completed", "event": "job.completed", "at": BEGAN, "state": state}
    return view | {"tried": 1, "tries": tries} | changes


def test_webhooks_are_listed_with_what_went_wrong(gateway: ScriptedPartner) -> None:
    view = completed(webhooks=[webhook(5, "delivered"), webhook(6, "given_up", clip=2)])
    gateway.script = [Reply(200, answered(view))]
    shown = run(gateway, "webhooks", "list", JOB_ID).stdout
    assert "✘ job.completed of clip 2: given_up" in shown
    assert shown.count("the receiver answered 500") == 1
    assert json.loads(run(gateway, "webhooks", "list", JOB_ID, "--json").stdout) == view["webhooks"]
    assert "1 of 2 delivered" in run(gateway, "show", JOB_ID).stdout


@pytest.mark.parametrize(
    ("arguments", "numbers"), [([], [6]), (["--all"], [5, 6]), ([f"{JOB_ID}-5-job-completed"], [5])]
)
def test_webhooks_are_told_again(gateway: ScriptedPartner, arguments: list[str], numbers: list[int]) -> None:
    view = completed(webhooks=[webhook(5, "delivered"), webhook(6, "given_up")])
    gateway.script = [Reply(200, answered(view)), Reply(202, answered(webhook(5, "pending")))]
    result = run(gateway, "webhooks", "replay", JOB_ID, *arguments)
    assert result.exit_code == 0, result.stderr
    assert gateway.lines()[1:] == [
        f"POST /api/job/{JOB_ID}/webhooks/{JOB_ID}-{number}-job-completed/replay" for number in numbers
    ]


@pytest.mark.parametrize(
    ("arguments", "part"), [(["nothing"], "no event has"), (["completed"], "2 events have"), (["x", "--all"], "--all")]
)
def test_webhooks_are_named_unmistakably(gateway: ScriptedPartner, arguments: list[str], part: str) -> None:
    gateway.script = [Reply(200, answered(completed(webhooks=[webhook(5, "delivered"), webhook(6, "given_up")])))]
    result = run(gateway, "webhooks", "replay", JOB_ID, *arguments)
    assert part in result.stderr
    assert result.exit_code == 2
