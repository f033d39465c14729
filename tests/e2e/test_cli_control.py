"""Reviewing, mending, cancelling and ordering by the dozen, from the terminal, against `up` as a process of its own."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_cli import CLIP_FRAMES, Cli, Embedded, cli, embedded, installed, own_place
from tests.support.media import watch

__all__ = ["cli", "embedded", "own_place"]  # fixtures


def test_a_film_is_reviewed_mended_approved_and_saved(cli: Cli, embedded: Embedded, tmp_path: Path) -> None:
    wishes = ("--review", "--record", "recSANDBOX0000003", "--transition", "fade:0.2", "--meta", "campaign=spring")
    job_id = cli.json("submit", "a red boat", "a harbour", *wishes)["jobId"]
    with installed("watch", job_id, "--until", "review", "--url", embedded.url) as command:
        told, complaints = command.communicate(timeout=60)
    assert (command.returncode, complaints) == (0, "")
    assert f"approve {job_id}" in told
    assert told.count("/media/") == 2, "there is a link to each clip"
    assert cli("regenerate", job_id, "2", "--prompt", "a storm").exit_code == 0
    waiting = cli.json("watch", job_id, "--until", "review")
    assert (waiting["status"], waiting["clips"][1]["prompt"]) == ("review", "a storm")
    done = cli("approve", job_id, "-o", "film.mp4")
    assert done.exit_code == 0, done.stderr
    assert len(watch(tmp_path / "film.mp4").luma) == 2 * CLIP_FRAMES - 6
    job = cli.json("show", job_id)
    assert (job["metadata"], bool(job["attachmentId"])) == ({"campaign": "spring"}, True)


def test_a_failed_film_goes_on_and_an_unwanted_one_is_cancelled(cli: Cli) -> None:
    failed = cli("submit", "a fish [twin:fail=content]", "a bird", "--watch")
    job_id = re.findall(r"job_\w+", failed.stderr)[0]
    assert cli("retry", job_id).exit_code == 0
    assert cli("watch", job_id).exit_code == 1, "the same prompt fails again"
    mended = cli("regenerate", job_id, "1", "-p", "a whale", "--watch")
    assert mended.exit_code == 0, mended.stderr
    assert "completed in" in mended.stdout

    slow = cli.json("submit", "slow [twin:task=slow:60000]")["jobId"]
    assert f"{slow} is cancelled" in cli("cancel", slow).stdout
    assert cli("cancel", slow).exit_code == 0, "cancelling is safe to repeat"
    assert cli("watch", slow).exit_code == 1
    refused = cli("retry", slow)
    assert (refused.exit_code, "sora-stitcher show JOB" in refused.stderr) == (4, True)


def test_a_file_of_films_is_ordered_once_however_often_it_is_sent(cli: Cli, tmp_path: Path) -> None:
    films: list[Any] = [{"clips": [{"prompt": f"film {number}"}]} for number in range(5)]
    films[3]["clips"][0]["prompt"] = " "
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(film) + "\n" for film in films))
    checked = cli("submit", "--file", "jobs.jsonl", "--dry-run")
    assert (checked.exit_code, "4 films would be accepted" in checked.stdout) == (4, True)
    first = cli("submit", "--file", "jobs.jsonl", "--idempotency-key", "mine", "--json")
    assert first.exit_code == 4
    summary = json.loads(first.stdout)
    assert (summary["accepted"], summary["refused"], summary["items"][3]["line"]) == (4, 1, 4)

    films[3]["clips"][0]["prompt"] = "mended"
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(film) + "\n" for film in films))
    second = cli("submit", "--file", "jobs.jsonl", "--idempotency-key", "mine", "--json", "--watch")
    assert second.exit_code == 0, second.stderr
    again = json.loads(second.stdout)
    assert (again["accepted"], again["completed"]) == (5, 5)
    known = [item["jobId"] for item in summary["items"] if "jobId" in item]
    assert [item["jobId"] for item in again["items"] if item["line"] != 4] == known, "nothing is made twice"


def test_an_order_is_checked_and_what_was_used_is_told(cli: Cli) -> None:
    estimate = cli.json("submit", "one", "two", "--dry-run")
    assert (estimate["clips"], estimate["credits"]["max"] > 0) == (2, True)
    before = cli.json("usage", "--days", "1")["total"]["clips"]
    assert cli("submit", "one", "two", "--watch").exit_code == 0
    assert cli.json("usage", "--days", "1")["total"]["clips"] == before + 2
    assert "CREDITS" in cli("usage").stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["submit", "x", "--transition", "nonsense"], "is not a known transition"),
        (["submit", "x", "--model", "nonsense"], "is not a known model"),
        (["submit", "x", "--music", "http://169.254.169.254/latest"], "audio.soundtrack.url"),
        (["approve", "job_unknown"], "sora-stitcher jobs"),
        (["webhooks", "list", "job_unknown"], "Job not found"),
    ],
)
def test_what_the_api_refuses_is_told_with_what_to_do(cli: Cli, arguments: list[str], part: str) -> None:
    done = cli(*arguments)
    assert (done.exit_code, done.stdout) == (4, "")
    assert part in done.stderr


def test_a_shell_completes_the_ids_of_jobs(cli: Cli, embedded: Embedded) -> None:
    job_id = cli.json("submit", "a boat")["jobId"]
    asked = {"_SORA_STITCHER_COMPLETE": "complete_bash", "COMP_WORDS": f"sora-stitcher watch {job_id[:20]}"}
    with installed(COMP_CWORD="2", SORA_STITCHER_URL=embedded.url, **asked) as shell:
        told, complaints = shell.communicate(timeout=30)
    assert job_id in told.split(), complaints
    cli("watch", job_id)
