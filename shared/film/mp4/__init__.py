"""MP4 (ISO/IEC 14496-12) sample tables: read them, and write films by rewriting them.

``boxes`` walks boxes, ``reader`` turns a file into sample tables, ``writer`` turns sample tables into a file whose
``moov`` comes first. Nothing here decodes a picture.
"""

from .boxes import Mp4Error, Mp4Fragmented, Mp4Truncated
from .reader import Edit, Movie, Track, read_movie
from .writer import OutputTrack, write_movie

__all__ = [
    "Edit",
    "Movie",
    "Mp4Error",
    "Mp4Fragmented",
    "Mp4Truncated",
    "OutputTrack",
    "Track",
    "read_movie",
    "write_movie",
]
