import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.scratch import scratch_directory


@pytest.fixture(autouse=True)
def own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_scratch_directory_is_gone_when_its_context_ends() -> None:
    with scratch_directory("clips") as directory:
        (directory / "clip.mp4").write_bytes(b"x")
    assert not directory.exists()


def test_what_a_killed_twin_left_is_removed_by_the_next_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    orphan, used, foreign = (
        tmp_path / name for name in (f"twin-clips-{ended.pid}-a", f"twin-clips-{os.getpid()}-b", "twin-peaks")
    )
    for directory in (orphan, used, foreign):
        directory.mkdir()
        (directory / "file").write_bytes(b"x")
    with scratch_directory("airtable"):
        assert [directory.exists() for directory in (orphan, used, foreign)] == [False, True, True]
