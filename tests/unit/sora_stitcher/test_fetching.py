"""Clips behind URLs, as `stitch` takes them."""

from pathlib import Path
from threading import Event

import pytest

from sora_stitcher.cli.errors import CommandError
from sora_stitcher.cli.fetching import as_files
from tests.support.media import Clip, make_clip
from tests.support.scripted_partner import Reply, ScriptedPartner

VIDEO = {"Content-Type": "video/mp4"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", Clip(1, frames=12))


async def test_clips_are_fetched_beside_each_other_and_it_is_told_how_far_they_are(
    gateway: ScriptedPartner, clip: Path
) -> None:
    both_begun, told = Event(), list[tuple[str, float, str]]()
    gateway.says(Reply(200, clip.read_bytes(), VIDEO, held_by=both_begun), Reply(200, clip.read_bytes(), VIDEO))

    def tell(what: str, percent: float, note: str) -> None:
        told.append((what, percent, note))
        if what == "fetching 2 of 2":
            both_begun.set()

    async with as_files([f"{gateway.url}/1.mp4", str(clip), f"{gateway.url}/2.mp4"], tell) as files:
        assert [file.read_bytes() for file in files] == [clip.read_bytes()] * 3
        assert files[1] == clip

    assert [what for what, percent, _ in told if percent == 0][:2] == ["fetching 1 of 2", "fetching 2 of 2"]
    assert told[-1][:2] == ("fetching 2 of 2", 100.0)
    assert told[-1][2] != ""
    assert not any(file.exists() for file in (files[0], files[2]))


async def test_one_that_cannot_be_fetched_ends_the_others_and_leaves_nothing(
    gateway: ScriptedPartner, clip: Path
) -> None:
    never = Event()
    gateway.says(Reply(404, b"", {}), Reply(200, clip.read_bytes(), VIDEO, held_by=never))
    urls = [f"{gateway.url}/{number}.mp4" for number in (1, 2)]

    with pytest.raises(CommandError, match="404"):
        async with as_files(urls, lambda *_: None):
            raise AssertionError("there are no files to go on with")
    never.set()
