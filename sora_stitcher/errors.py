"""What can go wrong when talking to a running system, as one tree. Imports nothing heavy.

* ClientError
  + Unreachable: nobody answers at the address, or not in time
  + NotTheApi: somebody answers, but it is another program
  + Unsendable: it cannot be put into a request; nothing was sent
  + ApiError: the API refused or failed; with its status, code and details
    - InvalidRequest (400), Unauthorized (401), BudgetExceeded (402), NotFound (404), Conflict (409),
      RateLimited (429), Unavailable (502 to 504)
  + JobWaitTimeout: the job did not end within the time one was ready to wait
"""

from collections.abc import Sequence
from typing import Any

from shared.errors import StitcherError

NOBODY_BEHIND = "unavailable"
"""The code given to a proxy's answer that is not in the API's own words."""


class ClientError(StitcherError):
    """Base of everything the client raises on purpose.

    Attributes:
        idempotency_key: of an order (or a new take) that may have been taken although this was raised: repeated with
            this key, it is the same one.
    """

    idempotency_key: str | None = None


class Unreachable(ClientError):
    """Nobody answers at the address, or not in time.

    Attributes:
        base_url: the address.
        sent: whether the request may have arrived all the same; an order may then have been taken.
    """

    def __init__(self, base_url: str, why: str, *, sent: bool) -> None:
        super().__init__(f"cannot reach {base_url}: {why}")
        self.base_url = base_url
        self.sent = sent


class NotTheApi(ClientError):
    """Somebody answers at the address, but it is not this API."""

    def __init__(self, base_url: str, what: str) -> None:
        super().__init__(f"what answers at {base_url} is not Sora Video Stitcher ({what})")
        self.base_url = base_url


class Unsendable(ClientError):
    """What is asked for cannot be put into a request; nothing was sent."""


class ApiError(ClientError):
    """The API refused the request, or failed to serve it.

    Attributes:
        status: HTTP status.
        code: stable name of the reason, e.g. `invalid_request`.
        message: for a person.
        details: for bad input: what is wrong with which field.
        retry_after_s: when asking again makes sense, if the API said so.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Sequence[dict[str, Any]] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.retry_after_s = retry_after_s


class InvalidRequest(ApiError):
    """The request is malformed; `details` names the fields."""


class Unauthorized(ApiError):
    """An API key is missing or wrong."""


class BudgetExceeded(ApiError):
    """More clips or credits than may be ordered; `details` says what is left."""


class NotFound(ApiError):
    """There is no such job, record, clip or webhook."""


class Conflict(ApiError):
    """The job's state, or an earlier request with the same idempotency key, does not allow this."""


class RateLimited(ApiError):
    """Too many requests; see `retry_after_s`."""


class Unavailable(ApiError):
    """Something the API depends on does not answer, or the API behind a proxy; see `retry_after_s`."""

    @property
    def is_of_a_proxy(self) -> bool:
        """Whether a proxy said so, whom the API behind it did not answer: it may have done what was asked."""
        return self.code == NOBODY_BEHIND


class JobWaitTimeout(ClientError):
    """The job did not end within the time one was ready to wait. It goes on."""


BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    402: BudgetExceeded,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
"""The class of an answer's status; others are plain `ApiError`."""
