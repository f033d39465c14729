"""Finding out what works on this machine and with these keys, and what to do about the rest."""

from sora_stitcher.doctor.findings import Finding, Mark
from sora_stitcher.doctor.rounds import examine

__all__ = ["Finding", "Mark", "examine"]
