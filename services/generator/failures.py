"""Turning a provider's error into the job's words and into what happens next. Pure."""

from services.generator.provider.outcomes import Advice, ErrorCode, ProviderError
from shared.job.model import AttemptState, Clip, Failure, Stage
from shared.job.policy import Policy

BACKOFF_FIRST_MS = 1_000
BACKOFF_MAX_MS = 60_000

MENDED_BY_A_PERSON = frozenset({ErrorCode.CREDITS, ErrorCode.AUTH, ErrorCode.KEY_LIMIT, ErrorCode.BLOCKED})
"""Classes that say nothing about the order: once somebody has mended the account or the network, it can be had."""


def failure_of(error: ProviderError, clip: Clip) -> Failure:
    """Return the failure in the original's words: `Video 1 generation failed: Insufficient credits`."""
    return Failure(
        stage=Stage.GENERATING,
        code=error.code,
        message=f"Video {clip.number} generation failed: {error.message}",
        retryable=error.advice is not Advice.GIVE_UP or error.code in MENDED_BY_A_PERSON,
        clip=clip.number,
    )


def unusable(clip: Clip, code: str, problem: str, *, retryable: bool) -> Failure:
    """Return the failure of a clip whose file cannot be had or used."""
    what = "generation failed: its result" if clip.source is None else "failed: the file that was given for it"
    return Failure(
        stage=Stage.GENERATING,
        code=code,
        message=f"Video {clip.number} {what} cannot be used: {problem}",
        retryable=retryable,
        clip=clip.number,
    )


def declined_again_at(error: ProviderError, clip: Clip, now: int) -> int | None:
    """Return when to order again after the provider declined, or None to give up.

    A declined order cost nothing, so it is tried until the job's deadline.
    """
    match error.advice:
        case Advice.GIVE_UP:
            return None
        case Advice.NEXT_MODEL:
            return now
        case Advice.WAIT:
            return now + round(error.wait_s * 1000)
        case Advice.RETRY:
            return now + backoff_ms(sum(attempt.state is AttemptState.REFUSED for attempt in clip.tries))


def failed_again_at(error: ProviderError, clip: Clip, now: int, policy: Policy, *, billed: bool) -> int | None:
    """Return when to order again after the provider gave a task up, or None to give the clip up.

    An attempt that was billed is never repeated by itself: that would be paying twice.
    """
    failed = 1 + sum(attempt.state is AttemptState.FAILED for attempt in clip.tries)
    if error.advice is Advice.GIVE_UP or failed >= policy.max_attempts or billed:
        return None
    return now + (0 if error.advice is Advice.NEXT_MODEL else backoff_ms(failed - 1))


def backoff_ms(tries: int) -> int:
    """Return the pause after `tries` earlier failures, in ms."""
    return min(BACKOFF_FIRST_MS << min(tries, 16), BACKOFF_MAX_MS)
