"""API keys and their limits, as the environment names them."""

import pytest
from pydantic import SecretStr

from shared.errors import ConfigurationError
from shared.limits import ApiKey, parse_api_key
from shared.settings import Settings


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("airtable:s3cret", ApiKey("airtable", "s3cret")),
        ("a:b:c", ApiKey("a", "b:c")),
        ("my-key_2:=", ApiKey("my-key_2", "=")),
    ],
)
def test_a_key_may_have_a_name(text: str, key: ApiKey) -> None:
    assert parse_api_key(text) == key


@pytest.mark.parametrize("text", ["s3cret", "c2VjcmV0PQ==", "1:2", ":x", "x:", "ünnamed:x", "n" * 41 + ":x"])
def test_a_secret_alone_is_named_after_its_fingerprint(text: str) -> None:
    key = parse_api_key(text)
    assert key.secret == text
    assert key.name.startswith("key-")
    assert text not in key.name
    assert parse_api_key(text) == key


def test_a_key_never_shows_its_secret() -> None:
    assert "s3cret" not in repr(parse_api_key("airtable:s3cret"))


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings.load(_env_file=None)


def test_limits_are_read_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = '{"airtable": {"requestsPerMinute": 60, "maxCreditsPerDay": 500.5}}'
    settings = load(monkeypatch, API_KEYS="airtable:x,other", KEY_LIMITS=limits)
    assert settings.api_keys == (SecretStr("airtable:x"), SecretStr("other"))
    assert settings.key_limits["airtable"].requests_per_minute == 60
    assert settings.key_limits["airtable"].max_credits_per_day == 500.5
    assert settings.key_limits["airtable"].max_clips_per_job is None


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ("{", "is not valid JSON"),
        ("[]", "must be a JSON object"),
        ('{"airtable": 5}', "KEY_LIMITS"),
        ('{"airtable": {"maxCredits": 5}}', "KEY_LIMITS"),
        ('{"airtable": {"maxClipsPerDay": 0}}', "KEY_LIMITS"),
        ('{"nobody": {"maxClipsPerDay": 1}}', "API_KEYS does not: nobody"),
    ],
)
def test_malformed_limits_stop_the_start_by_name(monkeypatch: pytest.MonkeyPatch, limits: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match="KEY_LIMITS") as caught:
        load(monkeypatch, API_KEYS="airtable:s3cret", KEY_LIMITS=limits)
    assert says in str(caught.value)
    assert "s3cret" not in str(caught.value)
