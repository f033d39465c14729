"""The environment, read once and checked: every name, its default and its meaning.

`.env.example` documents the same names for operators (kept equal by a test). A blank value is an unset one. A
malformed value fails at start with the variable's name; secrets are `SecretStr` and never print. Addresses of
broker, store and artifacts are read further by their adapters, which name the variable likewise.
"""

import base64
import ipaddress
import json
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.artifacts.s3_access import S3Access
from shared.errors import ConfigurationError
from shared.job.mirror import NAMES
from shared.job.policy import AmbiguousPolicy, Policy
from shared.limits import KeyLimits, parse_api_key, read_key_limits

DEFAULT_MODELS = "sora-2-text-to-video,kling/v3-turbo-text-to-video,wan/2-7-text-to-video"


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _status_map(value: Any) -> Any:
    """Read `Completed=Done, Failed=Broken` (or a JSON object)."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        return json.loads(value)
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """All settings of all services. Field names are the environment's names in lower case."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    port: int = Field(default=3000, ge=0, le=65535)
    host: str = "127.0.0.1"
    public_url: str | None = None
    forwarded_allow_ips: Words = ("127.0.0.1", "::1")

    sora_api_key: SecretStr | None = None
    sora_api_base_url: str = "https://api.kie.ai/api/v1"
    video_models: Words = Field(default_factory=lambda: tuple(DEFAULT_MODELS.split(",")), min_length=1)
    sora_webhook_hmac_key: SecretStr | None = None
    provider_orders_per_10s: int = Field(default=20, ge=1)
    provider_looks_per_s: int = Field(default=10, ge=1)

    airtable_api_key: SecretStr | None = None
    airtable_base_id: str | None = None
    airtable_table_id: str | None = None
    airtable_table_name: str = "Video Generation"
    airtable_endpoint_url: str = "https://api.airtable.com"
    airtable_content_url: str | None = None
    airtable_status_map: Annotated[dict[str, str], NoDecode, BeforeValidator(_status_map)] = Field(default_factory=dict)
    airtable_requests_per_s: int = Field(default=4, ge=1)
    airtable_monthly_calls: int | None = Field(default=None, ge=1)
    airtable_trigger: Literal["off", "webhook", "poll"] = "off"
    airtable_trigger_view: str | None = None
    airtable_trigger_poll_s: int = Field(default=3_600, ge=1)
    airtable_approval_poll_s: int = Field(default=60, ge=0)

    rabbitmq_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    upstash_redis_rest_url: str | None = None
    upstash_redis_rest_token: SecretStr | None = None
    artifacts_url: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    aws_region: str | None = None
    aws_endpoint_url: str | None = None
    aws_s3_addressing_style: Literal["path", "virtual"] = "path"
    media_redirect: bool = False
    data_dir: Path = Path("data")

    job_timeout: int = Field(default=600_000, ge=1_000)
    review_timeout: int = Field(default=604_800, ge=60)
    job_ttl: int = Field(default=86_400, ge=1)
    max_attempts: int = Field(default=3, ge=1, le=20)
    ambiguous_policy: AmbiguousPolicy = AmbiguousPolicy.WAIT
    ambiguous_window: int = Field(default=120_000, ge=1_000)
    lease_ms: int = Field(default=30_000, ge=500)
    poll_after_ms: int | None = Field(default=None, ge=100)
    nudge_after_ms: int = Field(default=5_000, ge=100)
    reconcile_every_ms: int = Field(default=1_000, ge=50)
    max_clips: int = Field(default=100, ge=1, le=1000)
    live_connections: int = Field(default=500, ge=0)

    api_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)] = ()
    key_limits: Annotated[dict[str, KeyLimits], NoDecode, BeforeValidator(read_key_limits)] = Field(
        default_factory=dict
    )
    rate_limit_per_minute: int | None = Field(default=None, ge=1)
    max_unfinished_jobs: int | None = Field(default=None, ge=1)
    max_credits_per_job: float | None = Field(default=None, gt=0)
    max_clips_per_day: int | None = Field(default=None, ge=1)
    max_credits_per_day: float | None = Field(default=None, gt=0)
    assumed_clip_credits: float = Field(default=60, ge=0)
    secret_key: SecretStr | None = None
    webhook_secret: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)] = ()
    fetch_allowed_hosts: Words = ()
    max_clip_bytes: int = Field(default=1_000_000_000, ge=1)
    max_clip_seconds: float = Field(default=600, gt=0)
    stitch_timeout: int = Field(default=1_200_000, ge=1_000)
    stitch_ahead: bool = True

    otel_exporter_otlp_endpoint: str | None = None
    grafana_url: str | None = None
    metrics_port: int = Field(default=9090, ge=0, le=65535)
    drain_s: float = Field(default=25, ge=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"

    @model_validator(mode="before")
    @classmethod
    def _tidy(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Drop blank values, and the blanks around others (a secret from a file ends with a newline)."""
        tidy = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in tidy.items() if value != ""}

    @model_validator(mode="after")
    def _whole_pairs(self) -> Self:
        if (self.upstash_redis_rest_url is None) != (self.upstash_redis_rest_token is None):
            raise ValueError("UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN belong together; one is missing")
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together; one is missing")
        return self

    @model_validator(mode="after")
    def _limits_of_known_keys(self) -> Self:
        known = {parse_api_key(key.get_secret_value()).name for key in self.api_keys}
        unknown = sorted(self.key_limits.keys() - known)
        if known and unknown:  # without keys it is not the gateway, which alone has them
            raise ValueError(f"KEY_LIMITS names keys that API_KEYS does not: {', '.join(unknown)}")
        return self

    @field_validator(
        *("public_url", "sora_api_base_url", "airtable_endpoint_url", "airtable_content_url", "aws_endpoint_url"),
        "otel_exporter_otlp_endpoint",
        "grafana_url",
        mode="after",
    )
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not _is_base_url(value):
            raise ValueError(
                "must be a URL like https://host or http://host:port/path, without user, query or fragment"
            )
        return value.rstrip("/")

    @field_validator("forwarded_allow_ips", mode="after")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not _is_network(each):
                raise ValueError("must be addresses or networks of proxies, such as 10.0.0.0/8, comma-separated")
        return value

    @field_validator("airtable_status_map", mode="after")
    @classmethod
    def _known_statuses(cls, value: dict[str, str]) -> dict[str, str]:
        known = sorted(set(NAMES.values()))
        strange = sorted(set(value) - set(known))
        if strange or not all(value.values()):
            raise ValueError(f"must be pairs like Completed=Done, comma-separated, of {', '.join(known)}")
        return value

    @field_validator("webhook_secret", mode="after")
    @classmethod
    def _webhook_secrets(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in value:
            if not _is_webhook_secret(secret.get_secret_value()):
                raise ValueError("must be whsec_ and the base64 of 24 to 64 random bytes; several comma-separated")
        return value

    @field_validator("log_level", "log_format", "ambiguous_policy", "airtable_trigger", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment (and `.env`).

        Raises:
            ConfigurationError: a value is malformed; the message names the variable, never the value.
        """
        try:
            return cls(**overrides)
        except ValidationError as error:
            problems = "; ".join(
                ": ".join([*(str(part).upper() for part in item["loc"][:1]), item["msg"].removeprefix("Value error, ")])
                for item in error.errors(include_url=False, include_input=False, include_context=False)
            )
            raise ConfigurationError(f"cannot start, the environment is malformed: {problems}") from None

    @property
    def base_url(self) -> str:
        """Where providers and Airtable can reach the gateway: `PUBLIC_URL`, or the local address."""
        return self.public_url or f"http://localhost:{self.port}"

    @property
    def callbacks_can_arrive(self) -> bool:
        """Whether the provider can be expected to reach us: not when only we are on a private address."""
        return not is_private_url(self.base_url) or is_private_url(self.sora_api_base_url)

    @property
    def artifacts_location(self) -> str:
        """`ARTIFACTS_URL`, or a folder below `DATA_DIR`."""
        return self.artifacts_url or (self.data_dir.resolve() / "artifacts").as_uri()

    @property
    def s3_access(self) -> S3Access:
        """How S3 is reached, if `ARTIFACTS_URL` leads there."""
        return S3Access(
            endpoint_url=self.aws_endpoint_url,
            region=self.aws_region,
            access_key_id=self.aws_access_key_id,
            secret_access_key=self.aws_secret_access_key,
            session_token=self.aws_session_token,
            bucket_in_host=self.aws_s3_addressing_style == "virtual",
        )

    def policy(self) -> Policy:
        """Return the numbers by which jobs are driven."""
        expected = self.callbacks_can_arrive
        poll = self.poll_after_ms or (15_000 if expected else 3_000)
        return Policy(
            job_timeout_ms=self.job_timeout,
            review_timeout_ms=self.review_timeout * 1000,
            job_ttl_ms=self.job_ttl * 1000,
            lease_ms=self.lease_ms,
            nudge_after_ms=self.nudge_after_ms,
            poll_after_ms=poll,
            poll_every_ms=poll,
            max_attempts=self.max_attempts,
            ambiguous=self.ambiguous_policy,
            ambiguous_window_ms=self.ambiguous_window,
        )

    def signing_key(self, *, distributed: bool) -> str:
        """Return the key that signs callback tokens and media links.

        Embedded, it is made once and kept in `DATA_DIR/secret.key`.

        Raises:
            ConfigurationError: distributed and `SECRET_KEY` is not set (each process would make its own), or it
                cannot be kept.
        """
        if self.secret_key is not None:
            return self.secret_key.get_secret_value()
        if distributed:
            raise ConfigurationError(
                "SECRET_KEY is not set: all services need the same one, e.g. from `openssl rand -hex 32`"
            )
        path = self.data_dir / "secret.key"
        try:
            return _kept_key(path)
        except OSError as error:
            raise ConfigurationError(f"DATA_DIR: cannot keep a signing key in {path}: {error.strerror}") from error


def _kept_key(path: Path) -> str:
    """Return the key in file `path`; make one if there is none. The file is never seen empty or half written."""
    key = path.read_text(encoding="ascii").strip() if path.exists() else ""
    if key:
        return key
    path.parent.mkdir(parents=True, exist_ok=True)
    key = secrets.token_hex(32)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(key, encoding="ascii")
    draft.replace(path)
    return key


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_webhook_secret(text: str) -> bool:
    """Whether `text` is a symmetric secret as Standard Webhooks writes them."""
    prefix, _, encoded = text.partition("_")
    try:
        return prefix == "whsec" and 24 <= len(base64.b64decode(encoded, validate=True)) <= 64
    except ValueError:
        return False


def _is_base_url(url: str) -> bool:
    """Whether paths may be appended to `url`."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is no number; its text may quote the URL
        return False
    return usable and not parts.query and not parts.fragment and parts.username is None


def is_private_url(url: str) -> bool:
    """Whether a URL's host is literally local or private (no name is looked up)."""
    host = (urlsplit(url).hostname or "").removesuffix(".")
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:  # a name; one of a single word is known only to a local network
        return "." not in host or host.endswith((".localhost", ".local", ".internal"))
