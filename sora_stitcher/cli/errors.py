"""How commands fail: one line on standard error that says what to do, and an exit code that scripts can use."""

from enum import IntEnum

from shared.errors import ConfigurationError, DependencyDown, StitcherError
from sora_stitcher.errors import (
    ApiError,
    ClientError,
    InvalidRequest,
    JobWaitTimeout,
    Unauthorized,
    Unavailable,
    Unreachable,
    Unsendable,
)

_MORE_SHOWN = 4
_HOW_IT_STANDS = "`sora-stitcher show JOB` tells how it stands"
_BY_CODE = {
    "job_not_found": "`sora-stitcher jobs` lists those there are",
    "clip_not_found": _HOW_IT_STANDS,
    "webhook_not_found": "`sora-stitcher webhooks list JOB` lists those there are",
    "budget_exceeded": "Take fewer or cheaper clips, or wait for tomorrow (UTC); see `sora-stitcher usage`",
    "idempotency_conflict": "Leave out --idempotency-key, or take a new one",
    "not_failed": _HOW_IT_STANDS,
    "not_in_review": _HOW_IT_STANDS,
    "too_late": _HOW_IT_STANDS,
    "finished": _HOW_IT_STANDS,
    "in_progress": _HOW_IT_STANDS,
}
"""What to do about a refusal, by its code."""


class ExitCode(IntEnum):
    """What a command's exit code says."""

    OK = 0
    FAILED = 1
    """What was asked for failed: the job, the film, a check."""
    USAGE = 2
    """The command line or the environment is wrong."""
    UNREACHABLE = 3
    """The system, or something it needs, does not answer."""
    REFUSED = 4
    """The API refused the request."""
    INTERRUPTED = 130


EXIT_CODES = """\b
Exit codes:
  0    done
  1    it failed: the job, the film, a check
  2    the command line or the environment is wrong
  3    the system, or something it needs, does not answer
  4    the API refused the request
  130  interrupted"""
"""For `--help`."""


class CommandError(StitcherError):
    """A command cannot do what was asked.

    Attributes:
        code: the exit code.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code


def usage(message: str) -> CommandError:
    """Return the error of a wrong command line."""
    return CommandError(message, ExitCode.USAGE)


def exit_code_of(error: StitcherError) -> ExitCode:
    """Return the exit code that an error leads to."""
    match error:
        case CommandError():
            return error.code
        case ConfigurationError() | Unsendable():
            return ExitCode.USAGE
        case ApiError() if not isinstance(error, Unavailable):
            return ExitCode.REFUSED
        case ClientError() | DependencyDown():
            return ExitCode.UNREACHABLE
        case _:
            return ExitCode.FAILED


def sentence_of(error: StitcherError) -> str:
    """Return what to tell a person about an error, on one line, with what to do about it."""
    text = "; ".join([" ".join(str(error).split()), *_more_problems(error)])
    return ". ".join([text, *filter(None, (_how_to_repeat(error), _advice(error)))])


def _more_problems(error: StitcherError) -> list[str]:
    """Return what is wrong beside the first thing, which the message is about."""
    if not isinstance(error, InvalidRequest):
        return []
    more = [f"{detail.get('field')}: {detail.get('message')}" for detail in error.details[1:]]
    return more if len(more) <= _MORE_SHOWN else [*more[:_MORE_SHOWN], f"and {len(more) - _MORE_SHOWN} more"]


def _how_to_repeat(error: StitcherError) -> str:
    """Return how to repeat an order that may have been taken: whoever does it otherwise may pay twice."""
    key = error.idempotency_key if isinstance(error, ClientError) else None
    if key is None:
        return ""
    return f"It may have arrived all the same: repeat it with --idempotency-key {key}, and nothing is made twice"


def _advice(error: StitcherError) -> str:
    match error:
        case Unreachable(sent=True, idempotency_key=str()):
            return ""
        case Unreachable(sent=True):
            return "The request may have arrived all the same: look with `sora-stitcher jobs`"
        case Unreachable():
            return "Start the system with `sora-stitcher up`, or name another address with --url"
        case Unauthorized():
            return "Set SORA_STITCHER_API_KEY, or give --api-key"
        case ApiError(code=code) if code in _BY_CODE:
            return _BY_CODE[code]
        case ApiError(retry_after_s=float() as seconds):
            return f"Try again in {seconds:g} s"
        case DependencyDown(dependency="bus"):
            return "Start RabbitMQ, or mend RABBITMQ_URL"
        case ClientError() if not isinstance(error, ApiError | JobWaitTimeout | Unsendable):
            return "Check the address (--url)"
        case _:
            return ""
