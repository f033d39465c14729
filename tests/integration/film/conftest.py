from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.media import Clip, make_clip

ClipMaker = Callable[[Clip], Path]


@pytest.fixture(scope="session")
def clip_of(tmp_path_factory: pytest.TempPathFactory) -> ClipMaker:
    """Make a clip once for the whole run, however many tests ask for it."""
    folder = tmp_path_factory.mktemp("clips")
    made: dict[Clip, Path] = {}

    def make(clip: Clip) -> Path:
        if clip not in made:
            made[clip] = make_clip(folder / f"clip-{len(made)}{clip.suffix}", clip)
        return made[clip]

    return make
