"""What a user would write instead: fetch the clips, join them. Run as `beside_script.py HOW OUTPUT URL...`.

`HOW` is `moviepy`, or the path of an ffmpeg, whose concat filter then joins. The standard library and MoviePy only: it
runs in MoviePy's own environment.
"""

import subprocess
import sys
import urllib.request
from pathlib import Path

SETTINGS = ("-c:v", "libx264", "-preset", "medium", "-crf", "20", "-c:a", "aac", "-movflags", "+faststart")


def main() -> None:
    how, output, *urls = sys.argv[1:]
    clips = []
    for number, url in enumerate(urls):
        path = Path(output).with_name(f"clip-{number}.mp4")
        urllib.request.urlretrieve(url, path)
        clips.append(str(path))
    if how == "moviepy":
        from moviepy import VideoFileClip, concatenate_videoclips

        film = concatenate_videoclips([VideoFileClip(clip) for clip in clips])
        film.write_videofile(
            output, codec="libx264", preset="medium", audio_codec="aac", ffmpeg_params=["-crf", "20"], logger=None
        )
        return
    inputs = [word for clip in clips for word in ("-i", clip)]
    pads = "".join(f"[{number}:v][{number}:a]" for number in range(len(clips)))
    graph = f"{pads}concat=n={len(clips)}:v=1:a=1[v][a]"
    command = [how, "-nostdin", "-v", "error", "-y", *inputs, "-filter_complex", graph, "-map", "[v]", "-map", "[a]"]
    subprocess.run([*command, *SETTINGS, output], check=True)


if __name__ == "__main__":
    main()
