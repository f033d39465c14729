"""What the doctor says: findings, each with what to do."""

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """How something stands."""

    OK = "ok"
    PROBLEM = "problem"
    """It does not work and has to be mended."""
    WARNING = "warning"
    """It works, but not as well as it might."""
    NONE = "not_configured"
    """It is not set up, or cannot be judged, and need not be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor.

    Attributes:
        what: what was looked at, and what was found. Never holds a secret.
        advice: what to do; empty if there is nothing to do.
    """

    mark: Mark
    what: str
    advice: str = ""


def ok(what: str) -> Finding:
    """All is well."""
    return Finding(Mark.OK, what)


def problem(what: str, advice: str) -> Finding:
    """It has to be mended."""
    return Finding(Mark.PROBLEM, what, advice)


def warning(what: str, advice: str) -> Finding:
    """It could be better."""
    return Finding(Mark.WARNING, what, advice)


def none(what: str, advice: str = "") -> Finding:
    """It is not set up, or cannot be judged."""
    return Finding(Mark.NONE, what, advice)
