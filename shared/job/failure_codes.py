"""Why jobs fail, as a closed set: metrics name these and no others.

`Failure.code` is text, so that a job of a newer version can be read; a code that is not here is counted as `other`.
A test holds this list against the errors that the services can end a job with.
"""

OF_THE_JOB = ("ambiguous", "internal", "review_timeout", "timeout")
OF_CHOOSING_A_MODEL = ("no_model", "prompt_too_long", "prompt_too_short", "unsuitable_model", "unsupported_aspect")
OF_THE_PROVIDER = (
    *("auth", "blocked", "content_policy", "credits", "disabled", "endpoint", "generation_failed", "invalid_input"),
    *("key_limit", "maintenance", "model_paused", "model_unknown", "network", "no_result", "rate_limited", "server"),
    "upstream_timeout",
)
OF_FETCHING = (
    *("artifact_gone", "bad_encoding", "bad_scheme", "bad_url", "connect_failed", "expired", "fetch", "http_status"),
    *("not_video", "private_address", "too_large", "too_many_redirects", "too_slow", "truncated"),
)
OF_THE_FILM_ENGINE = (
    *("bad_clip", "cancelled", "clip_gone", "damaged", "decoder_died", "disk_full", "encode_failed", "engine_error"),
    *("ffmpeg_missing", "invalid_wishes", "not_a_picture", "not_a_sound", "not_a_video", "too_long", "unsupported"),
    "verify_failed",
)
OF_AIRTABLE = (
    *("airtable_auth", "airtable_error", "airtable_forbidden", "airtable_not_configured", "airtable_quota_exhausted"),
    *("airtable_rejected", "airtable_table_not_found", "film_gone", "record_not_found", "select_option_refused"),
    *("too_large_for_upload", "unknown_field", "upload_failed"),
)

NONE = "none"
"""Of a job that did not fail."""
OTHER = "other"
"""Of a job that failed with a code that this version does not know."""

FAILURE_CODES: tuple[str, ...] = tuple(
    sorted(
        {
            *(OF_THE_JOB + OF_CHOOSING_A_MODEL + OF_THE_PROVIDER),
            *(OF_FETCHING + OF_THE_FILM_ENGINE + OF_AIRTABLE),
        }
    )
)
"""Everything that `Failure.code` says."""

_KNOWN = frozenset(FAILURE_CODES)


def counted_code(code: str) -> str:
    """Return the code under which a failed job is counted."""
    return code if code in _KNOWN else OTHER
