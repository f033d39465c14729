"""MoviePy's way, by the interpreter of its own environment: ``moviepy_join.py OUTPUT FADE_S PRESET CRF CLIP...``."""

import sys

from moviepy import CompositeVideoClip, VideoFileClip, concatenate_videoclips, vfx


def main() -> None:
    output, fade_s, preset, crf, *paths = sys.argv[1:]
    fade = float(fade_s)
    clips = [VideoFileClip(path) for path in paths]
    if fade:
        at = 0.0
        placed = []
        for number, clip in enumerate(clips):
            moved = clip.with_start(at)
            placed.append(moved.with_effects([vfx.CrossFadeIn(fade)]) if number else moved)
            at += clip.duration - fade
        film = CompositeVideoClip(placed)
    else:
        film = concatenate_videoclips(clips)
    film.write_videofile(
        output, codec="libx264", preset=preset, audio_codec="aac", ffmpeg_params=["-crf", crf], logger=None
    )


if __name__ == "__main__":
    main()
