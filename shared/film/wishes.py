"""What is wished for of a film. Pure values, which refuse what cannot be made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from .errors import InvalidWishes

Fit = Literal["contain", "contain-blur", "cover"]
Codec = Literal["h264", "hevc", "av1"]
AudioMode = Literal["splice", "exact", "none"]

_XFADE = """
fade wipeleft wiperight wipeup wipedown slideleft slideright slideup slidedown circlecrop rectcrop distance
fadeblack fadewhite radial smoothleft smoothright smoothup smoothdown circleopen circleclose vertopen vertclose
horzopen horzclose dissolve pixelize diagtl diagtr diagbl diagbr hlslice hrslice vuslice vdslice hblur fadegrays
wipetl wipetr wipebl wipebr squeezeh squeezev zoomin fadefast fadeslow hlwind hrwind vuwind vdwind coverleft
coverright coverup coverdown revealleft revealright revealup revealdown
"""
#: Every named transition of FFmpeg's xfade filter (``ffmpeg -h filter=xfade``, 9.0); ``custom`` takes an
#: expression and is left out on purpose.
TRANSITIONS: frozenset[str] = frozenset(_XFADE.split())

#: x264's and x265's speed presets, and which of SVT-AV1's takes about as long.
SVT_PRESETS = {"ultrafast": 13, "superfast": 12, "veryfast": 11, "faster": 10, "fast": 9, "medium": 8, "slow": 6,
               "slower": 4, "veryslow": 2, "placebo": 0}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Transition:
    """How one clip becomes the next: an xfade kind over ``duration_s`` seconds of both clips."""

    kind: str = "fade"
    duration_s: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in TRANSITIONS:
            raise InvalidWishes(f"unknown transition {self.kind!r}; known: cut, {', '.join(sorted(TRANSITIONS))}")
        if not (math.isfinite(self.duration_s) and 0 < self.duration_s <= 30):
            raise InvalidWishes(f"a transition lasts more than 0 and at most 30 s, not {self.duration_s}")

    @classmethod
    def parse(cls, text: str) -> Transition | None:
        """Read ``cut``, ``fade`` or ``fade:0.5``; a cut is ``None``.

        Raises:
            InvalidWishes: The kind or the duration is not understood.
        """
        kind, _, duration = text.strip().lower().partition(":")
        if kind in {"cut", "none", ""}:
            return None
        try:
            return cls(kind, float(duration)) if duration else cls(kind)
        except ValueError:
            raise InvalidWishes(f"transition {text!r}: write it as kind:seconds, for example fade:0.5") from None


#: Least and most of what a soundtrack is given, in dB and in seconds.
MUSIC_GAINS_DB = (-100.0, 40.0)
MUSIC_DUCKS_DB = (0.0, 40.0)
MUSIC_FADES_S = (0.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Soundtrack:
    """Music under the whole film.

    Attributes:
        path: A local audio file (mp3, wav, m4a, flac, ogg).
        gain_db: Level of the music relative to itself; -100 is silence.
        loop: Repeat the music when it is shorter than the film.
        duck_db: How far the music goes down while the clips' own sound is present; 0 disables ducking.
        fade_in_s: Fade at the start of the film.
        fade_out_s: Fade before the end of the film.
    """

    path: Path
    gain_db: float = -12.0
    loop: bool = True
    duck_db: float = 0.0
    fade_in_s: float = 0.5
    fade_out_s: float = 1.5

    def __post_init__(self) -> None:
        for how, value, (least, most) in (
            ("becomes louder by a number of dB", self.gain_db, MUSIC_GAINS_DB),
            ("goes down by a positive number of dB under other sound", self.duck_db, MUSIC_DUCKS_DB),
            ("fades in over seconds", self.fade_in_s, MUSIC_FADES_S),
            ("fades out over seconds", self.fade_out_s, MUSIC_FADES_S),
        ):
            if not least <= value <= most:  # so that "not a number" is refused, too
                raise InvalidWishes(f"music {how}: {least:g} to {most:g}, not {value}")


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture laid over every frame; this makes every frame of the film an encoded one.

    Attributes:
        path: A local PNG, JPEG or WebP.
        corner: Which corner it sits in.
        width_share: Its width as a share of the film's width.
        opacity: 0 invisible, 1 solid.
        margin_share: Its distance from both edges as a share of the film's width.
    """

    path: Path
    corner: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "bottom-right"
    width_share: float = 0.12
    opacity: float = 0.85
    margin_share: float = 0.02


#: A film's clock ticks in such fractions, and has 32 bits to count them.
MOST_OF_A_RATE = 1_000_000


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the film should be. The defaults join the clips as they are, with hard cuts.

    Attributes:
        size: ``(width, height)`` in pixels, even numbers; ``None`` takes the majority's.
        fps: Frame rate; ``None`` takes the majority's.
        fit: How a clip of another shape is placed: inside with bars, inside over a blurred copy, or cropped.
        codec: Codec of the film.
        audio: The clips' sound: ``splice`` copies AAC packets and re-encodes only around joints (at most half an AAC
            frame, 10.7 ms at 48 kHz, off its picture, never accumulating); ``exact`` re-encodes it and places it to
            the sample; ``none`` leaves it out (only a soundtrack is heard then).
        transition: The transition of every joint; ``None`` is a hard cut.
        transitions: One entry per joint, overriding ``transition``; empty means "all the same".
        loudness_lufs: Integrated loudness the film's sound is brought to by one gain (EBU R 128).
        soundtrack: Music under the film.
        logo: A picture over the film.
        poster_at_s: Where to take the poster from; ``None`` makes none.
        poster: Where to write the poster; defaults to the film's path with the suffix ``.jpg``.
        preset: x264/x265 speed preset, also for AV1; there, SVT-AV1's number is understood, too.
        crf: Constant quality of whatever has to be encoded.
    """

    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    fit: Fit = "contain"
    codec: Codec = "h264"
    audio: AudioMode = "splice"
    transition: Transition | None = None
    transitions: tuple[Transition | None, ...] = ()
    loudness_lufs: float | None = None
    soundtrack: Soundtrack | None = None
    logo: Logo | None = None
    poster_at_s: float | None = None
    poster: Path | None = None
    preset: str = "medium"
    crf: int = 18

    def __post_init__(self) -> None:
        if self.size is not None and (min(self.size) < 16 or self.size[0] % 2 or self.size[1] % 2):
            raise InvalidWishes(f"size must be even numbers of at least 16 pixels, not {self.size}")
        if self.fps is not None and not 1 <= self.fps <= 240:
            raise InvalidWishes(f"fps must be between 1 and 240, not {self.fps}")
        if self.fps is not None and max(self.fps.as_integer_ratio()) > MOST_OF_A_RATE:
            raise InvalidWishes(f"fps must be a fraction of numbers up to {MOST_OF_A_RATE}, not {self.fps}")
        if self.fit not in {"contain", "contain-blur", "cover"}:
            raise InvalidWishes(f"unknown fit {self.fit!r}; known: contain, contain-blur, cover")
        if self.codec not in {"h264", "hevc", "av1"}:
            raise InvalidWishes(f"unknown codec {self.codec!r}; known: h264, hevc, av1")
        if self.loudness_lufs is not None and not -70 <= self.loudness_lufs <= -5:
            raise InvalidWishes(f"loudness must be between -70 and -5 LUFS, not {self.loudness_lufs}")
        if self.poster_at_s is not None and not 0 <= self.poster_at_s < math.inf:
            raise InvalidWishes(f"poster_at_s must be a number of seconds from 0, not {self.poster_at_s}")
        if self.crf not in range(52):
            raise InvalidWishes(f"crf must be between 0 and 51, not {self.crf}")
        is_number = self.codec == "av1" and self.preset.isascii() and self.preset.isdigit() and int(self.preset) <= 13
        if self.preset not in SVT_PRESETS and not is_number:
            numbers = ", or 0 to 13" if self.codec == "av1" else ""
            raise InvalidWishes(f"unknown preset {self.preset!r}; known: {', '.join(SVT_PRESETS)}{numbers}")

    def poster_beside(self, film: Path) -> Path | None:
        """Return where the poster of a film goes, if one is wished for."""
        if self.poster_at_s is None:
            return None
        return self.poster or film.with_suffix(".jpg")

    def at_joint(self, joint: int, joints: int) -> Transition | None:
        """Return the transition wished for at ``joint`` (0 is between the first two clips).

        Raises:
            InvalidWishes: ``transitions`` has another length than there are joints.
        """
        if not self.transitions:
            return self.transition
        if len(self.transitions) != joints:
            raise InvalidWishes(f"{len(self.transitions)} transitions were given for {joints} joints")
        return self.transitions[joint]
