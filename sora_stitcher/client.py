"""A client of the HTTP API, blocking and async, for programs and for the command line.

>>> with Client("http://127.0.0.1:3000") as client:
...     accepted = client.create(FilmWish(["A chef cooks pasta", "The chef serves it"], transition="fade"))
...     job = client.wait(accepted.job_id)
...     client.download(job.video_url, Path("film.mp4"))

`AsyncClient` has the same methods as coroutines. What both do is described once: requests as `Call` values, when one
is repeated by `Repeating`, how a job is followed by `Following`; the two classes only carry them out. Every failure
is a `ClientError` (see `sora_stitcher.errors`); no exception of the HTTP library escapes. Orders carry an idempotency
key, so that a lost answer makes no second film.
"""

from sora_stitcher._asynchronous import AsyncClient
from sora_stitcher._blocking import DEFAULT_URL, Client
from sora_stitcher._repeating import Repeating
from sora_stitcher.errors import (
    ApiError,
    BudgetExceeded,
    ClientError,
    Conflict,
    InvalidRequest,
    JobWaitTimeout,
    NotFound,
    NotTheApi,
    RateLimited,
    Unauthorized,
    Unavailable,
    Unreachable,
    Unsendable,
)
from sora_stitcher.models import (
    Accepted,
    BatchItem,
    BatchResult,
    Clip,
    Estimate,
    Event,
    Job,
    JobPage,
    JobSummary,
    Progress,
    Usage,
    Webhook,
)
from sora_stitcher.wishes import AudioWish, ClipWish, FilmWish, OverlayWish, SoundtrackWish, TransitionWish

__all__ = [
    "Client",
    "AsyncClient",
    "DEFAULT_URL",
    "Repeating",
    "FilmWish",
    "ClipWish",
    "TransitionWish",
    "AudioWish",
    "SoundtrackWish",
    "OverlayWish",
    "Accepted",
    "BatchItem",
    "BatchResult",
    "Clip",
    "Estimate",
    "Event",
    "Job",
    "JobPage",
    "JobSummary",
    "Progress",
    "Usage",
    "Webhook",
    "ClientError",
    "Unreachable",
    "NotTheApi",
    "Unsendable",
    "ApiError",
    "InvalidRequest",
    "Unauthorized",
    "BudgetExceeded",
    "NotFound",
    "Conflict",
    "RateLimited",
    "Unavailable",
    "JobWaitTimeout",
]
