"""What a twin's clip looks like: a calm gradient, the prompt as large as it fits, a counting frame number.

The background (gradient, prompt, captions) is drawn once with Pillow and converted to yuv420p once. For each frame
only luma is repainted in three places: the frame counter, the progress line and the bar code. That keeps two seconds
of 720p within a few tenths of a CPU second, nearly all of it x264's.
"""

from __future__ import annotations

import bisect
import colorsys
import functools
import math
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sandbox.clips.marks import BOTTOM, LEFT, RIGHT, TOP, Mark, Pixels, paint_mark

_COUNTER_GLYPHS = "0123456789"
_FALLBACK_FONTS = ("NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial Unicode.ttf")
_NO_GLYPH = "\ue000"  # a private-use character: every font draws its "missing" box for it
#: Typographic characters that Pillow's font lacks and their plain forms.
_PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "…": "...", "×": "x"})  # noqa: RUF001
_MAX_SHOWN_CHARACTERS = 600

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that the picture of one clip depends on."""

    prompt: str
    caption: str
    clip: int
    take: int
    width: int
    height: int
    fps: int
    frames: int


@functools.lru_cache(maxsize=64)
def _font(size: int, name: str | None = None) -> Font:
    return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)


@functools.cache
def _fallback_font() -> str | None:
    """Return the name of an installed font that covers more than ASCII, if there is one."""
    for name in _FALLBACK_FONTS:
        try:
            ImageFont.truetype(name, 16)
        except OSError:
            continue  # not installed here
        return name
    return None


def _built_in_font_covers(text: str) -> bool:
    """Whether Pillow's own font (little more than ASCII) has a glyph for every character."""
    font = _font(16)
    missing = bytes(font.getmask(_NO_GLYPH))
    return all(c.isspace() or bytes(font.getmask(c)) != missing for c in set(text))


def _legible(text: str) -> tuple[str, str | None]:
    """Return the text as it can be shown here, and the font to show it in (None = Pillow's own)."""
    plain = text.translate(_PLAIN)
    if _built_in_font_covers(plain):
        return plain, None
    if (name := _fallback_font()) is not None:
        return text, name
    decomposed = unicodedata.normalize("NFKD", plain)
    return "".join(c for c in decomposed if not unicodedata.combining(c)), None


def _fitting_length(word: str, font: Font, width: int) -> int:
    """Return how many characters of a word fit, at least one."""
    lengths = range(1, len(word))
    return max(1, bisect.bisect_right(lengths, width, key=lambda count: math.ceil(font.getlength(word[:count]))))


def _wrap(text: str, font: Font, width: int) -> list[str]:
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for whole in paragraph.split():
            word, candidate = whole, f"{line} {whole}".strip()
            if font.getlength(candidate) <= width:
                line = candidate
                continue
            if line:
                lines.append(line)
            while font.getlength(word) > width and len(word) > 1:  # a word wider than the picture
                fits = _fitting_length(word, font, width)
                lines.append(word[:fits])
                word = word[fits:]
            line = word
        lines.append(line)
    return [line for line in lines if line]


def _fit(text: str, width: int, height: int, largest: int) -> tuple[Font, list[str], int]:
    """Return the largest font with which the text fits, its lines, and the line height in pixels."""
    text, name = _legible(text)
    size = largest
    while True:
        font = _font(size, name)
        lines = _wrap(text, font, width)
        step = round(size * 1.28)
        room = max(1, height // step)
        if len(lines) <= room:
            return font, lines, step
        if size <= max(9, largest // 4):
            return font, [*lines[: room - 1], lines[room - 1].rstrip(" .,;") + " ..."], step
        size = max(9, round(size * 0.88))


def _gradient(picture: Picture) -> Image.Image:
    """Return a diagonal blend of two neighbouring hues; each clip has its own, each take shifts it a little."""
    hue = (picture.clip * 0.61803398875 + (picture.take - 1) * 0.09) % 1.0
    start = np.array(colorsys.hsv_to_rgb(hue, 0.62, 0.72), dtype=np.float32) * 255
    end = np.array(colorsys.hsv_to_rgb((hue + 0.14) % 1.0, 0.78, 0.34), dtype=np.float32) * 255
    x = np.linspace(0, 1, picture.width, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, picture.height, dtype=np.float32)[:, None]
    diagonal = np.clip(0.45 * x + 0.55 * y, 0, 1)
    glow = 0.22 * np.exp(-(((x - 0.78) ** 2) / 0.10 + ((y - 0.16) ** 2) / 0.16))
    pixels = start + (end - start) * diagonal[:, :, None] + (255 - start) * glow[:, :, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")


class _Layout:
    """Positions in pixels, derived from the size; even where chroma is touched."""

    def __init__(self, width: int, height: int) -> None:
        self.unit = min(width, height)
        self.margin = round(LEFT * width)
        self.right = round(RIGHT * width)
        self.caption_size = max(9, round(self.unit * 0.036))
        self.counter_size = max(12, round(self.unit * 0.1))
        self.strip_top = round(TOP * height)
        self.strip_bottom = round(BOTTOM * height)
        self.line_top = self.strip_top - max(3, round(self.unit * 0.018))
        self.line_bottom = self.line_top + max(1, round(self.unit * 0.006))
        self.counter_top = self.line_top - round(self.counter_size * 1.5)
        self.prompt_top = self.margin + round(self.caption_size * 2.2)
        self.prompt_bottom = self.counter_top - round(self.unit * 0.02)


def _draw_background(picture: Picture, layout: _Layout) -> Image.Image:
    image = _gradient(picture)
    draw = ImageDraw.Draw(image, "RGBA")
    small = _font(layout.caption_size)
    take = f"   take {picture.take}" if picture.take > 1 else ""
    draw.text((layout.margin, layout.margin), f"CLIP #{picture.clip:04X}{take}", font=small, fill=(255, 255, 255, 215))
    draw.text((layout.right, layout.margin), picture.caption, font=small, fill=(255, 255, 255, 150), anchor="ra")
    draw.text(
        (layout.margin, layout.counter_top + layout.counter_size),
        f"{picture.frames / picture.fps:g} s  ·  {picture.fps} fps  ·  {picture.width}x{picture.height}",
        font=small,
        fill=(255, 255, 255, 150),
        anchor="ls",
    )
    text = picture.prompt[:_MAX_SHOWN_CHARACTERS].strip() or "(no prompt)"
    height = layout.prompt_bottom - layout.prompt_top
    font, lines, step = _fit(text, layout.right - layout.margin, height, round(layout.unit * 0.105))
    top = layout.prompt_top + max(0, (height - step * len(lines)) // 2)
    shadow = max(1, round(layout.unit * 0.003))
    for number, line in enumerate(lines):
        y = top + number * step
        draw.text((layout.margin + shadow, y + shadow), line, font=font, fill=(0, 0, 0, 90))
        draw.text((layout.margin, y), line, font=font, fill=(255, 255, 255, 255))
    return image


def _to_planes(image: Image.Image) -> tuple[Pixels, Pixels]:
    """Convert RGB to limited-range BT.601 planes: luma, and the two chroma planes side by side as (2, h/2, w/2)."""
    rgb = np.asarray(image, dtype=np.float32)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    luma = 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255
    chroma = np.stack(
        [
            128 + (-37.797 * red - 74.203 * green + 112.0 * blue) / 255,
            128 + (112.0 * red - 93.786 * green - 18.214 * blue) / 255,
        ]
    )
    halved = chroma.reshape(2, luma.shape[0] // 2, 2, luma.shape[1] // 2, 2).mean(axis=(2, 4))
    return np.rint(luma).astype(np.uint8), np.rint(halved).astype(np.uint8)


def _glyphs(text: str, size: int) -> dict[str, NDArray[np.float64]]:
    """Return the coverage of each character in cells of one common size (0 = background, 1 = ink)."""
    font = _font(size)
    width = max(round(font.getlength(character)) for character in text) + 2
    cells = {}
    for character in text:
        cell = Image.new("L", (width, round(size * 1.3)))
        ImageDraw.Draw(cell).text((width / 2, 0), character, font=font, fill=255, anchor="ma")
        cells[character] = np.asarray(cell, dtype=np.float64) / 255
    return cells


def frame_painter(picture: Picture) -> Callable[[int], Pixels]:
    """Prepare a clip's picture.

    Args:
        picture: Width and height must be even.

    Returns:
        A function from frame index to one yuv420p frame as PyAV takes it: (height * 3/2) x width bytes. It paints
        into one buffer, so a frame must be used before the next is asked for.
    """
    layout = _Layout(picture.width, picture.height)
    luma, chroma = _to_planes(_draw_background(picture, layout))
    even = slice(layout.strip_top // 2, -(-layout.strip_bottom // 2)), slice(layout.margin // 2, layout.right // 2 + 1)
    chroma[:, even[0], even[1]] = 128
    buffer = np.concatenate([luma.reshape(-1), chroma.reshape(-1)])
    height, width = picture.height, picture.width
    canvas = buffer[: height * width].reshape(height, width)
    glyphs = _glyphs(_COUNTER_GLYPHS, layout.counter_size)
    cell_height, cell_width = next(iter(glyphs.values())).shape
    digits = max(4, len(str(picture.frames - 1)))
    left = layout.right - digits * cell_width
    under_counter = luma[layout.counter_top : layout.counter_top + cell_height, left : layout.right].astype(np.float32)
    line = slice(layout.line_top, layout.line_bottom)
    under_line = luma[line, layout.margin : layout.right].astype(np.float32)
    span = layout.right - layout.margin

    def paint(index: int) -> Pixels:
        ink = np.hstack([glyphs[digit] for digit in f"{index:0{digits}d}"])[: under_counter.shape[0]]
        canvas[layout.counter_top : layout.counter_top + cell_height, left : layout.right] = np.rint(
            under_counter + (235 - under_counter) * ink
        )
        played = round(span * (index + 1) / picture.frames)
        canvas[line, layout.margin : layout.right] = np.rint(under_line * 0.8 + 235 * 0.2)
        canvas[line, layout.margin : layout.margin + played] = 225
        paint_mark(canvas, Mark(clip=picture.clip, frame=index & 0xFFFF, take=picture.take))
        return buffer.reshape(height * 3 // 2, width)

    return paint
