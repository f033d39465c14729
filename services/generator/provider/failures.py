"""kie.ai's error codes and texts as `ProviderError`: what each means and what to do about it. Pure.

The number alone does not tell: 500 is also "paused" and "a field is missing", 422 is also "no such model". So the
text decides where the number is used for several things. Codes: docs.kie.ai; texts: observed answers.
"""

import re
from dataclasses import dataclass

from services.generator.provider.outcomes import Advice, ErrorCode, ProviderError

RATE_WINDOW_S = 10.0
"""kie.ai counts new tasks over 10 seconds and rejects the excess, so a full window must pass."""

MAINTENANCE_WAIT_S = 60.0

_MAX_WAIT_S = 300.0
_MAX_TEXT_CHARS = 300
_MAX_SEARCHED_CHARS = 2000
"""Texts are untrusted: a megabyte of them must not keep a regular expression busy."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is said about, and advised on, every error of one code."""

    message: str
    remedy: str
    advice: Advice
    wait_s: float = 0.0
    quotes: bool = True
    """Whether the provider's own words are added to the message."""


_KINDS: dict[ErrorCode, _Kind] = {
    ErrorCode.CONTENT_POLICY: _Kind(
        "Content policy", "change the prompt: the provider refuses what it describes", Advice.GIVE_UP
    ),
    ErrorCode.CREDITS: _Kind(
        "Insufficient credits", "top up the account at kie.ai, then retry the job", Advice.GIVE_UP, quotes=False
    ),
    ErrorCode.AUTH: _Kind(
        "The provider rejected the API key", "check SORA_API_KEY and the key's permissions", Advice.GIVE_UP
    ),
    ErrorCode.RATE_LIMITED: _Kind(
        "Rate limit reached", "it is tried again after the window", Advice.WAIT, RATE_WINDOW_S
    ),
    ErrorCode.KEY_LIMIT: _Kind(
        "The API key's usage limit is reached", "raise the key's limit at kie.ai or wait for its reset", Advice.GIVE_UP
    ),
    ErrorCode.MAINTENANCE: _Kind(
        "The provider is under maintenance", "it is tried again later", Advice.WAIT, MAINTENANCE_WAIT_S
    ),
    ErrorCode.MODEL_PAUSED: _Kind(
        "The model is paused", "name another model in VIDEO_MODELS if none is left", Advice.NEXT_MODEL
    ),
    ErrorCode.MODEL_UNKNOWN: _Kind(
        "The provider does not offer the model", "name another model in VIDEO_MODELS", Advice.NEXT_MODEL
    ),
    ErrorCode.INVALID_INPUT: _Kind(
        "The provider rejected the input", "change the prompt or the clip's settings", Advice.GIVE_UP
    ),
    ErrorCode.DISABLED: _Kind(
        "The provider has switched this feature off", "name another model in VIDEO_MODELS", Advice.NEXT_MODEL
    ),
    ErrorCode.SERVER: _Kind("Provider error", "it is tried again; if it stays, see kie.ai's status", Advice.RETRY),
    ErrorCode.NETWORK: _Kind("The provider cannot be reached", "check the network and SORA_API_BASE_URL", Advice.RETRY),
    ErrorCode.ENDPOINT: _Kind("This is not the provider's API", "check SORA_API_BASE_URL", Advice.GIVE_UP),
    ErrorCode.BLOCKED: _Kind(
        "A gateway in front of the provider refused the request",
        "check the key's IP whitelist and whether this network is blocked",
        Advice.GIVE_UP,
    ),
    ErrorCode.UPSTREAM_TIMEOUT: _Kind(
        "The model gave no result in time", "it is tried again; another model may be quicker", Advice.RETRY
    ),
    ErrorCode.GENERATION_FAILED: _Kind("Generation failed", "retry the job, or change the prompt", Advice.RETRY),
    ErrorCode.NO_RESULT: _Kind("The provider reported success without a usable video", "retry the job", Advice.RETRY),
}

_BY_CODE: dict[int, ErrorCode] = {
    401: ErrorCode.AUTH,
    402: ErrorCode.CREDITS,
    429: ErrorCode.RATE_LIMITED,
    433: ErrorCode.KEY_LIMIT,
    455: ErrorCode.MAINTENANCE,
    505: ErrorCode.DISABLED,
}
"""Codes that mean one thing whatever the text."""

_BY_TEXT: tuple[tuple[ErrorCode, re.Pattern[str]], ...] = tuple(
    (code, re.compile(pattern, re.IGNORECASE))
    for code, pattern in (
        (ErrorCode.MODEL_PAUSED, r"temporarily (paused|suspended|unavailable)|\bis paused\b"),
        (
            ErrorCode.MODEL_UNKNOWN,
            r"\bmodel\b[^.]{0,60}\b(not supported|not found|not exist|unsupported|unknown|not available)",
        ),
        (
            ErrorCode.CONTENT_POLICY,
            (
                r"guardrail|content.{0,12}polic|usage polic|prohibited|(?<!case.)sensitive|moderation|"
                r"nsfw|inappropriate|photorealistic people|violat\w* .{0,40}(polic|guideline|terms)|\bflagged\b|"
                r"unsafe|safety"
            ),
        ),
        (ErrorCode.CREDITS, r"(insufficient|not enough).{0,20}(credit|balance)|credits? (is |are )?insufficient"),
        (ErrorCode.RATE_LIMITED, r"too many requests|rate limit|call frequency"),
        (ErrorCode.MAINTENANCE, r"under maintenance"),
        (
            ErrorCode.INVALID_INPUT,
            (
                r"\bis required|not within the range of allowed|cannot be (empty|null|blank)|\bmust be\b|"
                r"\btoo (long|short)\b|(exceeds?|longer than) .{0,30}(limit|maximum|length|characters)|"
                r"invalid (prompt|param|input)"
            ),
        ),
    )
)

_QUERY = re.compile(r"(https?://[^\s?]*\?)\S+", re.IGNORECASE)

_FIELD = re.compile(r"is required|not within the range of allowed", re.IGNORECASE)

_BY_CODE_LAST: dict[int, ErrorCode] = {
    403: ErrorCode.AUTH,
    404: ErrorCode.ENDPOINT,
    405: ErrorCode.ENDPOINT,
    408: ErrorCode.UPSTREAM_TIMEOUT,
    501: ErrorCode.GENERATION_FAILED,
}
"""Codes to fall back on when the text says nothing."""


def tidy(text: str) -> str:
    """Make a stranger's text fit for a person's eyes and a log line: one line, printable, not too long.

    Addresses lose their query: the provider may quote our callback's, which carries the clip's signed token.
    """
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * _MAX_TEXT_CHARS])
    line = _QUERY.sub(r"\1…", " ".join(shown.split()))
    return line if len(line) <= _MAX_TEXT_CHARS else line[: _MAX_TEXT_CHARS - 1] + "…"


def error_of(
    code: ErrorCode, text: str = "", *, provider_code: int | None = None, wait_s: float | None = None
) -> ProviderError:
    """Make the error of a known class.

    Args:
        code: its class.
        text: the provider's own words, untrusted.
        provider_code: the provider's number.
        wait_s: how long the provider asks to wait; shorter than the class's own wait is ignored, longer is capped.
    """
    kind = _KINDS[code]
    words = tidy(text)
    return ProviderError(
        code=code,
        message=f"{kind.message}: {words}" if kind.quotes and words else kind.message,
        remedy=kind.remedy,
        advice=_advice(code, text),
        wait_s=max(kind.wait_s, min(wait_s or 0.0, _MAX_WAIT_S)) if kind.advice is Advice.WAIT else 0.0,
        provider_code=provider_code,
    )


def explain(provider_code: int, text: str, *, wait_s: float | None = None) -> ProviderError:
    """Classify a refusal by kie.ai's number and, where that is not enough, by its text."""
    return error_of(code_of(provider_code, text), text, provider_code=provider_code, wait_s=wait_s)


def code_of(provider_code: int, text: str) -> ErrorCode:
    """Return the class of a refusal."""
    if provider_code in _BY_CODE:
        return _BY_CODE[provider_code]
    for code, pattern in _BY_TEXT:
        if pattern.search(text[:_MAX_SEARCHED_CHARS]):
            return code
    if provider_code in _BY_CODE_LAST:
        return _BY_CODE_LAST[provider_code]
    return ErrorCode.INVALID_INPUT if provider_code in range(400, 500) else ErrorCode.SERVER


def _advice(code: ErrorCode, text: str) -> Advice:
    """Return the class's advice, except for input that we, not the user, got wrong.

    Everything in `input` but the prompt comes from our table of models. When the provider rejects another field, the
    table no longer fits that model: a person's prompt cannot mend it, but the next model can.
    """
    if code is ErrorCode.INVALID_INPUT and text and "prompt" not in text.lower() and _is_about_a_field(text):
        return Advice.NEXT_MODEL
    return _KINDS[code].advice


def _is_about_a_field(text: str) -> bool:
    return _FIELD.search(text[:_MAX_SEARCHED_CHARS]) is not None
