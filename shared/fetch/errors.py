"""Why a file could not be fetched, as one tree.

* FetchError
  + BadUrl: not an address that can be fetched
    - BadScheme: neither http nor https
  + PrivateAddress: leads into a private network
  + TooManyRedirects
  + ConnectFailed: no connection (name, network, TLS)
  + HttpStatus: the server answered with an error
    - Expired: the file is not there (any more): 403, 404, 410
  + TooLarge
  + TooSlow
  + Truncated: the file ended early, time after time
  + NotVideo: the file is something else
  + BadEncoding: the body's compression cannot be undone

Messages name the address without its query, which may be a signature.
"""

from shared.errors import StitcherError


class FetchError(StitcherError):
    """A file could not be fetched.

    Attributes:
        code: stable, for jobs and metrics.
        retryable: whether fetching the same address again may work.
    """

    code = "fetch"
    retryable = False


class BadUrl(FetchError):
    """The address cannot be fetched: malformed, without a host, or with a password in it."""

    code = "bad_url"


class BadScheme(BadUrl):
    """The address is neither http nor https."""

    code = "bad_scheme"


class PrivateAddress(FetchError):
    """The address leads, directly or by its name, into a private or special network.

    Attributes:
        host: as the address names it.
        address: what it resolved to.
    """

    code = "private_address"

    def __init__(self, host: str, address: str) -> None:
        super().__init__(
            f"{host} leads to {address}, which is not a public address; "
            "name the host in FETCH_ALLOWED_HOSTS if it is meant to be reached"
        )
        self.host = host
        self.address = address


class TooManyRedirects(FetchError):
    """The address leads from one to the next without end."""

    code = "too_many_redirects"


class ConnectFailed(FetchError):
    """No connection: the name does not resolve, nobody answers, or the certificate is not trusted."""

    code = "connect_failed"
    retryable = True


class HttpStatus(FetchError):
    """The server answered with an error.

    Attributes:
        status: HTTP status.
    """

    code = "http_status"

    def __init__(self, what: str, status: int) -> None:
        super().__init__(f"{what} answered with HTTP {status}")
        self.status = status
        self.retryable = status >= 500 or status in (408, 425, 429)


class Expired(HttpStatus):
    """The file is not at this address (any more): ask the provider for a fresh one."""

    code = "expired"


class TooLarge(FetchError):
    """The file is larger than a clip may be.

    Attributes:
        limit_bytes: the cap.
    """

    code = "too_large"

    def __init__(self, what: str, limit_bytes: int) -> None:
        super().__init__(f"{what} is larger than the {limit_bytes} bytes a clip may have")
        self.limit_bytes = limit_bytes


class TooSlow(FetchError):
    """The file came too slowly, or took longer than the whole download may."""

    code = "too_slow"
    retryable = True


class Truncated(FetchError):
    """The connection broke, or the file ended before its announced end, as often as we were ready to go on."""

    code = "truncated"
    retryable = True


class NotVideo(FetchError):
    """The file is not a video.

    Attributes:
        looks_like: what it is instead, as far as its first bytes tell.
    """

    code = "not_video"

    def __init__(self, what: str, looks_like: str) -> None:
        super().__init__(f"{what} is not a video but {looks_like}")
        self.looks_like = looks_like


class BadEncoding(FetchError):
    """The body is compressed in a way that was not asked for and cannot be undone."""

    code = "bad_encoding"
