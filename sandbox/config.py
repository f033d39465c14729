"""Settings of the twins, each with the real partner's value as its default where one is known.

Every field can be given as a flag (`--kie-generating-ms 500`), as an environment variable
(`SANDBOX_KIE_GENERATING_MS=500`) or, for most of them, at run time through `POST /__twin__/settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

DEFAULT_KIE_KEY = "sandbox-kie-key"
DEFAULT_AIRTABLE_TOKEN = "patSANDBOX0000000.sandbox"  # noqa: S105 - the twin's own, worth nothing
DEFAULT_BASE_ID = "appSANDBOX0000000"
DEFAULT_TABLE = "Video Generation"


def _split(value: object) -> object:
    return tuple(part for part in value.split(",") if part) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ClipConfig(_Settings):
    """How the clips are made."""

    seconds: float = Field(2.0, ge=0, le=60, description="length of every clip; 0 = as long as was ordered")
    short_side: int = Field(720, ge=90, le=2160, description="pixels of the shorter side (720 = 1280x720)")
    fps: int = Field(30, ge=1, le=60, description="frames a second")
    gop: int = Field(250, ge=1, description="most frames between keyframes")
    crf: int = Field(23, ge=0, le=51, description="x264 constant rate factor")
    takes: bool = Field(default=True, description="draw the second order of a prompt as another take")
    workers: int = Field(2, ge=1, description="clips rendered at once")
    cache_dir: str = Field("", description="keep rendered clips here (empty = private, removed at the end)")


FAST_CLIPS = ClipConfig(seconds=1.0, short_side=180, fps=15, takes=False)
"""For chaos and load runs: 320x180, 15 frames in one second, the same bytes for the same prompt."""


class KieConfig(_Settings):
    """The kie.ai twin."""

    api_keys: Names = Field((DEFAULT_KIE_KEY,), description="accepted keys, comma-separated")
    error_mode: Literal["envelope", "status"] = Field(
        "envelope", description="errors inside HTTP 200 (as observed), or as the HTTP status too"
    )
    paused_models: Names = Field((), description="slugs that answer 'temporarily paused'; * = all")
    waiting_ms: int = Field(150, ge=0, description="time in state waiting")
    queuing_ms: int = Field(250, ge=0, description="time in state queuing")
    generating_ms: int = Field(1500, ge=0, description="time in state generating")
    jitter: float = Field(0.3, ge=0, le=1, description="random share of the times above, plus or minus")
    invisible_ms: int = Field(0, ge=0, description="recordInfo says 'recordInfo is null' this long")
    create_limit: int = Field(20, ge=0, description="createTask calls in a window; 0 = no limit")
    create_window_ms: int = Field(10_000, ge=1, description="length of the window")
    info_limit: int = Field(10, ge=0, description="recordInfo calls a second and key; 0 = no limit")
    credits: float = Field(1000.0, description="credits at the start")
    credits_per_clip: float = Field(30.0, ge=0, description="price of every clip")
    webhook_hmac_key: str = Field("", description="signs callbacks when set")
    callback_shape: Literal["2026", "2025"] = Field("2026", description="field names of callbacks")
    callback_timeout_ms: int = Field(15_000, ge=1, description="a callback must be answered within this")
    callback_retries: int = Field(3, ge=0, description="further attempts after a failed callback")
    callback_retry_ms: int = Field(1000, ge=0, description="pause before the first retry, doubled each time")
    callback_hold_ms: int = Field(60_000, ge=0, description="a barrier lets go after this at the latest")
    result_lifetime_ms: int = Field(86_400_000, ge=0, description="result URLs answer 404 after this")
    link_lifetime_ms: int = Field(1_200_000, ge=0, description="download-url links answer 403 after this")
    public_url: str = Field("", description="origin of result URLs (empty = the listener's own)")


class AirtableConfig(_Settings):
    """The Airtable twin."""

    token: str = Field(DEFAULT_AIRTABLE_TOKEN, description="token with every right (owner)")
    editor_token: str = Field("patSANDBOX0000001.editor", description="token that may not create select options")
    reader_token: str = Field("patSANDBOX0000002.reader", description="token that may only read")
    foreign_token: str = Field("patSANDBOX0000003.other", description="valid token without this base")
    base_id: str = Field(DEFAULT_BASE_ID, pattern=r"^app[A-Za-z0-9]{14}$", description="id of the base")
    table: str = Field(DEFAULT_TABLE, min_length=1, description="name of the table")
    rate_limit: int = Field(5, ge=0, description="requests a second and base; 0 = no limit")
    penalty_ms: int = Field(30_000, ge=0, description="everything is 429 this long after exceeding it")
    monthly_quota: int = Field(0, ge=0, description="calls until the billing 429; 0 = no quota")
    upload_limit_bytes: int = Field(5_000_000, ge=0, description="largest uploadAttachment, raw bytes")
    ingest_delay_ms: int = Field(800, ge=0, description="before an attachment's URL is fetched")
    ingest_limit_bytes: int = Field(1_000_000_000, ge=0, description="largest file fetched from a URL")
    ingest_timeout_ms: int = Field(60_000, ge=1, description="one fetch may take this long")
    ingest_failure: Literal["cleared", "broken-url"] = Field("cleared", description="what a failed fetch leaves")
    ingest_read_bytes_per_s: int = Field(0, ge=0, description="fetch no faster than this; 0 = full speed")
    id_at_once: bool = Field(default=True, description="a URL attachment has its id in the first answer")
    attachment_lifetime_ms: int = Field(7_200_000, ge=0, description="attachment URLs expire after this")
    list_lifetime_ms: int = Field(300_000, ge=0, description="offsets of a listing expire after this")
    public_url: str = Field("", description="origin of attachment URLs (empty = the content listener's own)")


class TwinsConfig(_Settings):
    """Both twins and the clips.

    Attributes:
        kie: The kie.ai twin.
        airtable: The Airtable twin.
        clips: How clips are made.
        host: Address to listen on.
        kie_port: 0 = any free port, as for the others.
        airtable_port: Of the API listener.
        content_port: Of the content listener (`content.airtable.com`).
    """

    kie: KieConfig = KieConfig()
    airtable: AirtableConfig = AirtableConfig()
    clips: ClipConfig = ClipConfig()
    host: str = "127.0.0.1"
    kie_port: int = 0
    airtable_port: int = 0
    content_port: int = 0


SECTIONS: dict[str, type[_Settings]] = {"kie": KieConfig, "airtable": AirtableConfig, "clip": ClipConfig}
"""Prefix of flags and variables, and the settings it stands for."""


def flag_name(section: str, field: str) -> str:
    """Return the command-line flag of a setting, such as `--kie-generating-ms`."""
    return f"--{section}-{field}".replace("_", "-")


def variable_name(section: str, field: str) -> str:
    """Return the environment variable of a setting, such as `SANDBOX_KIE_GENERATING_MS`."""
    return f"SANDBOX_{section}_{field}".upper()


def _settings(section: str, values: Mapping[str, Any]) -> _Settings:
    try:
        return SECTIONS[section](**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{flag_name(section, str(first['loc'][0]))}: {first['msg']}") from None


def config_from(values: Mapping[tuple[str, str], Any], environ: Mapping[str, str], **listeners: Any) -> TwinsConfig:
    """Build the configuration: given values win over the environment, which wins over defaults.

    Args:
        values: (section, field) to value, as the command line gave them.
        environ: Usually `os.environ`; variables of other programs that start with `SANDBOX_` are left alone.
        **listeners: `host`, `kie_port`, `airtable_port`, `content_port`.

    Raises:
        ValueError: A value does not fit, or a variable is unknown. The message names it.
    """
    known = {variable_name(s, f): (s, f) for s, model in SECTIONS.items() for f in model.model_fields}
    ours = tuple(variable_name(section, "") for section in SECTIONS)
    unknown = sorted(name for name in environ if name.startswith(ours) and name not in known)
    if unknown:
        raise ValueError(f"unknown variable {unknown[0]}; known are: {', '.join(sorted(known))}")
    chosen: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, (section, field) in known.items():
        if environ.get(name):
            chosen[section][field] = environ[name]
    for (section, field), value in values.items():
        chosen[section][field] = value
    return TwinsConfig.model_validate(
        {
            "kie": _settings("kie", chosen["kie"]),
            "airtable": _settings("airtable", chosen["airtable"]),
            "clips": _settings("clip", chosen["clip"]),
            **listeners,
        }
    )
