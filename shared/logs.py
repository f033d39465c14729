"""Structured logging: every line carries service, and trace, job, clip and event where there is one."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.tracing import into_log_line

_SECRETS = re.compile(
    r"(?i)(bearer\s+)[\w.~+/=-]{6,}|(://[^/\s:@]*:)[^/\s]+(?=@)|\bpat[A-Za-z0-9]{14}\.\w+|(/media/)[\w.-]{20,}"
    r"|([?&]t(?:oken)?=)[\w.-]{10,}|([?&]X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s]+"
)


def redact(text: str) -> str:
    """Return `text` without bearer tokens, passwords in URLs, Airtable tokens and our own signed tokens."""
    return _SECRETS.sub(lambda match: next((part for part in match.groups() if part), "") + "***", text)


def _clean(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Leave out what is not known, and redact the rest."""
    for key, value in list(line.items()):
        if value is None:
            del line[key]
        elif not key.startswith("_"):  # those are structlog's own
            line[key] = _redacted(value)
    return line


def _redacted(value: Any) -> Any:
    """Return a value of a log line without secrets, however deep in it; what is not data becomes its text."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redact(value)
        case Mapping():
            return {redact(str(key)): _redacted(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_redacted(item) for item in value]
        case _:
            return redact(str(value))


def configure_logging(service: str, level: str, fmt: Literal["console", "json"]) -> None:
    """Send our log lines, and those of libraries from warnings on, to standard error.

    Args:
        service: bound to every line.
        level: least level of our own lines.
        fmt: `console` for people, `json` for machines.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        into_log_line,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _clean,
    ]
    renderer = (
        structlog.processors.JSONRenderer()
        if fmt == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=32)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for ours in ("services", "shared", "sandbox", "sora_stitcher"):
        logging.getLogger(ours).setLevel(level.upper())
    for noisy in ("aio_pika", "aiormq"):
        # They report every reconnection with a traceback; our bus says it once, in one line.
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)
