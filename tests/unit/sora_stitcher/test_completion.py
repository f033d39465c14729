"""What a shell offers while one types."""

import pytest
from typer.testing import CliRunner

from sora_stitcher.cli import app
from tests.support.scripted_partner import Reply, ScriptedPartner
from tests.unit.sora_stitcher.answers import BEGAN, JOB_ID, refused


def offered(words: str, **env: str) -> str:
    """Return what bash would be offered after these words."""
    asked = {"_SORA_STITCHER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    return CliRunner(env=asked | env).invoke(app, [], prog_name="sora-stitcher").stdout.strip()


def test_commands_and_options_are_offered() -> None:
    assert set(offered("sora-stitcher ").split()) >= {"submit", "regenerate", "webhooks", "mcp"}
    assert set(offered("sora-stitcher webhooks ").split()) == {"list", "replay"}
    assert set(offered("sora-stitcher submit --tr").split()) == {"--transition"}


def test_jobs_are_offered_by_their_ids(gateway: ScriptedPartner) -> None:
    summary = {"jobId": JOB_ID, "status": "failed", "createdAt": BEGAN, "updatedAt": BEGAN, "title": "a boat"}
    gateway.script = [Reply(200, {"success": True, "data": [summary], "nextCursor": None})]
    for command in ("watch", "retry", "webhooks list"):
        assert offered(f"sora-stitcher {command} job_", SORA_STITCHER_URL=gateway.url).split() == [JOB_ID]
    assert offered("sora-stitcher watch nothing_like_it", SORA_STITCHER_URL=gateway.url) == ""


def test_nothing_is_offered_and_nothing_said_where_nobody_answers(gateway: ScriptedPartner, free_port: int) -> None:
    gateway.script = [Reply(401, refused("unauthorized", "an API key is required"))]
    assert offered("sora-stitcher watch job_", SORA_STITCHER_URL=gateway.url) == ""
    assert offered("sora-stitcher watch job_", SORA_STITCHER_URL=f"http://127.0.0.1:{free_port}") == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_shown(shell: str) -> None:
    asked = {"_SORA_STITCHER_COMPLETE": f"source_{shell}"}
    assert "sora-stitcher" in CliRunner(env=asked).invoke(app, [], prog_name="sora-stitcher").stdout
