"""What a file is, told by its first bytes. Pure.

Only containers that hold video pass; whether it decodes is ffmpeg's to find out, later and locked down.
"""

HEAD_BYTES = 192
"""How much of a file is enough to tell: an MPEG transport stream repeats its mark after 188 bytes."""

_TS_PACKET_BYTES = 188
_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof"})
"""First boxes of MP4 and QuickTime files."""

_VIDEO_MAGIC = (
    b"\x1aE\xdf\xa3",  # EBML: Matroska, WebM
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"FLV\x01",
    b"OggS",
    b"0&\xb2u\x8ef\xcf\x11",  # ASF, WMV
)

_OTHERS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"ID3", "an audio file"),
    (b"#EXTM3U", "a playlist"),
)


def is_video(head: bytes) -> bool:
    """Whether a file that starts like this is a video container.

    Args:
        head: its first `HEAD_BYTES`, or all of a shorter file.
    """
    if head[4:8] in _BOXES or head.startswith(_VIDEO_MAGIC):
        return True
    if head.startswith(b"RIFF"):
        return head[8:12] == b"AVI "
    return head[:1] == b"G" and len(head) > _TS_PACKET_BYTES and head[_TS_PACKET_BYTES] == ord("G")


def describe(head: bytes) -> str:
    """Say for a person what a file is that is not a video."""
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        return "an XML document" if text.startswith(b"<?xml") else "an HTML page"
    if text.startswith((b"{", b"[")):
        return "JSON"
    return "something unknown"
