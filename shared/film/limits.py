"""Bounds on what the engine will accept and spend. Every number can be changed by the caller."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on inputs and resources.

    Attributes:
        clips: Most inputs of one film.
        clip_bytes: Largest input file.
        clip_duration_s: Longest input.
        film_duration_s: Longest film.
        pixels: Most pixels of one picture (width times height).
        fps: Highest frame rate accepted as real.
        streams: Most streams of one input.
        moov_bytes: Largest MP4 header read into memory.
        samples: Most packets of one track; of sound that is not compressed, most chunks.
        output_bytes: Largest file that ffmpeg or the engine may write.
        memory_bytes: Address space of each ffmpeg process.
        cpu_s: CPU seconds of each ffmpeg process.
        step_timeout_s: Wall-clock time of each ffmpeg process.
        timeout_s: Wall-clock time of a whole film.
        inspect_timeout_s: Wall-clock time of looking at one clip.
        jobs: Encoders that a film has at a time; 0 means that all films of a process share as many as there are cores.
        niceness: By how much the priority of each ffmpeg process is lower than ours (``nice``).
    """

    clips: int = 200
    clip_bytes: int = 2 << 30
    clip_duration_s: float = 600.0
    film_duration_s: float = 3600.0
    pixels: int = 4096 * 2304
    fps: float = 240.0
    streams: int = 16
    moov_bytes: int = 64 << 20
    samples: int = 2_000_000
    output_bytes: int = 8 << 30
    memory_bytes: int = 4 << 30
    cpu_s: int = 3600
    step_timeout_s: float = 1800.0
    timeout_s: float = 3600.0
    inspect_timeout_s: float = 30.0
    jobs: int = 0
    niceness: int = 0
