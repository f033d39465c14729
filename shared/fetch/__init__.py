"""Bringing files home from strangers: streamed, capped, resumed, and never from inside our own network."""

from shared.fetch.addresses import AllowedHosts
from shared.fetch.errors import (
    BadEncoding,
    BadScheme,
    BadUrl,
    ConnectFailed,
    Expired,
    FetchError,
    HttpStatus,
    NotVideo,
    PrivateAddress,
    TooLarge,
    TooManyRedirects,
    TooSlow,
    Truncated,
)
from shared.fetch.fetcher import Downloaded, Fetcher, FetchLimits
from shared.fetch.transfer import Sink
from shared.fetch.transport import Resolver, system_resolver

__all__ = [
    "Fetcher",
    "FetchLimits",
    "Downloaded",
    "Sink",
    "AllowedHosts",
    "Resolver",
    "system_resolver",
    "FetchError",
    "BadEncoding",
    "BadScheme",
    "BadUrl",
    "ConnectFailed",
    "Expired",
    "HttpStatus",
    "NotVideo",
    "PrivateAddress",
    "TooLarge",
    "TooManyRedirects",
    "TooSlow",
    "Truncated",
]
