"""Real MP4 clips with a bar code in every frame and a tone that names the clip, and the means to read both.

In a test::

    film = read_film(path)                  # .marks: one Mark(clip, frame, take) or None a frame; .times_s, .sound
    assert film.marks == [Mark(clip_number("A red fishing boat"), n) for n in range(60)]
    assert measure_tone_hz(film.sound, film.rate_hz) == pytest.approx(tone_hz(film.marks[0].clip), abs=2)
"""

from sandbox.clips.film import Film, read_film
from sandbox.clips.marks import (
    CLICK_AT_S,
    Mark,
    find_clicks_s,
    measure_tone_hz,
    paint_mark,
    read_mark,
    tone_hz,
)
from sandbox.clips.render import ClipError, ClipSpec, clip_number, frame_size, render_clip
from sandbox.clips.studio import ClipStudio, open_studio

__all__ = [
    "CLICK_AT_S",
    "ClipError",
    "ClipSpec",
    "ClipStudio",
    "Film",
    "Mark",
    "clip_number",
    "find_clicks_s",
    "frame_size",
    "measure_tone_hz",
    "open_studio",
    "paint_mark",
    "read_film",
    "read_mark",
    "render_clip",
    "tone_hz",
]
