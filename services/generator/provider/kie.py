"""kie.ai over HTTP: https://docs.kie.ai (createTask, recordInfo, credit, download-url)."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from services.generator.provider.classify import (
    Reply,
    classify_create,
    classify_create_exception,
    classify_look,
    classify_look_exception,
    classify_value,
    network_error,
)
from services.generator.provider.failures import error_of
from services.generator.provider.liveness import NO_FREE_PROBE, health_of
from services.generator.provider.outcomes import (
    CreateOutcome,
    ErrorCode,
    Liveness,
    LookOutcome,
    ModelHealth,
    ModelInput,
    ProviderError,
    ProviderFault,
)
from shared import tracing
from shared.callbacks import as_number
from shared.errors import ConfigurationError
from shared.fetch.transport import trusted_certificates
from shared.models.catalogue import MODELS

USER_AGENT = "sora-video-stitcher/0.1 (+httpx)"
"""Sent always: the gateway in front of kie.ai turns clients without one away (403, error code 1010)."""

_MAX_REPLY_BYTES = 1024 * 1024
_REDACTED = b"[redacted]"


class _ReplyTooLarge(Exception):
    """An answer is larger than any answer of this API."""


@dataclass(frozen=True, slots=True)
class KieTimeouts:
    """How long to wait for kie.ai, in seconds.

    Attributes:
        connect_s: for a connection.
        read_s: for each further piece of an answer.
        total_s: for a whole exchange.
        look_retry_delays_s: before each repetition of a look or another free question that met a broken connection.
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    total_s: float = 60.0
    look_retry_delays_s: Sequence[float] = (0.3, 1.0)


def open_kie_http() -> httpx.AsyncClient:
    """Make the HTTP client for `KieProvider`; the caller closes it.

    Connections are not kept: an order sent on an idle connection that the server is just closing is lost without
    a trace of whether it arrived, and would have to be treated as possibly paid. A fresh one fails before sending.
    """
    limits = httpx.Limits(max_connections=50, max_keepalive_connections=0)
    return httpx.AsyncClient(verify=trusted_certificates(), limits=limits)


class KieProvider:
    """kie.ai's Market, one account.

    Redirects are never followed (they would carry the key elsewhere), an order is never repeated, and the key is
    cut out of everything the provider says before anybody reads it.
    """

    name = "kie"

    def __init__(
        self, base_url: str, api_key: str, http: httpx.AsyncClient, timeouts: KieTimeouts | None = None
    ) -> None:
        """Prepare to speak to kie.ai; nothing is sent yet.

        Args:
            base_url: with version, e.g. `https://api.kie.ai/api/v1`.
            api_key: the account's key.
            http: from `open_kie_http`; stays the caller's.
            timeouts: None for the usual ones.

        Raises:
            ConfigurationError: the address or the key cannot be used; names the variable, never shows the key.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("SORA_API_BASE_URL must be an http(s) address such as https://api.kie.ai/api/v1")
        if not api_key or any(not "!" <= character <= "~" for character in api_key):
            raise ConfigurationError("SORA_API_KEY must be kie.ai's key: printable ASCII, no spaces or line breaks")
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._http = http
        self._timeouts = timeouts or KieTimeouts()

    async def create(self, model_slug: str, model_input: ModelInput, callback_url: str | None) -> CreateOutcome:
        """Place one order, once; see `VideoProvider.create`."""
        order: dict[str, object] = {"model": model_slug, "input": model_input}
        if callback_url is not None:
            order["callBackUrl"] = callback_url
        try:
            return classify_create(await self._exchange("POST", "jobs/createTask", order))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, _ReplyTooLarge) as error:
            return classify_create_exception(error)

    async def look(self, task_id: str) -> LookOutcome:
        """Ask how a task stands; see `VideoProvider.look`."""
        try:
            reply = await self._ask("GET", "jobs/recordInfo", params={"taskId": task_id})
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, _ReplyTooLarge) as error:
            return classify_look_exception(error)
        return classify_look(reply, task_id)

    async def credits(self) -> float:
        """Return what is left on the account; see `VideoProvider.credits`."""
        amount = as_number(await self._value("GET", "chat/credit"))
        if amount is None:
            raise ProviderFault(error_of(ErrorCode.SERVER, "the answer to chat/credit holds no number"))
        return amount

    async def alive(self, model_slug: str) -> ModelHealth:
        """Ask for a clip with an empty `input`: an order that is rejected for it shows a model that takes orders.

        Models without a documented required field are not asked: they might take the order.
        """
        profile = MODELS.get(model_slug)
        if profile is not None and not profile.has_required_input:
            return ModelHealth(model_slug, Liveness.UNCLEAR, NO_FREE_PROBE)
        return health_of(model_slug, await self.create(model_slug, {}, None))

    async def fresh_url(self, url: str) -> str:
        """Ask for a link valid for 20 minutes; see `VideoProvider.fresh_url`."""
        link = await self._value("POST", "common/download-url", {"url": url})
        if not isinstance(link, str) or not link.lower().startswith(("http://", "https://")):
            raise ProviderFault(error_of(ErrorCode.SERVER, "the answer to common/download-url holds no address"))
        return link

    async def _value(self, method: str, path: str, body: Mapping[str, object] | None = None) -> object:
        try:
            reply = await self._ask(method, path, body)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, _ReplyTooLarge) as error:
            raise ProviderFault(network_error(error)) from error
        value = classify_value(reply)
        if isinstance(value, ProviderError):
            raise ProviderFault(value)
        return value

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Reply:
        """Do an exchange that costs nothing, again after a broken connection."""
        for delay_s in self._timeouts.look_retry_delays_s:
            try:
                return await self._exchange(method, path, body, params)
            except (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError):
                await asyncio.sleep(delay_s)
        return await self._exchange(method, path, body, params)

    async def _exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request, read one answer of bounded size; the key is gone from what is returned."""
        headers = {
            "Authorization": f"Bearer {self._api_key}",
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            # kie.ai's documents do not know it; a support case can name it, and a proxy of ours can use it.
            **tracing.headers(),
        }
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body, allow_nan=False).encode()
        request = self._http.build_request(
            method,
            f"{self._base_url}/{path}",
            content=content,
            params=params,
            headers=headers,
            timeout=httpx.Timeout(self._timeouts.read_s, connect=self._timeouts.connect_s),
        )
        async with asyncio.timeout(self._timeouts.total_s):
            response = await self._http.send(request, stream=True, auth=None, follow_redirects=False)
            try:
                text = await _read(response)
            finally:
                await response.aclose()
        return Reply(
            status=response.status_code,
            body=text.replace(self._api_key.encode(), _REDACTED),
            retry_after_s=as_number(response.headers.get("Retry-After")),
        )


async def _read(response: httpx.Response) -> bytes:
    text = bytearray()
    async for piece in response.aiter_bytes():
        text += piece
        if len(text) > _MAX_REPLY_BYTES:
            raise _ReplyTooLarge
    return bytes(text)
