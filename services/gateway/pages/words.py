"""States, times and sizes in words for people. Pure."""

from datetime import UTC, datetime

from shared.job.model import ClipStatus, JobStatus
from shared.job.webhook_model import WebhookState

STATUS_WORDS = {
    JobStatus.PENDING: "Waiting",
    JobStatus.GENERATING: "Making clips",
    JobStatus.REVIEW: "Needs approval",
    JobStatus.PROCESSING: "Preparing",
    JobStatus.STITCHING: "Joining",
    JobStatus.UPLOADING: "Delivering",
    JobStatus.COMPLETED: "Completed",
    JobStatus.FAILED: "Failed",
    JobStatus.CANCELLED: "Cancelled",
}
STATUS_TONES = {
    JobStatus.PENDING: "quiet",
    JobStatus.REVIEW: "ask",
    JobStatus.COMPLETED: "good",
    JobStatus.FAILED: "bad",
    JobStatus.CANCELLED: "quiet",
}
"""How a status is coloured; the others are `busy`. Colour never stands alone: the word is always there."""

CLIP_WORDS = {
    ClipStatus.PENDING: "Waiting",
    ClipStatus.SUBMITTING: "Being ordered",
    ClipStatus.GENERATING: "Being made",
    ClipStatus.READY: "Ready",
    ClipStatus.FAILED: "Failed",
}
CLIP_TONES = {ClipStatus.PENDING: "quiet", ClipStatus.READY: "good", ClipStatus.FAILED: "bad"}
WEBHOOK_WORDS = {
    WebhookState.PENDING: "Being told",
    WebhookState.DELIVERED: "Delivered",
    WebhookState.GIVEN_UP: "Given up",
}
WEBHOOK_TONES = {WebhookState.PENDING: "busy", WebhookState.DELIVERED: "good", WebhookState.GIVEN_UP: "bad"}


def status_tone(status: JobStatus) -> str:
    """Return the tone of a status."""
    return STATUS_TONES.get(status, "busy")


def duration(ms: int | float) -> str:
    """Return a span of time, such as `4 s`, `2 min 05 s`, `3 h 12 min`, `4 d 3 h`."""
    seconds = max(0, int(ms // 1000))
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def moment(ms: int) -> str:
    """Return a time of day in UTC; scripts put the reader's own in its place."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%d %b %Y, %H:%M:%S} UTC"


def size(count: int) -> str:
    """Return a number of bytes, such as `4.2 MB`."""
    amount, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB"):
        if (amount if unit == "bytes" else round(amount, 1)) < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{count} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"


def seconds(value: float | None) -> str:
    """Return a film's length, such as `0:04.2` or `1:02`."""
    if value is None:
        return ""
    if round(value, 1) < 60:
        return f"0:{value:04.1f}"
    minutes, rest = divmod(int(round(value, 1)), 60)
    return f"{minutes}:{rest:02}"


def plural(count: int, word: str) -> str:
    """Return `1 clip`, `2 clips`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"
