"""From `Call` to HTTP and back: addresses, headers, and every failure as one of ours."""

import ipaddress
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from json import JSONDecodeError
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from shared.errors import ConfigurationError
from shared.version import VERSION
from sora_stitcher._calls import Call, T
from sora_stitcher.errors import BY_STATUS, NOBODY_BEHIND, ApiError, NotTheApi, Unavailable, Unreachable, Unsendable

TIMEOUT_S = 30.0
CONNECT_S = 5.0
_MEDIA = "/media/"
_NOBODY_BEHIND = (502, 503, 504)
"""What a proxy answers while the gateway behind it is away."""
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the API is, and the key to it.

    Attributes:
        base_url: without a slash at the end.
        api_key: one of its `API_KEYS`, or None.
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, base_url: str, api_key: str | None) -> "Endpoint":
        """Check an address.

        Raises:
            ConfigurationError: the address or the key cannot be used.
        """
        try:
            parts = urlsplit(base_url)
        except ValueError:  # half an IPv6 address
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigurationError(f"{base_url!r} is no address of the API: it looks like http://127.0.0.1:3000")
        if api_key is not None and not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
            raise ConfigurationError("the API key holds characters that no key has: copy it again")
        return cls(base_url.rstrip("/"), api_key)

    @property
    def is_local(self) -> bool:
        """Whether it is on this very machine, where proxies have no business."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def request_options(self, call: Call[T]) -> dict[str, Any]:
        """Return the arguments of `httpx.Client.request`.

        Raises:
            Unsendable: the body is nothing that JSON can say.
        """
        headers = {"User-Agent": f"sora-stitcher/{VERSION}", "Accept": "application/json", **call.headers}
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key}"
        options: dict[str, Any] = {"method": call.method, "url": self.base_url + call.path, "headers": headers}
        if call.params:
            options["params"] = call.params
        if call.body is not None:
            options["content"] = _json_of(call.body)
            headers["Content-Type"] = "application/json"
        return options

    def media_url(self, url: str) -> str:
        """Return where to fetch one of the API's own files.

        Its links name `PUBLIC_URL`, which need not be how we reach it (a tunnel, another port): the signature
        covers the file, not the host. Links to other places stay as they are.
        """
        before, found, rest = url.partition(_MEDIA)
        return self.base_url + _MEDIA + rest if found and "/" not in before.partition("://")[2] else url

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn the HTTP library's exceptions into ours."""
        try:
            yield
        except UnicodeEncodeError as error:
            raise Unsendable("it holds text that no request can carry: mend or leave out its odd characters") from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            why = "it does not answer" if isinstance(error, httpx.ConnectTimeout) else "nobody listens there"
            if "certificate" in str(error).lower() or "ssl" in str(error).lower():
                why = f"TLS: {error}"
            elif "name" in str(error).lower():
                why = "its name is not known"
            raise Unreachable(self.base_url, why, sent=False) from error
        except httpx.TimeoutException as error:
            raise Unreachable(self.base_url, "no answer in time", sent=True) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(self.base_url, f"the connection broke ({type(error).__name__})", sent=True) from error

    def read(self, call: Call[T], response: httpx.Response) -> T:
        """Return what the answer says.

        Raises:
            ApiError: it is a refusal.
            NotTheApi: it makes no sense.
        """
        try:
            answer = response.json()
        except (JSONDecodeError, UnicodeDecodeError):
            answer = None
        if not isinstance(answer, dict) or "success" not in answer:
            if response.status_code in _NOBODY_BEHIND:
                why = f"nobody serves {self.base_url} at this moment (HTTP {response.status_code})"
                raise Unavailable(response.status_code, NOBODY_BEHIND, why)
            raise NotTheApi(self.base_url, f"HTTP {response.status_code}, {_kind(response)}")
        if response.status_code >= httpx.codes.BAD_REQUEST:
            raise api_error(response.status_code, answer, response.headers.get("retry-after"))
        try:
            return call.read(answer)
        except (KeyError, TypeError, ValidationError) as error:
            raise NotTheApi(
                self.base_url, f"its answer to {call.method} {call.path} lacks what was promised"
            ) from error


def _json_of(body: Any) -> bytes:
    """Return a request's body.

    Raises:
        Unsendable: JSON cannot say it.
    """
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise Unsendable("it holds text that is not valid Unicode") from error
    except RecursionError as error:
        raise Unsendable("it is nested too deeply") from error
    except ValueError as error:
        raise Unsendable(f"JSON cannot say it ({error}): numbers are finite there") from error


def api_error(status: int, answer: dict[str, Any], retry_after: str | None) -> ApiError:
    """Return the error that an answer describes."""
    details = answer.get("details")
    return BY_STATUS.get(status, ApiError)(
        status,
        str(answer.get("code") or status),
        str(answer.get("error") or f"HTTP {status}"),
        details=details if isinstance(details, list) else (),
        retry_after_s=float(retry_after) if retry_after and retry_after.isdecimal() else None,
    )


def _kind(response: httpx.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0] or "no content type"


def length_of(response: httpx.Response) -> int | None:
    """Return how many bytes a body has, if it says so."""
    text = response.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


def timeout(answer_s: float) -> httpx.Timeout:
    """Return how long to wait for a connection and for an answer."""
    return httpx.Timeout(answer_s, connect=min(answer_s, CONNECT_S))


def is_stream(response: httpx.Response) -> bool:
    """Whether an answer is a stream of events."""
    return response.is_success and _kind(response) == EVENT_STREAM


def refusal_of(endpoint: Endpoint, response: httpx.Response) -> ApiError | NotTheApi:
    """Return the error that the answer (already read) to a failed download, or to asking for events, describes."""
    try:
        endpoint.read(Call("GET", _MEDIA, lambda _answer: None), response)
    except (ApiError, NotTheApi) as error:
        return error
    return NotTheApi(endpoint.base_url, f"HTTP {response.status_code}")
