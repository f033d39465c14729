"""What was asked for reaches the film engine in its own words."""

from pathlib import Path

import pytest

from services.stitcher.wishes import engine_wishes
from shared.job.create import ClipWish, JobWish, new_job
from shared.job.wishes import FilmWishes, SoundtrackWish


@pytest.mark.parametrize(("volume", "gain_db"), [(0.0, -100.0), (1e-300, -100.0), (1.0, 0.0), (4.0, 12.04)])
def test_every_volume_that_may_be_asked_for_is_one_of_the_engines(volume: float, gain_db: float) -> None:
    film = FilmWishes(soundtrack=SoundtrackWish(volume=volume))
    job = new_job("job_1_a", ["task"], JobWish(clips=(ClipWish("a boat"),), film=film), 1)
    track = engine_wishes(job, job.shots, music=Path("song.mp3"), logo=None).soundtrack
    assert track is not None
    assert track.gain_db == pytest.approx(gain_db, abs=0.01)
