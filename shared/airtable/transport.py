"""Blocking calls with pyairtable, each worker thread with its own session; third-party errors end here.

pyairtable's own retry is off: it sends POSTs again blindly, gives up before Airtable's penalty is over, and loses
error bodies.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import requests
from pyairtable import Api, Table
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from shared.airtable.answers import error_of_answer, error_without_answer
from shared.airtable.calls import OddAnswer
from shared.airtable.config import AirtableConfig
from shared.airtable.connections import CuttableAdapter, OpenConnections
from shared.airtable.errors import AirtableError, AirtableRejected
from shared.airtable.protocol import Operation

TIMEOUT_S = (5, 60)
"""To connect, and between two pieces of an answer."""

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How one HTTP call ended: a value or an error, and the seconds it took."""

    value: T | None
    error: AirtableError | None
    seconds: float

    @property
    def name(self) -> str:
        """As metrics name it: `ok`, or the error's code."""
        return "ok" if self.error is None else self.error.code


class _Bearer(AuthBase):
    """Sets the token itself: without it, a `.netrc` entry for the host would replace it."""

    def __init__(self, config: AirtableConfig) -> None:
        self._config = config

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._config.token.get_secret_value()}"
        return request


class Transport:
    """Makes one HTTP call at a time per thread and reports how it ended; never raises."""

    def __init__(self, config: AirtableConfig, *, timeout_s: tuple[int, int] = TIMEOUT_S) -> None:
        self._config = config
        self._timeout_s = timeout_s
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._open = OpenConnections()

    def perform(
        self, operation: Operation, call: Callable[[Table], T], headers: Mapping[str, str] | None = None
    ) -> Outcome[T]:
        """Run `call` with this thread's table; its requests carry `headers` as well."""
        started = time.monotonic()
        value: T | None = None
        error: AirtableError | None = None
        try:
            table = self._table()
            table.api.session.headers.update(headers or {})
            value = call(table)
        except _Refused as refused:
            answer = refused.answer
            error = error_of_answer(operation, answer.status_code, answer.text, answer.headers)
        except requests.TooManyRedirects:
            error = AirtableRejected("Airtable's address answers with a redirect: check AIRTABLE_ENDPOINT_URL")
        except (OddAnswer, requests.JSONDecodeError):
            error = error_without_answer(operation, "its answer is not what the API promises", sent=True)
        except requests.RequestException as failure:
            error = error_without_answer(operation, type(failure).__name__, sent=_was_sent(failure))
        return Outcome(value, error, time.monotonic() - started)

    def close(self) -> None:
        """Cut all threads' connections, running calls included."""
        self._open.cut()
        for session in self._sessions:
            session.close()

    def _table(self) -> Table:
        table = getattr(self._local, "table", None)
        if table is None:
            table = self._local.table = self._new_table()
        assert isinstance(table, Table)
        return table

    def _new_table(self) -> Table:
        config = self._config
        api = Api(
            config.token.get_secret_value(),
            timeout=self._timeout_s,
            retry_strategy=None,
            endpoint_url=config.endpoint_url,
        )
        for scheme in ("http://", "https://"):
            api.session.mount(scheme, CuttableAdapter(self._open))
        api.session.auth = _Bearer(config)
        api.session.max_redirects = 0
        api.session.hooks["response"].append(_refuse)
        self._sessions.append(api.session)
        return api.table(config.base_id, config.table)


class _Refused(Exception):
    """An answer of 400 or above."""

    def __init__(self, answer: requests.Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


def _refuse(answer: requests.Response, **_: object) -> None:
    """Stop before pyairtable reads the error body: it expects a JSON object and breaks on anything else."""
    if answer.status_code >= requests.codes.bad_request:
        raise _Refused(answer)


def _was_sent(failure: requests.RequestException) -> bool:
    """Whether the request may have left: False only if no connection came about."""
    if isinstance(failure, requests.ConnectTimeout | requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return False
    cause = failure.args[0] if failure.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return not isinstance(reason, NewConnectionError | ConnectTimeoutError)
