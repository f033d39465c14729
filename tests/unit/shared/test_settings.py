"""The environment: defaults, forms, and errors that name the variable and show no secret."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from shared.errors import ConfigurationError
from shared.job.policy import AmbiguousPolicy, Policy
from shared.settings import Settings, is_private_url

SECRET = "s3cr3t-v4lue"

Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Read settings from an environment that holds nothing but what is given, in an empty folder."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def read(**environment: str) -> Settings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return Settings.load()

    return read


def refusal(load: Load, **environment: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(**environment)
    return str(caught.value)


class TestDefaults:
    def test_are_those_of_the_contract(self, load: Load) -> None:
        shown = load()
        contract: dict[str, Any] = {
            "port": 3000,
            "public_url": None,
            "sora_api_key": None,
            "sora_api_base_url": "https://api.kie.ai/api/v1",
            "sora_webhook_hmac_key": None,
            "airtable_api_key": None,
            "airtable_base_id": None,
            "airtable_table_name": "Video Generation",
            "airtable_endpoint_url": "https://api.airtable.com",
            "rabbitmq_url": None,
            "redis_url": None,
            "upstash_redis_rest_url": None,
            "upstash_redis_rest_token": None,
            "data_dir": Path("data"),
            "job_timeout": 600_000,
            "job_ttl": 86_400,
            "api_keys": (),
            "secret_key": None,
            "fetch_allowed_hosts": (),
            "metrics_port": 9090,
            "log_level": "info",
            "log_format": "console",
            "ambiguous_policy": AmbiguousPolicy.WAIT,
        }
        assert {name: getattr(shown, name) for name in contract} == contract

    def test_that_depend_on_others(self, load: Load, tmp_path: Path) -> None:
        settings = load(PORT="4711")
        assert settings.base_url == "http://localhost:4711"
        assert settings.artifacts_location == (tmp_path / "data" / "artifacts").as_uri()
        assert settings.video_models[0] == "sora-2-text-to-video"
        assert len(settings.video_models) == 3

    def test_listen_on_this_machine_only(self, load: Load) -> None:
        assert load().host == "127.0.0.1"


class TestValues:
    def test_are_read_whatever_the_case_of_the_names(self, load: Load) -> None:
        assert load(port="1", Job_Timeout="2000").job_timeout == 2_000

    @pytest.mark.parametrize("blank", ["", " ", "\t\n"])
    def test_that_are_blank_are_unset(self, load: Load, blank: str) -> None:
        assert load(**{name.upper(): blank for name in Settings.model_fields}) == load()

    def test_lose_the_blanks_around_them(self, load: Load) -> None:
        settings = load(SORA_API_KEY=f" {SECRET}\n", DATA_DIR=" films ", LOG_LEVEL=" Debug ")
        assert settings.sora_api_key == SecretStr(SECRET)
        assert (settings.data_dir, settings.log_level) == (Path("films"), "debug")

    def test_that_are_lists_are_separated_by_commas(self, load: Load) -> None:
        settings = load(VIDEO_MODELS="a, b,,c ,", API_KEYS="one,two", FETCH_ALLOWED_HOSTS="10.0.0.1:9000")
        assert settings.video_models == ("a", "b", "c")
        assert [key.get_secret_value() for key in settings.api_keys] == ["one", "two"]
        assert settings.fetch_allowed_hosts == ("10.0.0.1:9000",)

    def test_of_a_file_count_unless_the_environment_says_otherwise(self, load: Load) -> None:
        Path(".env").write_text("PORT=1\nJOB_TTL=2\nSORA_API_KEY=from-file\n", encoding="utf-8")
        settings = load(PORT="3", SORA_API_KEY="")
        assert (settings.port, settings.job_ttl) == (3, 2)
        assert settings.sora_api_key == SecretStr("from-file"), "a blank variable does not hide the file's value"

    def test_that_nobody_knows_are_somebody_elses(self, load: Load) -> None:
        assert load(SOMETHING_ELSE="1") == load()

    def test_cannot_be_changed_later(self, load: Load) -> None:
        with pytest.raises(ValueError, match="frozen"):
            setattr(load(), "port", 1)  # noqa: B010

    @pytest.mark.parametrize(
        "name",
        [
            "SORA_API_KEY",
            "SORA_WEBHOOK_HMAC_KEY",
            "AIRTABLE_API_KEY",
            "RABBITMQ_URL",
            "REDIS_URL",
            "UPSTASH_REDIS_REST_TOKEN",
            "API_KEYS",
            "SECRET_KEY",
        ],
    )
    def test_that_are_secret_do_not_print(self, load: Load, name: str) -> None:
        settings = load(
            **{"UPSTASH_REDIS_REST_URL": "https://x.upstash.io", "UPSTASH_REDIS_REST_TOKEN": "t", name: SECRET}
        )
        for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
            assert SECRET not in shown


class TestMalformedValues:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("PORT", "http"),
            ("PORT", "65536"),
            ("PORT", "-1"),
            ("FORWARDED_ALLOW_IPS", "10.0.0.0/8, proxy.example.com"),
            ("FORWARDED_ALLOW_IPS", "*"),
            ("METRICS_PORT", "9090/tcp"),
            ("JOB_TIMEOUT", "10m"),
            ("JOB_TIMEOUT", "0"),
            ("JOB_TTL", "1.5"),
            ("MAX_ATTEMPTS", "0"),
            ("AMBIGUOUS_POLICY", "hope"),
            ("AMBIGUOUS_WINDOW", "-5"),
            ("LEASE_MS", "1"),
            ("VIDEO_MODELS", ","),
            ("LOG_LEVEL", "loud"),
            ("LOG_FORMAT", "xml"),
            ("DRAIN_S", "soon"),
            ("MAX_CLIP_SECONDS", "0"),
            ("PUBLIC_URL", "example.com"),
            ("SORA_API_BASE_URL", "ftp://api.kie.ai"),
            ("AIRTABLE_ENDPOINT_URL", "https://"),
            ("AIRTABLE_CONTENT_URL", "https://host:99999"),
        ],
    )
    def test_are_named_at_start(self, load: Load, name: str, value: str) -> None:
        message = refusal(load, **{name: value})
        assert message.startswith(f"cannot start, the environment is malformed: {name}: ")

    @pytest.mark.parametrize(
        "name", ["PORT", "JOB_TIMEOUT", "DRAIN_S", "LOG_LEVEL", "AMBIGUOUS_POLICY", "PUBLIC_URL", "POLL_AFTER_MS"]
    )
    def test_are_not_repeated_for_they_may_be_secrets_in_the_wrong_place(self, load: Load, name: str) -> None:
        assert SECRET not in refusal(load, **{name: SECRET})

    def test_are_all_named_at_once(self, load: Load) -> None:
        message = refusal(load, PORT="x", JOB_TTL="y", LOG_LEVEL="z")
        assert all(name in message for name in ("PORT", "JOB_TTL", "LOG_LEVEL"))

    @pytest.mark.parametrize(
        "url",
        [
            f"https://user:{SECRET}@example.com",
            f"https://example.com/?token={SECRET}",
            f"https://example.com/#{SECRET}",
            f"https://[{SECRET}",
            f"https://example.com:{SECRET}",
            f"{SECRET}://example.com",
        ],
    )
    def test_never_show_a_secret_that_got_into_the_wrong_place(self, load: Load, url: str) -> None:
        message = refusal(load, PUBLIC_URL=url)
        assert "PUBLIC_URL: must be a URL like https://host" in message
        assert SECRET not in message

    def test_never_show_a_secret_in_a_chained_error_either(self, load: Load) -> None:
        with pytest.raises(ConfigurationError) as caught:
            load(PORT="x", SECRET_KEY=SECRET)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__

    @pytest.mark.parametrize(
        "half", [{"UPSTASH_REDIS_REST_URL": "https://x.upstash.io"}, {"UPSTASH_REDIS_REST_TOKEN": SECRET}]
    )
    def test_one_half_of_a_pair_is_not_silently_ignored(self, load: Load, half: dict[str, str]) -> None:
        message = refusal(load, **half)
        assert "UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN belong together" in message
        assert SECRET not in message


class TestAddresses:
    @pytest.mark.parametrize(
        ("given", "base_url"),
        [
            ("https://films.example.com", "https://films.example.com"),
            ("https://films.example.com/", "https://films.example.com"),
            ("https://example.com/films//", "https://example.com/films"),
            ("http://192.168.1.2:3000", "http://192.168.1.2:3000"),
            ("http://[::1]:3000/", "http://[::1]:3000"),
            ("HTTPS://Example.com", "HTTPS://Example.com"),
        ],
    )
    def test_are_bases_to_which_paths_are_appended(self, load: Load, given: str, base_url: str) -> None:
        assert load(PUBLIC_URL=given).base_url == base_url

    @pytest.mark.parametrize(
        "url",
        [
            "http://localhost:3000",
            "http://LOCALHOST",
            "http://localhost.",
            "http://app.localhost",
            "http://gateway:3000",
            "http://nas.local",
            "http://vm.internal",
            "http://127.0.0.1",
            "http://10.1.2.3",
            "http://172.16.0.1",
            "http://192.168.0.1",
            "http://169.254.169.254",
            "http://100.64.0.1",
            "http://0.0.0.0",
            "http://[::1]",
            "http://[fe80::1]",
            "http://[fd00::1]",
            "http://[::ffff:10.0.0.1]",
        ],
    )
    def test_that_only_we_can_reach(self, url: str) -> None:
        assert is_private_url(url)

    @pytest.mark.parametrize(
        "url",
        [
            "https://example.com",
            "https://api.kie.ai/api/v1",
            "http://8.8.8.8",
            "http://[2606:4700::1111]",
            "https://local.example",
        ],
    )
    def test_that_everybody_can_reach(self, url: str) -> None:
        assert not is_private_url(url)

    @pytest.mark.parametrize(
        ("environment", "can"),
        [
            ({}, False),
            ({"PUBLIC_URL": "https://films.example.com"}, True),
            ({"PUBLIC_URL": "http://192.168.1.2:3000"}, False),
            ({"SORA_API_BASE_URL": "http://127.0.0.1:9999/api/v1"}, True),
            ({"SORA_API_BASE_URL": "http://twin:9999", "PUBLIC_URL": "http://gateway:3000"}, True),
        ],
    )
    def test_decide_whether_callbacks_can_arrive(self, load: Load, environment: dict[str, str], can: bool) -> None:
        settings = load(**environment)
        assert settings.callbacks_can_arrive is can
        assert settings.policy().poll_after_ms == (15_000 if can else 3_000)

    def test_of_artifacts_are_taken_as_given(self, load: Load) -> None:
        assert load(ARTIFACTS_URL="file:///films").artifacts_location == "file:///films"


class TestPolicy:
    def test_of_the_defaults_is_the_default_policy(self, load: Load) -> None:
        assert load(PUBLIC_URL="https://films.example.com").policy() == Policy()

    def test_follows_the_environment(self, load: Load) -> None:
        policy = load(
            JOB_TIMEOUT="60000",
            JOB_TTL="60",
            LEASE_MS="1000",
            NUDGE_AFTER_MS="200",
            POLL_AFTER_MS="300",
            MAX_ATTEMPTS="2",
            AMBIGUOUS_POLICY="Resubmit",
            AMBIGUOUS_WINDOW="4000",
        ).policy()
        assert policy == Policy(
            job_timeout_ms=60_000,
            job_ttl_ms=60_000,
            lease_ms=1_000,
            nudge_after_ms=200,
            poll_after_ms=300,
            poll_every_ms=300,
            max_attempts=2,
            ambiguous=AmbiguousPolicy.RESUBMIT,
            ambiguous_window_ms=4_000,
        )


class TestSigningKey:
    def test_is_the_one_given(self, load: Load) -> None:
        assert load(SECRET_KEY=SECRET).signing_key(distributed=True) == SECRET

    def test_must_be_given_where_services_are_apart(self, load: Load) -> None:
        with pytest.raises(ConfigurationError, match="SECRET_KEY is not set"):
            load().signing_key(distributed=True)

    def test_is_made_once_where_there_is_one_process_and_kept_for_its_owner_alone(self, load: Load) -> None:
        key = load().signing_key(distributed=False)
        assert len(key) == 64
        assert load().signing_key(distributed=False) == key
        path = Path("data/secret.key")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [file.name for file in path.parent.iterdir()] == ["secret.key"]

    def test_is_never_an_empty_one_that_a_crash_or_a_full_disk_left_behind(self, load: Load) -> None:
        path = Path("data/secret.key")
        path.parent.mkdir()
        path.write_text("\n", encoding="ascii")
        key = load().signing_key(distributed=False)
        assert len(key) == 64
        assert path.read_text(encoding="ascii") == key

    def test_that_cannot_be_kept_names_the_folder(self, load: Load) -> None:
        Path("occupied").write_text("a file, not a folder", encoding="ascii")
        with pytest.raises(ConfigurationError, match=r"DATA_DIR: cannot keep a signing key in occupied.secret\.key"):
            load(DATA_DIR="occupied").signing_key(distributed=False)


class TestS3:
    def test_everything_about_s3_is_handed_on(self, load: Load) -> None:
        settings = load(
            AWS_ACCESS_KEY_ID="key",
            AWS_SECRET_ACCESS_KEY=SECRET,
            AWS_SESSION_TOKEN="token",
            AWS_REGION="eu-west-1",
            AWS_ENDPOINT_URL="http://127.0.0.1:9000/",
        )
        access = settings.s3_access
        assert (access.access_key_id, access.region, access.endpoint_url) == (
            "key",
            "eu-west-1",
            "http://127.0.0.1:9000",
        )
        assert access.secret_access_key is not None
        assert access.secret_access_key.get_secret_value() == SECRET
        assert SECRET not in repr(settings) + repr(access)

    @pytest.mark.parametrize("half", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
    def test_half_a_pair_of_keys_is_refused(self, load: Load, half: str) -> None:
        with pytest.raises(ConfigurationError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together"):
            load(**{half: "value"})


def test_the_table_s_own_words_for_statuses_are_read_and_unknown_statuses_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRTABLE_STATUS_MAP", "Completed=Done, Cancelled = Stopped")
    assert Settings.load(_env_file=None).airtable_status_map == {"Completed": "Done", "Cancelled": "Stopped"}
    monkeypatch.setenv("AIRTABLE_STATUS_MAP", '{"Completed": "Done"}')
    assert Settings.load(_env_file=None).airtable_status_map == {"Completed": "Done"}
    monkeypatch.setenv("AIRTABLE_STATUS_MAP", "Finished=Done")
    with pytest.raises(ConfigurationError, match="AIRTABLE_STATUS_MAP"):
        Settings.load(_env_file=None)
