"""Films in a real Chromium: they play to their end, and every seek lands on the right frame."""

from __future__ import annotations

import base64
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page

from shared.film import Film, Transition, Wishes, stitch
from tests.support.chromium import chromium
from tests.support.media import Clip, make_clip, read_mark

SIZE = (192, 108)
OVERLAP, LENGTH = 9, 48
SEEKS = 8
_OPEN = """async (data) => {
    const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
    const video = document.body.appendChild(document.createElement('video'));
    video.muted = true;
    window.film = video;
    await new Promise((resolve, reject) => {
        video.onloadeddata = resolve;
        video.onerror = () => reject(new Error(video.error.message));
        video.src = URL.createObjectURL(new Blob([bytes], {type: 'video/mp4'}));
    });
    return video.duration;
}"""
_SEEK = """async ([at, width, height]) => {
    const video = window.film;
    // `seeked` may come before the frame does, on a busy machine; and no frame comes if it is the one that is shown.
    const shown = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    await new Promise((resolve, reject) => {
        video.onseeked = resolve;
        video.onerror = () => reject(new Error(video.error.message));
        video.currentTime = at;
    });
    await Promise.race([shown, new Promise((resolve) => setTimeout(resolve, 1000))]);
    const context = new OffscreenCanvas(width, height).getContext('2d');
    context.drawImage(video, 0, 0, width, height);
    const pixels = context.getImageData(0, 0, width, height).data;
    return Array.from({length: width * height}, (_, index) => pixels[4 * index + 1]);
}"""
_PLAY = """async () => {
    const video = window.film, times = [];
    video.currentTime = 0;
    video.playbackRate = 4;
    const note = (_now, frame) => { times.push(frame.mediaTime); video.requestVideoFrameCallback(note); };
    video.requestVideoFrameCallback(note);
    await new Promise((resolve, reject) => {
        video.onended = resolve;
        video.onerror = () => reject(new Error(video.error.message));
        video.play().catch(reject);
    });
    return times;
}"""


@pytest.fixture
async def player() -> AsyncIterator[Page]:
    """A page to play films in."""
    async with chromium() as browser:
        yield await browser.new_page()


def _wanted(clips: int, overlap: int) -> list[tuple[int, int] | None]:
    """The mark of every frame; ``None`` inside transitions."""
    marks: list[tuple[int, int] | None] = []
    for number in range(1, clips + 1):
        own: list[tuple[int, int] | None] = [(number, frame) for frame in range(LENGTH)]
        if number > 1 and overlap:
            marks[-overlap:] = [None] * overlap
            own = own[overlap:]
        marks += own
    return marks


async def _check(player: Page, film: Film, wanted: Sequence[tuple[int, int] | None]) -> None:
    duration_s = await player.evaluate(_OPEN, base64.b64encode(film.path.read_bytes()).decode())
    assert duration_s == pytest.approx(film.duration_s, abs=0.03)
    assert len(wanted) == film.frames
    marked = [frame for frame, mark in enumerate(wanted) if mark is not None]
    for frame in random.Random(film.frames).sample(marked, SEEKS):
        pixels = await player.evaluate(_SEEK, [(frame + 0.5) / 30, *SIZE])
        assert read_mark(np.array(pixels, np.uint8).reshape(SIZE[1], SIZE[0])) == wanted[frame], frame
    times_s = await player.evaluate(_PLAY)
    # A busy machine may present few frames; those it presents are in order, up to the end of the film.
    assert times_s == sorted(times_s)
    assert times_s[-1] <= film.duration_s


async def test_films_play_to_their_end_and_every_seek_lands_on_its_frame(player: Page, tmp_path: Path) -> None:
    for name, gop, overlap in (("cuts", 250, 0), ("grafts", 250, OVERLAP), ("key frames", 12, OVERLAP)):
        clips = [
            make_clip(tmp_path / f"{gop}-{number}.mp4", Clip(number=number, frames=LENGTH, gop=gop, size=SIZE))
            for number in (1, 2, 3)
        ]
        wishes = Wishes(transition=Transition("fade", overlap / 30) if overlap else None)
        film = await stitch(clips, tmp_path / f"{name}.mp4", wishes)
        assert film.fallbacks == ()
        assert any(segment.graft for segment in film.plan.segments) is (name == "grafts")

        await _check(player, film, _wanted(3, overlap))
