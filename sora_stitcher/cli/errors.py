"""How commands fail: one line on standard error that says what to do, and an exit code that scripts can use."""

from enum import IntEnum

from shared.errors import ConfigurationError, DependencyDown, StitcherError
from sora_stitcher.errors import ApiError, ClientError, NotFound, Unauthorized, Unavailable, Unreachable


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
        case ConfigurationError():
            return ExitCode.USAGE
        case ApiError() if not isinstance(error, Unavailable):
            return ExitCode.REFUSED
        case ClientError() | DependencyDown():
            return ExitCode.UNREACHABLE
        case _:
            return ExitCode.FAILED


def sentence_of(error: StitcherError) -> str:
    """Return what to tell a person about an error, on one line, with what to do about it."""
    text = " ".join(str(error).split())
    return f"{text}. {advice}" if (advice := _advice(error)) else text


def _advice(error: StitcherError) -> str:
    match error:
        case Unreachable(sent=True):
            return "The request may have arrived all the same: look with `sora-stitcher jobs`"
        case Unreachable():
            return "Start the system with `sora-stitcher up`, or name another address with --url"
        case Unauthorized():
            return "Set SORA_STITCHER_API_KEY, or give --api-key"
        case NotFound(code="job_not_found"):
            return "`sora-stitcher jobs` lists those there are"
        case ApiError(retry_after_s=float() as seconds):
            return f"Try again in {seconds:g} s"
        case DependencyDown(dependency="bus"):
            return "Start RabbitMQ, or mend RABBITMQ_URL"
        case ClientError() if not isinstance(error, ApiError):
            return "Check the address (--url)"
        case _:
            return ""
